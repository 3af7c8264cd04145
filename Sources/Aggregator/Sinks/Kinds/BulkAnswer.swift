import Wire

/// Which items of a `_bulk` request were not taken.
enum BulkAnswer {
    struct FailedItem: Equatable {
        var item: Int
        var status: Int
        var reason: String
    }

    /// The failed items; `nil` for a body that is not a bulk answer.
    static func failures(in body: [UInt8]) -> [FailedItem]? {
        body.withUnsafeBytes { raw -> [FailedItem]? in
            var json = JSONScanner(raw)
            do throws(JSONError) {
                return try parse(&json)
            } catch {
                return nil
            }
        }
    }

    private static func parse(_ json: inout JSONScanner) throws(JSONError) -> [FailedItem]? {
        var failures: [FailedItem] = []
        var isBulk = false
        try json.beginObject()
        while let key = try json.nextKey() {
            guard "items" ~= key else {
                try json.skip()
                continue
            }
            isBulk = true
            var item = 0
            try json.beginArray()
            while try json.nextElement() {
                // { "index": { … } }: the action's name does not matter.
                try json.beginObject()
                while try json.nextKey() != nil {
                    if let failure = try parseItem(&json, item) { failures.append(failure) }
                }
                item += 1
            }
        }
        return isBulk ? failures : nil
    }

    private static func parseItem(
        _ json: inout JSONScanner, _ item: Int
    ) throws(JSONError) -> FailedItem? {
        var status = 0
        var reason = ""
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "status": status = Int(try json.number().int64 ?? 0)
            case "error": reason = try parseError(&json)
            default: try json.skip()
            }
        }
        // A document of that id is there already: this one, from before an outage.
        let isTaken = (200..<300).contains(status) || status == 409
        return isTaken ? nil : FailedItem(item: item, status: status, reason: reason)
    }

    /// A text, or an object with type and reason.
    private static func parseError(_ json: inout JSONScanner) throws(JSONError) -> String {
        guard try json.peek() == UInt8(ascii: "{") else { return try json.string().string }
        var words: [String] = []
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "type", "reason": words.append(try json.string().string)
            default: try json.skip()
            }
        }
        return String(words.joined(separator: ": ").prefix(300))
    }

    /// What the failures mean for a request of two lines an item: items that were refused for want of
    /// room or time are tried again, others are set aside.
    static func outcome(of request: SinkRequest, failures: [FailedItem]) -> DeliveryOutcome {
        guard !failures.isEmpty else { return .accepted }
        let lines = request.body.split(separator: UInt8(ascii: "\n"))
        var remaining = SinkRequest(cycle: request.cycle, pointCount: 0, body: [])
        var refused = remaining
        for failure in failures where failure.item * 2 + 1 < lines.count {
            let isTransient = failure.status == 429 || failure.status >= 500
            let (action, document) = (lines[failure.item * 2], lines[failure.item * 2 + 1])
            let item = Array(action) + [0x0A] + Array(document) + [0x0A]
            let pointCount = ElasticsearchEncoder.pointCount(of: document)
            if isTransient {
                remaining.body += item
                remaining.pointCount += pointCount
            } else {
                refused.body += item
                refused.pointCount += pointCount
            }
        }
        let first = failures[0]
        return .partly(
            remaining: remaining.body.isEmpty ? nil : remaining,
            refused: refused.body.isEmpty ? nil : refused,
            reason: "\(failures.count) items failed, the first with \(first.status) \(first.reason)"
        )
    }
}
