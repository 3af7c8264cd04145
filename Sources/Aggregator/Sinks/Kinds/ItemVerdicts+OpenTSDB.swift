import Wire

extension ItemVerdicts {
    /// OpenTSDB's answer to `/api/put?details`
    /// (<http://opentsdb.net/docs/build/html/api_http/put.html#response>), which repeats each point that failed:
    /// `{"success":1,"failed":1,"timeouts":0,"errors":[{"datapoint":{…},"error":"Unknown metric"}]}`. `nil` for anything else.
    init?(openTSDB body: [UInt8], of request: SinkRequest, in envelope: RequestEnvelope) {
        guard let answer = Self.read(body, { (json) throws(JSONError) in try PutAnswer(&json) }),
            let failedCount = answer.failedCount, failedCount >= 0
        else { return nil }
        if failedCount == 0 { return }
        // Points have no numbers in the answer: their metric and tags are looked up.
        var numbers: [PutPoint: Int] = [:]
        for (number, item) in (Self.items(of: request.body, in: envelope) ?? []).enumerated() {
            let point = Self.read(item) { (json) throws(JSONError) in try PutPoint(&json) }
            if let point { numbers[point] = number }
        }
        var known: Set<Int> = []
        for error in answer.errors {
            guard let number = numbers[error.point], known.insert(number).inserted else { continue }
            failures.append(
                Failure(
                    item: number, isTransient: Self.isTransient(openTSDB: error.words),
                    reason: error.words))
        }
        unnamedCount = min(request.pointCount, max(0, failedCount - known.count))
    }

    /// By the words of OpenTSDB 2: storage that did not answer, or asked for patience.
    private static func isTransient(openTSDB words: String) -> Bool {
        if words.hasPrefix("Storage exception") {
            // Names that nobody may make by writing.
            return words[...].range(of: "No such name") == nil
        }
        return ["Please throttle", "Timeout exception", "Write timedout"].contains {
            words.hasPrefix($0)
        }
    }
}

/// What a point of a request is known by. All points of one have the same time.
private struct PutPoint: Hashable {
    private var metric = ""
    private var tags: [String: String] = [:]

    init(_ json: inout JSONScanner) throws(JSONError) {
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "metric": metric = try json.string().string
            case "tags":
                try json.beginObject()
                while let tag = try json.nextKey() {
                    tags[tag.string] = try json.string().string
                }
            default: try json.skip()
            }
        }
    }
}

private struct PutAnswer {
    /// With those that timed out; `nil` where the answer has no such number.
    var failedCount: Int?
    var errors: [(point: PutPoint, words: String)] = []

    init(_ json: inout JSONScanner) throws(JSONError) {
        var timeoutCount = 0
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "failed": failedCount = Int(try json.integer())
            case "timeouts": timeoutCount = Int(try json.integer())
            case "errors":
                try json.beginArray()
                while try json.nextElement() { try readError(&json) }
            default: try json.skip()
            }
        }
        failedCount = failedCount.map { $0.addingReportingOverflow(timeoutCount).partialValue }
    }

    private mutating func readError(_ json: inout JSONScanner) throws(JSONError) {
        var point: PutPoint?
        var words = ""
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "datapoint": point = try PutPoint(&json)
            case "error": words = String(try json.string().string.prefix(300))
            default: try json.skip()
            }
        }
        if let point { errors.append((point, words)) }
    }
}
