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

    /// What the failures mean for a request whose body is a row of JSON values in the encoder's
    /// envelope, one for each point.
    func outcome(of request: SinkRequest, in envelope: RequestEnvelope) -> DeliveryOutcome {
        guard let first = failures.first else { return .accepted }
        let reason = "\(failures.count) items failed, the first with \(first.reason)"
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
            refused: part(failures.filter { !$0.isTransient }), reason: reason)
    }

    /// `nil` for a body that no encoder made.
    private static func items(
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

    private static func read(
        _ body: [UInt8], _ parse: (inout JSONScanner) throws(JSONError) -> [Failure]
    ) -> [Failure]? {
        body.withUnsafeBytes { raw -> [Failure]? in
            var json = JSONScanner(raw)
            do throws(JSONError) {
                let failures = try parse(&json)
                try json.end()
                return failures
            } catch {
                return nil
            }
        }
    }
}
