/// Cycles as ranges of time, bounded in number: where there are too many, those with the shortest
/// pauses between them become one.
struct CycleRanges: Sendable, Equatable {
    private(set) var ranges: [ClosedRange<Int64>] = []

    static let countMax = 64

    /// - Parameter resolution: cycles that are no further apart make one range.
    init(_ cycles: some Sequence<Int64> = [], resolution: Int64 = 1) {
        for cycle in cycles.sorted() {
            if let last = ranges.last, cycle - last.upperBound <= resolution {
                ranges[ranges.count - 1] = last.lowerBound...max(last.upperBound, cycle)
            } else {
                ranges.append(cycle...cycle)
            }
        }
        while ranges.count > Self.countMax { joinClosest() }
    }

    private mutating func joinClosest() {
        var closest = 1
        func pause(before index: Int) -> Int64 {
            ranges[index].lowerBound - ranges[index - 1].upperBound
        }
        for index in 2..<ranges.count where pause(before: index) < pause(before: closest) {
            closest = index
        }
        let joined = ranges[closest - 1].lowerBound...ranges[closest].upperBound
        ranges.replaceSubrange((closest - 1)...closest, with: [joined])
    }

    var isEmpty: Bool { ranges.isEmpty }

    func contains(_ cycle: Int64) -> Bool { ranges.contains { $0.contains(cycle) } }

    /// Whole multiples of the resolution, those after `oldest` only.
    func cycles(resolution: Int64, after oldest: Int64) -> Set<Int64> {
        var found: Set<Int64> = []
        for range in ranges where range.upperBound > oldest {
            var cycle = max(range.lowerBound, oldest + 1)
            cycle = (cycle + resolution - 1) / resolution * resolution
            while cycle <= range.upperBound {
                found.insert(cycle)
                cycle += resolution
            }
        }
        return found
    }

    /// `1795248000000-1795248080000,1795248200000`
    var text: String {
        ranges.map {
            $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)"
        }.joined(separator: ",")
    }

    /// - Returns: `nil` for a text that is not ours.
    init?(parsing text: some StringProtocol) {
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count <= 2, let first = Int64(ends[0]), first >= 0,
                let last = Int64(ends[ends.count - 1]), last >= first,
                ranges.last.map({ $0.upperBound < first }) ?? true, ranges.count < Self.countMax
            else { return nil }
            ranges.append(first...last)
        }
    }
}

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

/// The cursors of all sinks, by name: what is in the Lease's annotation.
///
/// ```
/// heapwire-sinks 1
/// influxdb 1795248080000 again 1795248000000-1795248010000
/// kafka 1795248070000
/// ```
struct SinkCursors: Sendable, Equatable {
    var sinks: [String: SinkCursor] = [:]

    private static let heading = "heapwire-sinks 1"
    /// An object's annotations may have 256 KiB together.
    private static let byteCountMax = 128 << 10

    var text: String {
        var lines = Self.heading + "\n"
        for (name, cursor) in sinks.sorted(by: { $0.key < $1.key }) {
            var line = "\(name) \(cursor.through)"
            if !cursor.again.isEmpty { line += " again \(cursor.again.text)" }
            if !cursor.missing.isEmpty { line += " missing \(cursor.missing.text)" }
            guard lines.utf8.count + line.utf8.count < Self.byteCountMax else { break }
            lines += line + "\n"
        }
        return lines
    }

    init(_ sinks: [String: SinkCursor] = [:]) { self.sinks = sinks }

    /// - Returns: `nil` for a text that is not ours.
    init?(parsing text: String) {
        let lines = text.split(separator: "\n")
        guard lines.first == Self.heading[...] else { return nil }
        for line in lines.dropFirst() {
            var words = line.split(separator: " ")[...]
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
