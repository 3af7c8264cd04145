/// Reads the changes of one subject after the other.
struct ValueReader {
    private let values: UnsafeMutablePointer<Int64>
    private let series: UnsafeMutablePointer<SeriesState>
    private let flags: UnsafeMutablePointer<ChangeFlags>
    private let expected: UnsafeMutablePointer<Int64>
    private let differences: UnsafeMutablePointer<Int64>
    private let scratch: UnsafeMutablePointer<FrameState.ScratchWord>

    init(state: borrowing FrameState) {
        values = state.values.base
        series = state.series.base
        flags = state.flags.base
        expected = state.expected.base
        differences = state.differences.base
        scratch = state.scratch
    }

    /// Reads a subject's changes into its row, where there are any.
    @inline(__always)
    func read(_ row: LiveRow, _ reader: inout BitReader) {
        if row.isFresh { readFirst(row, &reader) } else { readNext(row, &reader) }
    }

    // Two copies, each of which knows what it is about.

    private func readFirst(_ row: LiveRow, _ reader: inout BitReader) {
        read(row, isFresh: true, &reader)
    }

    private func readNext(_ row: LiveRow, _ reader: inout BitReader) {
        read(row, isFresh: false, &reader)
    }

    @inline(__always)
    private func read(_ row: LiveRow, isFresh: Bool, _ shared: inout BitReader) {
        // A copy can stay in registers.
        var reader = shared
        let tables = row.tables.pointee
        let values = values + row.offset
        let series = series + row.offset
        let (expected, differences) = (expected, differences)
        for word in 0..<row.wordCount {
            let flagged = flags[row.firstWord &+ word].last
            var pending = flagged
            if word > 0 {
                pending |= scratch[word].pending
                scratch[word].pending = 0
            }
            var seen: UInt64 = 0
            while pending != 0 {
                let bit = pending & (0 &- pending)
                let column = word &<< 6 | pending.trailingZeroBitCount
                pending ^= bit
                seen |= bit
                let plan = tables.columns[column]
                var units = expected[column]
                expected[column] = 0
                if flagged & bit != 0 {
                    var isRead = true
                    if plan.traits.contains(.hasWhole) {
                        scratch[word].seen = seen
                        if let whole = difference(Int(plan.whole)), reader.bit() {
                            units = whole
                            isRead = false
                        }
                    }
                    if isRead {
                        let parameter = series[column].parameter(
                            value: values[column], unitBits: plan.unitBits, isFresh: isFresh)
                        let isPositive = plan.traits.contains(.isPositive) && !isFresh
                        switch series[column].read(
                            parameter, isPositive: isPositive, &reader)
                        {
                        case .change(let change):
                            units &+= change
                        case .raw(let change):
                            values[column] &+= change
                            units = 0
                        }
                    }
                }
                values[column] &+= units &* Int64(plan.granularity)
                // Most columns are no source; it is cheaper to do nothing for them than to ask.
                differences[column] = units
                tables.pass(units, of: plan, to: expected)
                pending |= tables.pend(plan, scratch)
            }
            scratch[word].seen = seen
        }
        shared = reader
    }

    /// The difference of a column before the one at hand, in units; `nil` for 0.
    @inline(__always)
    private func difference(_ column: Int) -> Int64? {
        guard scratch[column &>> 6].seen &>> UInt64(column & 63) & 1 != 0,
            differences[column] != 0
        else { return nil }
        return differences[column]
    }
}
