import Wire

extension ItemVerdicts {
    /// What Cloud Monitoring says when it wrote only some series of a `timeSeries.create`: a
    /// `CreateTimeSeriesSummary` counts them by kind of error
    /// (<https://cloud.google.com/monitoring/api/ref_v3/rpc/google.monitoring.v3#createtimeseriessummary>), and the message names
    /// them by their place in the request, `timeSeries[0-3,7]`. `nil` for anything else.
    ///
    /// - Parameter itemCount: series of the request.
    init?(monitoring body: [UInt8], itemCount: Int) {
        guard
            let answer = Self.read(body, { (json) throws(JSONError) in try CreateAnswer(&json) }),
            let total = answer.totalCount, total == itemCount,
            let success = answer.successCount, (0..<total).contains(success)
        else { return nil }
        let failedCount = total - success
        let named = answer.named(below: itemCount)
        guard named.count == failedCount else {
            // Sent again as a whole, those that were written are refused by name.
            if answer.errors.contains(where: \.isTransient) {
                failures = (0..<itemCount).map {
                    Failure(item: $0, isTransient: true, reason: answer.excerpt)
                }
            } else {
                unnamedCount = failedCount
            }
            return
        }
        failures = named.sorted { $0.key < $1.key }.map { item, words in
            let category = answer.category(of: words)
            return Failure(
                item: item,
                isTransient: category?.isTransient
                    ?? answer.errors.contains(where: \.isTransient),
                reason: category.map { String($0.message.prefix(300)) } ?? answer.excerpt)
        }
    }
}

/// `{"error":{"code":400,"message":"…","details":[{"@type":"…CreateTimeSeriesSummary",…}]}}`
private struct CreateAnswer {
    struct Category {
        /// Of `google.rpc.Code`.
        var code: Int64 = 0
        var message = ""
        var count = 0

        /// Cancelled, unknown, deadline exceeded, resource exhausted, aborted, internal, unavailable.
        var isTransient: Bool { [1, 2, 4, 8, 10, 13, 14].contains(code) }
    }

    var message = ""
    /// `nil` without a summary, and where it leaves the number out, as JSON does with zero.
    var totalCount: Int?
    var successCount: Int?
    var errors: [Category] = []

    var excerpt: String { String(message.prefix(300)) }

    init(_ json: inout JSONScanner) throws(JSONError) {
        try json.forEachKey { (key, json) throws(JSONError) in
            guard key == "error" else { return false }
            try json.forEachKey { (key, json) throws(JSONError) in
                switch key {
                case "message": message = try json.string().string
                case "details":
                    try json.beginArray()
                    while try json.nextElement() { try readDetail(&json) }
                default: return false
                }
                return true
            }
            return true
        }
    }

    private mutating func readDetail(_ json: inout JSONScanner) throws(JSONError) {
        try json.forEachKey { (key, json) throws(JSONError) in
            switch key {
            case "@type":
                let isSummary = try json.string().string.hasSuffix("CreateTimeSeriesSummary")
                if isSummary, successCount == nil { successCount = 0 }
            case "totalPointCount", "total_point_count": totalCount = Int(try json.integer())
            case "successPointCount", "success_point_count":
                successCount = Int(try json.integer())
            case "errors":
                try json.beginArray()
                while try json.nextElement() { errors.append(try Self.category(&json)) }
            default: return false
            }
            return true
        }
    }

    private static func category(_ json: inout JSONScanner) throws(JSONError) -> Category {
        var category = Category()
        try json.forEachKey { (key, json) throws(JSONError) in
            switch key {
            case "pointCount", "point_count": category.count = Int(try json.integer())
            case "status":
                try json.forEachKey { (key, json) throws(JSONError) in
                    switch key {
                    case "code": category.code = try json.integer()
                    case "message": category.message = try json.string().string
                    default: return false
                    }
                    return true
                }
            default: return false
            }
            return true
        }
        return category
    }

    /// The places that the message names, with the words before each.
    func named(below limit: Int) -> [Int: Substring] {
        var found: [Int: Substring] = [:]
        var rest = message[...]
        while let mark = rest.range(of: "timeSeries[") {
            let words = rest[..<mark.lowerBound]
            rest = rest[mark.upperBound...]
            guard let end = rest.firstIndex(of: "]") else { break }
            for piece in rest[..<end].split(separator: ",") {
                let numbers = piece.split(separator: "-").compactMap { Int($0) }
                guard let first = numbers.first, let last = numbers.last, numbers.count <= 2,
                    0 <= first, first <= last, last < limit
                else { continue }
                for number in first...last where found[number] == nil { found[number] = words }
            }
            rest = rest[end...]
        }
        return found
    }

    /// The kind of error that has these words.
    func category(of words: Substring) -> Category? {
        errors.first { !$0.message.isEmpty && words.range(of: $0.message) != nil }
    }
}
