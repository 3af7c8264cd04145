import Wire

/// The query of a series: `start`, `end`, `labels`.
struct SeriesQuery: Equatable, Sendable {
    /// Milliseconds since the epoch, inclusive.
    var start = Int64.min
    var end = Int64.max
    var labels: [String: String] = [:]

    /// A parameter that cannot be read, in Heapster's words.
    struct Invalid: Error, Equatable {
        let message: String
    }

    init() {}

    init(_ request: HTTPRequest) throws(Invalid) {
        try self.init(
            start: request.queryValue("start"), end: request.queryValue("end"),
            labels: request.queryValue("labels"))
    }

    init(start: String?, end: String?, labels: String?) throws(Invalid) {
        if let start = try Self.time(start) { self.start = start }
        if let end = try Self.time(end) { self.end = end }
        for pair in (labels ?? "").split(separator: ",", omittingEmptySubsequences: true) {
            let parts = pair.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw Invalid(message: "invalid label pair \"\(pair)\"")
            }
            self.labels[String(parts[0])] = String(parts[1])
        }
    }

    private static func time(_ text: String?) throws(Invalid) -> Int64? {
        guard let text, !text.isEmpty else { return nil }
        if let milliseconds = RFC3339.milliseconds(parsing: text) { return milliseconds }
        throw Invalid(
            message: "timestamp argument cannot be parsed: " + GoTimeError.message(parsing: text))
    }
}
