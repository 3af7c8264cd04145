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

    /// The same without some cycles.
    func subtracting(_ cycles: Set<Int64>, resolution: Int64) -> CycleRanges {
        let left = self.cycles(resolution: resolution, after: .min / 2).subtracting(cycles)
        return CycleRanges(left, resolution: resolution)
    }

    /// Forgets what was before.
    mutating func trim(before oldest: Int64) {
        ranges.removeAll { $0.upperBound < oldest }
        if let first = ranges.first, first.lowerBound < oldest {
            ranges[0] = oldest...first.upperBound
        }
    }

    /// Adds a cycle behind all others, or any other one at the price of making the ranges anew.
    mutating func insert(_ cycle: Int64, resolution: Int64) {
        guard let last = ranges.last else {
            ranges = [cycle...cycle]
            return
        }
        if last.upperBound >= cycle {
            var all = cycles(resolution: resolution, after: .min / 2)
            all.insert(cycle)
            self = CycleRanges(all, resolution: resolution)
        } else if cycle - last.upperBound <= resolution {
            ranges[ranges.count - 1] = last.lowerBound...cycle
        } else {
            ranges.append(cycle...cycle)
            if ranges.count > Self.countMax { joinClosest() }
        }
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

    /// What a line about a node and its cycles begins with, in both kinds of cursor.
    static let lineMark = "without"

    /// `without node-17 1795248060000-1795248080000`, a line for each node in the order of names.
    static func lines(_ absent: [String: CycleRanges]) -> String {
        absent.sorted { $0.key < $1.key }
            .map { "\(lineMark) \($0.key) \($0.value.text)\n" }.joined()
    }

    /// - Returns: the node and its cycles; `nil` for words that are no such line.
    static func parse(_ words: some Collection<Substring>) -> (node: String, cycles: CycleRanges)? {
        let words = Array(words)
        guard words.count == 3, words[0] == lineMark[...],
            let cycles = CycleRanges(parsing: words[2])
        else { return nil }
        return (String(words[1]), cycles)
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
