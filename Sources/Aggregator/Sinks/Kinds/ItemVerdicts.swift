/// What a backend said of single items of a request, where it answers for each: the others were taken.
struct ItemVerdicts {
    struct Failure: Equatable {
        /// From zero, in the request's order.
        var item: Int
        /// Whether it may be taken another time.
        var isTransient: Bool
        var reason: String
    }

    var failures: [Failure] = []
    /// Failures for ever that the answer counts but does not name.
    var unnamedCount = 0

    /// What the failures mean for a request whose body is a row of JSON values in the encoder's
    /// envelope, one for each point.
    func outcome(of request: SinkRequest, in envelope: RequestEnvelope) -> DeliveryOutcome {
        if failures.isEmpty, unnamedCount == 0 { return .accepted }
        let reason = words
        guard let items = Self.items(of: request.body, in: envelope) else {
            return .refused(reason: reason)
        }
        func part(_ chosen: [Failure]) -> SinkRequest? {
            // Each once, however often the answer names it.
            let known = Set(chosen.map(\.item)).intersection(items.indices).sorted()
            if known.isEmpty { return nil }
            let body =
                envelope.open + known.map { items[$0] }.joined(separator: envelope.separator)
                + envelope.close
            return SinkRequest(cycle: request.cycle, pointCount: known.count, body: body)
        }
        return .partly(
            remaining: part(failures.filter(\.isTransient)),
            refused: unnamedCount > 0 ? whole(request) : part(failures.filter { !$0.isTransient }),
            reason: reason)
    }

    /// `3 items refused (invalid), 2 to be tried again (timeout)`: how many, and what was said of the first.
    private var words: String {
        let (again, refused) = (failures.filter(\.isTransient), failures.filter { !$0.isTransient })
        var parts: [String] = []
        if let first = refused.first {
            parts.append("\(refused.count) items refused (\(first.reason))")
        }
        if unnamedCount > 0 {
            parts.append("\(unnamedCount) items refused, and the answer does not say which")
        }
        if let first = again.first {
            parts.append("\(again.count) items to be tried again (\(first.reason))")
        }
        return parts.joined(separator: ", ")
    }

    /// All items where nobody knows which were refused; it counts as many points as were.
    private func whole(_ request: SinkRequest) -> SinkRequest {
        var refused = request
        let count = unnamedCount + failures.count { !$0.isTransient }
        refused.pointCount = min(request.pointCount, count)
        return refused
    }

    /// `nil` for a body that no encoder made.
    static func items(
        of body: [UInt8], in envelope: RequestEnvelope
    ) -> [ArraySlice<UInt8>]? {
        let end = body.count - envelope.close.count
        guard body.starts(with: envelope.open), envelope.open.last == UInt8(ascii: "["),
            end >= envelope.open.count
        else { return nil }
        let start = envelope.open.count - 1
        let ranges = body[start...].withUnsafeBytes { raw -> [Range<Int>]? in
            var json = JSONScanner(raw)
            var ranges: [Range<Int>] = []
            do throws(JSONError) {
                try json.beginArray()
                while try json.nextElement() {
                    _ = try json.peek()
                    let itemStart = json.position
                    try json.skip()
                    ranges.append(itemStart..<json.position)
                }
                return ranges
            } catch {
                return nil
            }
        }
        return ranges?.map { body[(start + $0.lowerBound)..<(start + $0.upperBound)] }
    }
}

extension ItemVerdicts {
    /// Honeycomb's answer: an array with a status for each event
    /// (<https://docs.honeycomb.io/api/tag/Events#operation/createEvents>). `nil` for anything else.
    init?(honeycomb body: [UInt8]) {
        guard
            let found = Self.read(
                body,
                { (json) throws(JSONError) in
                    var failures: [Failure] = []
                    try json.beginArray()
                    var item = 0
                    while try json.nextElement() {
                        var status: Int64 = 0
                        var words = ""
                        try json.beginObject()
                        while let key = try json.nextKey() {
                            switch key {
                            case "status": status = try json.integer()
                            case "error": words = try json.string().string
                            default: try json.skip()
                            }
                        }
                        if !(200..<300).contains(status) {
                            failures.append(
                                Failure(
                                    item: item, isTransient: status == 429 || status >= 500,
                                    reason: "\(status) \(words)"))
                        }
                        item += 1
                    }
                    return failures
                })
        else { return nil }
        failures = found
    }

    /// BigQuery's answer with `insertErrors`
    /// (<https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll#response-body>). `nil` for anything that is no
    /// object.
    init?(bigQuery body: [UInt8]) {
        guard
            let found = Self.read(
                body,
                { (json) throws(JSONError) in
                    var failures: [Failure] = []
                    try json.beginObject()
                    while let key = try json.nextKey() {
                        guard "insertErrors" ~= key else {
                            try json.skip()
                            continue
                        }
                        try json.beginArray()
                        while try json.nextElement() { failures.append(try Self.row(&json)) }
                    }
                    return failures
                })
        else { return nil }
        failures = found
    }

    /// `{"index": 2, "errors": [{"reason": "invalid", "message": "…"}]}`
    private static func row(_ json: inout JSONScanner) throws(JSONError) -> Failure {
        var failure = Failure(item: -1, isTransient: false, reason: "")
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "index": failure.item = Int(try json.integer())
            case "errors":
                try json.beginArray()
                while try json.nextElement() {
                    try json.beginObject()
                    while let key = try json.nextKey() {
                        switch key {
                        case "reason":
                            let word = try json.string().string
                            if ["backendError", "internalError", "timeout", "stopped"].contains(
                                word)
                            {
                                failure.isTransient = true
                            }
                            failure.reason += "\(word) "
                        case "message": failure.reason += try json.string().string.prefix(300)
                        default: try json.skip()
                        }
                    }
                }
            default: try json.skip()
            }
        }
        return failure
    }

    /// What `parse` makes of a whole document; `nil` for one that is not as it should be.
    static func read<Found>(
        _ body: some Collection<UInt8>, _ parse: (inout JSONScanner) throws(JSONError) -> Found
    ) -> Found? {
        do throws(JSONError) {
            return try JSONScanner.read(Array(body)) { (json) throws(JSONError) in
                let found = try parse(&json)
                try json.end()
                return found
            }
        } catch {
            return nil
        }
    }
}
