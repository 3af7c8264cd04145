import Wire

/// What InfluxDB says when it stored only some lines of a request: how many it dropped, and why it dropped
/// the first (<https://docs.influxdata.com/influxdb/v1/troubleshooting/errors/#partial-write-series>).
struct InfluxPartialWrite: Equatable {
    /// A field that has another type where it is already.
    struct Conflict: Equatable {
        var measurement: String
        var field: String
        /// Of what was written: `integer`, `float`.
        var type: String
    }

    /// Lines; 0 where all that failed could not even be read.
    var droppedLineCount: Int
    var conflict: Conflict?
    /// For people.
    var reason: String

    /// `nil` for any other answer. Version 2 has said 500 for points beyond the retention time.
    init?(_ response: HTTPClientAnswer) {
        guard response.status >= 400 else { return nil }
        let whole =
            FlatJSON.text("error", in: response.body)
            ?? FlatJSON.text("message", in: response.body)
            ?? String(decoding: response.body.prefix(4_096), as: UTF8.self)
        guard let mark = whole[...].range(of: "partial write") else { return nil }
        let text = whole[mark.lowerBound...]
        reason = "HTTP \(response.status) \(text.prefix(300))"
        guard let count = text.range(of: "dropped=") else { return nil }
        droppedLineCount = Int(text[count.upperBound...].prefix { $0.isNumber }) ?? 0
        conflict = Self.conflict(in: text)
    }

    /// `input field "F" on measurement "M" is type T, already exists as type U`.
    private static func conflict(in text: Substring) -> Conflict? {
        guard let start = text.range(of: "input field \"") else { return nil }
        let field = text[start.upperBound...]
        guard let middle = field.range(of: "\" on measurement \"") else { return nil }
        let measurement = field[middle.upperBound...]
        guard let end = measurement.range(of: "\" is type "),
            let comma = measurement[end.upperBound...].firstIndex(of: ",")
        else { return nil }
        return Conflict(
            measurement: String(measurement[..<end.lowerBound]),
            field: String(field[..<middle.lowerBound]),
            type: String(measurement[end.upperBound..<comma]))
    }
}

/// Finds out which lines of a partly stored request were dropped, by sending parts of it again: points that
/// are stored already replace themselves. Pure: it says what to send, and is told what came of it.
///
/// A field in conflict is known by its name, and taken out of all lines that have it. Otherwise halves are sent
/// while that promises to end; what then is still not known is set aside as a whole.
struct InfluxLineSieve {
    enum Answer {
        case accepted
        case partial(InfluxPartialWrite)
        /// All of it, for ever.
        case refused(reason: String)
        case failed(reason: String)
    }

    /// Requests beside the first.
    static let exchangeCountMax = 64

    private var exchangeCount = 0
    /// Parts that are still to be sent, the last one first.
    private var parts: [[InfluxLine]] = []
    private var sent: [InfluxLine] = []
    private var refused: [InfluxLine] = []
    private var refusedPointCount = 0
    private var remaining: [InfluxLine] = []
    private var reasons: [String] = []

    /// - Parameter lines: of the whole request, that was answered with `first`.
    init(_ lines: [InfluxLine], _ first: InfluxPartialWrite) {
        sent = lines
        take(.partial(first))
    }

    /// The lines to send next; `nil` when all is said.
    mutating func next() -> [UInt8]? {
        guard let part = parts.popLast() else { return nil }
        exchangeCount += 1
        sent = part
        return Self.body(part)
    }

    /// What came of the lines that `next` gave last.
    mutating func take(_ answer: Answer) {
        switch answer {
        case .accepted: break
        case .refused(let reason): refuse(sent, because: reason)
        case .failed(let reason):
            // The server has a problem: later.
            remaining = sent + parts.joined()
            parts = []
            note(reason)
        case .partial(let write):
            if let conflict = write.conflict, takeOut(conflict, write) { return }
            if write.droppedLineCount >= sent.count || sent.count == 1 {
                refuse(sent, because: write.reason)
            } else if isWorthHalving(write.droppedLineCount) {
                let middle = sent.count / 2
                parts.append(Array(sent[middle...]))
                parts.append(Array(sent[..<middle]))
            } else {
                // Among these lines, nobody knows which.
                let share = Self.pointCount(sent) * write.droppedLineCount / sent.count
                refuse(
                    sent,
                    because: "\(write.droppedLineCount) of \(sent.count) lines: \(write.reason)",
                    pointCount: max(1, share))
            }
        }
    }

    /// Whether looking for so many lines among those that were sent takes no more requests than there may be.
    private func isWorthHalving(_ count: Int) -> Bool {
        let wanted = max(1, count)
        var (depth, size) = (0, sent.count)
        while size > 1 {
            size = (size + 1) / 2
            depth += 1
        }
        return 2 * wanted * depth <= Self.exchangeCountMax - exchangeCount - parts.count
    }

    /// False if the answer does not fit what was sent.
    private mutating func takeOut(
        _ conflict: InfluxPartialWrite.Conflict, _ write: InfluxPartialWrite
    ) -> Bool {
        guard exchangeCount < Self.exchangeCountMax else { return false }
        var untouched: [InfluxLine] = []
        var (removed, rests): ([InfluxLine], [InfluxLine]) = ([], [])
        for line in sent {
            let split = line.removing(
                conflict.field, of: conflict.measurement, type: conflict.type)
            guard let split else {
                untouched.append(line)
                continue
            }
            removed.append(split.removed)
            if let rest = split.rest { rests.append(rest) }
        }
        guard !removed.isEmpty, removed.count <= write.droppedLineCount else { return false }
        refuse(removed, because: write.reason)
        // If these are all that were dropped, the others are stored.
        let next = removed.count == write.droppedLineCount ? rests : rests + untouched
        if !next.isEmpty { parts.append(next) }
        return true
    }

    private mutating func refuse(
        _ lines: [InfluxLine], because reason: String, pointCount: Int? = nil
    ) {
        refused += lines
        refusedPointCount += pointCount ?? Self.pointCount(lines)
        note(reason)
    }

    private mutating func note(_ reason: String) {
        if reasons.count < 4, !reasons.contains(reason) { reasons.append(reason) }
    }

    /// What became of the whole.
    ///
    /// - Parameter packing: of request bodies; what is set aside is left plain, for people.
    func outcome(cycle: Int64, packing: BodyPacking) -> DeliveryOutcome {
        func request(_ lines: [InfluxLine], _ count: Int, _ packing: BodyPacking) -> SinkRequest? {
            if lines.isEmpty { return nil }
            return SinkRequest(
                cycle: cycle, pointCount: count, body: packing.pack(Self.body(lines)))
        }
        return .partly(
            remaining: request(remaining, Self.pointCount(remaining), packing),
            refused: request(refused, refusedPointCount, .none),
            reason: reasons.joined(separator: "; "))
    }

    private static func body(_ lines: [InfluxLine]) -> [UInt8] {
        var body: [UInt8] = []
        for line in lines {
            body.append(contentsOf: line.bytes)
            body.append(UInt8(ascii: "\n"))
        }
        return body
    }

    private static func pointCount(_ lines: [InfluxLine]) -> Int {
        lines.reduce(0) { $0 + $1.pointCount }
    }
}
