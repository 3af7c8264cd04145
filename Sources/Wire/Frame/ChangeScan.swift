/// What the encoder found out about the frame at hand before it writes a bit: which columns changed
/// otherwise than predicted, and by how much.
struct ChangeScan: ~Copyable {
    /// Per flag word: what the encoder has to say about 64 columns of a subject.
    struct Word: BitwiseCopyable {
        /// Columns with a bit of their own.
        var active: UInt64 = 0
        /// Silent columns that changed.
        var silentExceptions: UInt64 = 0
        var flags: UInt64 = 0
        /// The change is of the value, not in units.
        var raw: UInt64 = 0
        /// The difference of the whole is not zero: one bit says whether the part is all of it.
        var hasWhole: UInt64 = 0
        var isWhole: UInt64 = 0
    }

    private(set) var words = FramePlane(zero: Word())
    /// Changes of flagged columns.
    private(set) var changes = FramePlane<Int64>(zero: 0)

    mutating func grow(values: Int, words wordCount: Int) {
        changes.grow(to: values)
        words.grow(to: wordCount)
    }

    /// Looks at every value, and moves the flags on.
    mutating func findChanges(
        _ state: borrowing FrameState, next: UnsafeMutablePointer<Int64>
    ) {
        let rows = state.live.base
        let isTurning = state.isTurning
        for index in 0..<state.live.count {
            let row = rows[index]
            if row.isFresh { state.copyModelFlags(to: row) }
            // Both ends know a model's new values before its followers' changes.
            let last =
                if !row.isFresh {
                    state.values.base + row.offset
                } else if row.model < 0 {
                    zeros(row, state)
                } else {
                    next + rows[Int(row.model)].offset
                }
            rows[index].isChanged = findChanges(
                row, state, last: last, next: next + row.offset)
            var flagged: UInt64 = 0
            for word in row.firstWord..<row.firstWord &+ row.wordCount {
                flagged |= classify(word, state, isTurning: isTurning)
            }
            rows[index].isFlagged = flagged != 0
        }
    }

    /// A fresh row without a model starts from zeros, which its own last values are made.
    private func zeros(
        _ row: LiveRow, _ state: borrowing FrameState
    ) -> UnsafeMutablePointer<Int64> {
        state.values.clear(row.offset, row.count)
        return state.values.base + row.offset
    }

    /// Sets `flags`, `raw`, `hasWhole` and `isWhole` of a row's words, and its changes. Returns
    /// whether any value is another.
    private func findChanges(
        _ row: LiveRow, _ state: borrowing FrameState, last: UnsafeMutablePointer<Int64>,
        next: UnsafeMutablePointer<Int64>
    ) -> Bool {
        let (expected, differences) = (state.expected.base, state.differences.base)
        let tables = row.tables.pointee
        var anyChange = false
        for wordIndex in 0..<row.wordCount {
            let first = wordIndex &* 64
            var pending = Self.unequal(last + first, next + first, min(row.count &- first, 64))
            anyChange = anyChange || pending != 0
            if wordIndex > 0 {
                pending |= state.scratch[wordIndex].pending
                state.scratch[wordIndex].pending = 0
            }
            var word = Word()
            var seen: UInt64 = 0
            while pending != 0 {
                let bit = pending & (0 &- pending)
                let column = first &+ pending.trailingZeroBitCount
                pending ^= bit
                seen |= bit
                let plan = tables.columns[column]
                let difference = next[column] &- last[column]
                let units = tables.divisors[column].units(difference)
                let change = (units ?? 0) &- expected[column]
                expected[column] = 0
                if units == nil {
                    word.raw |= bit
                    word.flags |= bit
                    changes.base[row.offset &+ column] = difference
                } else if change != 0 {
                    word.flags |= bit
                    changes.base[row.offset &+ column] = change
                }
                if plan.traits.contains(.hasWhole), word.flags & bit != 0 {
                    state.scratch[wordIndex].seen = seen
                    if let whole = state.difference(Int(plan.whole)) {
                        word.hasWhole |= bit
                        if whole == units { word.isWhole |= bit }
                    }
                }
                differences[column] = units ?? 0
                guard let units, units != 0 else { continue }
                tables.pass(units, of: plan, to: expected)
                pending |= tables.pend(plan, state.scratch)
            }
            state.scratch[wordIndex].seen = seen
            words.base[row.firstWord &+ wordIndex] = word
        }
        return anyChange
    }

    /// A bit for each pair of values that differ. Eight at a time, because most do not.
    @inline(__always)
    private static func unequal(
        _ a: UnsafeMutablePointer<Int64>, _ b: UnsafeMutablePointer<Int64>, _ count: Int
    ) -> UInt64 {
        var mask: UInt64 = 0
        var first = 0
        while first &+ 8 <= count {
            var any: Int64 = 0
            for index in first..<first &+ 8 { any |= a[index] ^ b[index] }
            if any != 0 { mask |= unequalBits(a + first, b + first, 8) &<< UInt64(first) }
            first &+= 8
        }
        if first < count {
            mask |= unequalBits(a + first, b + first, count &- first) &<< UInt64(first)
        }
        return mask
    }

    @inline(__always)
    private static func unequalBits(
        _ a: UnsafeMutablePointer<Int64>, _ b: UnsafeMutablePointer<Int64>, _ count: Int
    ) -> UInt64 {
        var mask: UInt64 = 0
        for index in 0..<count {
            mask |= (a[index] == b[index] ? 0 : 1) &<< UInt64(truncatingIfNeeded: index)
        }
        return mask
    }

    /// Splits a word's flags by what both ends expected, and moves the expectation on.
    @inline(__always)
    private mutating func classify(
        _ index: Int, _ state: borrowing FrameState, isTurning: Bool
    ) -> UInt64 {
        let known = state.flags.base[index]
        let flags = words.base[index].flags
        words.base[index].active = known.active
        words.base[index].silentExceptions = flags & ~known.active
        state.flags.base[index].take(flags, turning: isTurning)
        return flags
    }
}
