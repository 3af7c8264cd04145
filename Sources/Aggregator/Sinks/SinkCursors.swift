/// How far one sink is, as another aggregator must know it to go on.
struct SinkCursor: Sendable, Equatable {
    /// Every cycle up to this one is delivered (or given up and counted), but for those in `again`.
    /// Never goes back.
    var through: Int64
    /// Cycles of which something came late and is not delivered yet.
    var again = CycleRanges()
    /// Cycles that whoever leads does not have. An aggregator that has them in its queue delivers them
    /// when it leads.
    var missing = CycleRanges()
}

/// The cursors of all sinks, by name, and which nodes were not in the cycles up to there: what is in the
/// Lease's annotation.
///
/// ```
/// heapwire-sinks 1
/// influxdb 1795248080000 again 1795248000000-1795248010000
/// kafka 1795248070000
/// without node-17 1795248060000-1795248080000
/// ```
struct SinkCursors: Sendable, Equatable {
    var sinks: [String: SinkCursor] = [:]
    /// Cycles that went to the sinks without a node.
    var absent: [String: CycleRanges] = [:]

    private static let heading = "heapwire-sinks 1"
    /// An object's annotations may have 256 KiB together, of which these are half.
    private static let byteCountMax = 64 << 10
    private static let absentByteCountMax = 64 << 10

    /// Whether so many nodes can be named.
    static func canName(_ absent: [String: CycleRanges]) -> Bool {
        CycleRanges.lines(absent).utf8.count <= absentByteCountMax
    }

    var text: String {
        var lines = Self.heading + "\n"
        for (name, cursor) in sinks.sorted(by: { $0.key < $1.key }) {
            var line = "\(name) \(cursor.through)"
            if !cursor.again.isEmpty { line += " again \(cursor.again.text)" }
            if !cursor.missing.isEmpty { line += " missing \(cursor.missing.text)" }
            guard lines.utf8.count + line.utf8.count < Self.byteCountMax else { break }
            lines += line + "\n"
        }
        return lines + CycleRanges.lines(absent)
    }

    init(_ sinks: [String: SinkCursor] = [:], absent: [String: CycleRanges] = [:]) {
        self.sinks = sinks
        self.absent = absent
    }

    /// - Returns: `nil` for a text that is not ours.
    init?(parsing text: String) {
        let lines = text.split(separator: "\n")
        guard lines.first == Self.heading[...] else { return nil }
        for line in lines.dropFirst() {
            var words = line.split(separator: " ")[...]
            // In the place of a sink's name, which is that of its kind.
            if words.first == CycleRanges.lineMark[...] {
                guard let found = CycleRanges.parse(words) else { return nil }
                absent[found.node] = found.cycles
                continue
            }
            guard let name = words.popFirst(), let word = words.popFirst(),
                let through = Int64(word), through >= 0
            else { return nil }
            var cursor = SinkCursor(through: through)
            while let key = words.popFirst() {
                guard let value = words.popFirst(), let ranges = CycleRanges(parsing: value) else {
                    return nil
                }
                switch key {
                case "again": cursor.again = ranges
                case "missing": cursor.missing = ranges
                default: return nil
                }
            }
            sinks[String(name)] = cursor
        }
    }
}
