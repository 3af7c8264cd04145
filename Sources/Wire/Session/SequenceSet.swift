/// A set of sequence numbers as ascending ranges that neither overlap nor touch.
///
/// Both ends keep one per agent run: the aggregator of the frames that it has kept (or was told do
/// not exist any more), the agent of those that were acknowledged. Sequences are settled nearly in
/// order, so there is one range, and one more per backlog that is under way.
public struct SequenceSet: Sendable, Equatable {
    public private(set) var ranges: [SequenceRange] = []

    public init() {}

    public var isEmpty: Bool { ranges.isEmpty }

    /// Numbers in the set.
    public var count: UInt64 { ranges.reduce(0) { $0 &+ $1.count } }

    public func contains(_ sequence: UInt64) -> Bool {
        let index = firstIndex(endingAtOrAfter: sequence)
        return index < ranges.count && ranges[index].first <= sequence
    }

    /// Adds a range; returns how many of its numbers are new. Constant time at the upper end.
    @discardableResult
    public mutating func insert(_ range: SequenceRange) -> UInt64 {
        if let last = ranges.last, last.first <= range.first, range.first <= last.after {
            let added = range.last > last.last ? range.last &- last.last : 0
            ranges[ranges.count - 1].last = max(last.last, range.last)
            return added
        }
        let before = range.first == 0 ? 0 : range.first - 1
        let start = firstIndex(endingAtOrAfter: before)
        var end = start
        var merged = range
        var known: UInt64 = 0
        while end < ranges.count, ranges[end].first <= range.after {
            let old = ranges[end]
            let low = max(old.first, range.first)
            let high = min(old.last, range.last)
            if low <= high { known &+= high &- low &+ 1 }
            merged = SequenceRange(min(merged.first, old.first), max(merged.last, old.last))
            end += 1
        }
        ranges.replaceSubrange(start..<end, with: CollectionOfOne(merged))
        return range.count &- known
    }

    public mutating func formUnion(_ other: SequenceSet) {
        for range in other.ranges { insert(range) }
    }

    /// Takes a range out; returns how many of its numbers were in.
    @discardableResult
    public mutating func remove(_ range: SequenceRange) -> UInt64 {
        let start = firstIndex(endingAtOrAfter: range.first)
        var end = start
        var rest: [SequenceRange] = []
        var removed: UInt64 = 0
        while end < ranges.count, ranges[end].first <= range.last {
            let old = ranges[end]
            removed &+= min(old.last, range.last) &- max(old.first, range.first) &+ 1
            if old.first < range.first { rest.append(SequenceRange(old.first, range.first - 1)) }
            if old.last > range.last { rest.append(SequenceRange(range.last + 1, old.last)) }
            end += 1
        }
        if end > start { ranges.replaceSubrange(start..<end, with: rest) }
        return removed
    }

    /// The first number at or after `sequence` that is not in the set.
    public func firstMissing(from sequence: UInt64) -> UInt64 {
        let index = firstIndex(endingAtOrAfter: sequence)
        guard index < ranges.count, ranges[index].first <= sequence else { return sequence }
        return ranges[index].after
    }

    /// Takes out everything from `sequence` on.
    public mutating func remove(from sequence: UInt64) { remove(SequenceRange(sequence, .max)) }

    /// The parts of `range` that are not in the set, ascending.
    public func missing(in range: SequenceRange) -> [SequenceRange] {
        var missing: [SequenceRange] = []
        var next = range.first
        for known in ranges[firstIndex(endingAtOrAfter: range.first)...] {
            if known.first > range.last { break }
            if known.first > next { missing.append(SequenceRange(next, known.first - 1)) }
            if known.last >= range.last { return missing }
            next = known.last + 1
        }
        missing.append(SequenceRange(next, range.last))
        return missing
    }

    /// Binary search for the first range whose last number is not below `sequence`.
    private func firstIndex(endingAtOrAfter sequence: UInt64) -> Int {
        var low = 0
        var high = ranges.count
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].last < sequence { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
