/// Reads the changes of one subject after the other.
struct ValueReader {
    private let values: UnsafeMutablePointer<Int64>
    private let series: UnsafeMutablePointer<SeriesState>
    private let flags: UnsafeMutablePointer<ChangeFlags>
    private let differences: UnsafeMutablePointer<Int64>
    private let scratch: UnsafeMutablePointer<FrameState.ScratchWord>

    init(state: borrowing FrameState) {
        values = state.values.base
        series = state.series.base
        flags = state.flags.base
        differences = state.differences.base
        scratch = state.scratch
    }

    /// Reads a subject's changes into its row, where there are any.
    func read(_ row: LiveRow, _ shared: inout BitReader) {
        // A copy can stay in registers.
        var reader = shared
        let (values, series, differences) = (values, series, differences)
        let (scratch, flags) = (scratch, flags)
        let tables = row.tables.pointee
        var anySource = false
        for word in 0..<row.wordCount {
            let flagged = flags[row.firstWord &+ word].last
            var pending = flagged
            if word > 0 {
                pending |= scratch[word].pending
                scratch[word].pending = 0
            }
            var sources: UInt64 = 0
            while pending != 0 {
                let bit = pending & (0 &- pending)
                let column = word &<< 6 | pending.trailingZeroBitCount
                pending ^= bit
                let plan = tables.columns[column]
                let index = row.offset &+ column
                var units: Int64 = 0
                if plan.traits.contains(.hasTerms) { units = tables.predicted(plan, differences) }
                if flagged & bit != 0 {
                    units = Self.readColumn(
                        plan, values + index, series + index, differences, units,
                        isFresh: row.isFresh, &reader)
                }
                values[index] &+= units &* Int64(plan.granularity)
                guard plan.traits.contains(.isSource), units != 0 else { continue }
                differences[column] = units
                sources |= bit
                pending |= tables.pend(plan, scratch)
            }
            scratch[word].sources = sources
            anySource = anySource || sources != 0
        }
        if anySource { clearDifferences(row.wordCount) }
        shared = reader
    }

    private func clearDifferences(_ wordCount: Int) {
        for word in 0..<wordCount {
            var sources = scratch[word].sources
            while sources != 0 {
                differences[word &<< 6 | sources.trailingZeroBitCount] = 0
                sources &= sources &- 1
            }
        }
    }

    /// Reads what a prediction missed, and returns the difference in units. A change that is not in
    /// units goes straight to the value.
    @inline(__always)
    private static func readColumn(
        _ plan: SchemaPlan.Column, _ value: UnsafeMutablePointer<Int64>,
        _ state: UnsafeMutablePointer<SeriesState>,
        _ differences: UnsafeMutablePointer<Int64>, _ predicted: Int64, isFresh: Bool,
        _ reader: inout BitReader
    ) -> Int64 {
        if plan.traits.contains(.hasWhole) {
            let whole = differences[Int(plan.whole)]
            if whole != 0, reader.bit() { return whole }
        }
        let isPositive = plan.traits.contains(.isPositive) && !isFresh
        let model = state.pointee.model(
            value: value.pointee, unitBits: plan.unitBits, isFresh: isFresh)
        switch state.pointee.read(model, isPositive: isPositive, &reader) {
        case .change(let change):
            return predicted &+ change
        case .raw(let change):
            value.pointee &+= change
            return 0
        }
    }
}
