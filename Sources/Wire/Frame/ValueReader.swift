/// Reads the changes of one subject after the other.
///
/// This is where the time of decoding goes, so: what is rare is out of line, what cannot be foreseen
/// has no branch, and the pointers were checked by whoever made the layout.
struct ValueReader {
    private let values: UnsafeMutablePointer<Int64>
    private let series: UnsafeMutablePointer<SeriesState>
    private let flags: UnsafeMutablePointer<ChangeFlags>
    private let differences: UnsafeMutablePointer<Int64>
    private let predicted: UnsafeMutablePointer<Int64>
    private let scratch: UnsafeMutablePointer<FrameState.ScratchWord>

    init(state: borrowing FrameState) {
        values = state.values.base
        series = state.series.base
        flags = state.flags.base
        differences = state.differences.base
        predicted = state.predicted.base
        scratch = state.scratch
    }

    /// Reads a subject's changes into its row, where there are any.
    func read(_ row: LiveRow, _ shared: inout BitReader) {
        // A copy can stay in registers.
        var reader = shared
        let tables = row.tables.pointee
        for word in 0..<row.wordCount {
            let flagged = flags[row.firstWord &+ word].last
            // Columns to look at: those with a change, and those that are predicted to have one.
            var seen = flagged
            if word > 0 {
                seen |= scratch[word].pending
                scratch[word].pending = 0
            }
            let first = word &<< 6
            let (values, series) = (values + row.offset + first, series + row.offset + first)
            let (predicted, differences) = (predicted + first, differences + first)
            let columns = tables.columns + first
            var rest = seen
            while rest != 0 {
                let bit = rest & (0 &- rest)
                let column = rest.trailingZeroBitCount
                let plan = columns + column
                var units = predicted[column]
                predicted[column] = 0
                if flagged & bit != 0 {
                    units = readColumn(
                        plan, values + column, series + column, units, seen: seen, word: word,
                        isFresh: row.isFresh, &reader)
                }
                values[column] &+= units &* Int64(plan.pointee.granularity)
                differences[column] = units
                seen |= tables.push(plan, units, predicted, word: word, scratch)
                rest = seen & (0 &- bit &<< 1)
            }
            scratch[word].seen = seen
        }
        shared = reader
    }

    /// Reads what a prediction missed, and returns the difference in units. A change that is not in
    /// units goes straight to the value.
    @inline(__always)
    private func readColumn(
        _ plan: UnsafeMutablePointer<SchemaPlan.Column>, _ value: UnsafeMutablePointer<Int64>,
        _ state: UnsafeMutablePointer<SeriesState>, _ predicted: Int64, seen: UInt64, word: Int,
        isFresh: Bool, _ reader: inout BitReader
    ) -> Int64 {
        if plan.pointee.traits.contains(.hasWhole) {
            let whole = difference(of: Int(plan.pointee.whole), seen: seen, word: word)
            if whole != 0, reader.bit() { return whole }
        }
        let isPositive = plan.pointee.traits.contains(.isPositive) && !isFresh
        let model = state.pointee.model(
            value: value.pointee, unitBits: plan.pointee.unitBits, isPositive: isPositive,
            isFresh: isFresh)
        switch state.pointee.read(model, &reader) {
        case .change(let change):
            return predicted &+ change
        case .raw(let change):
            value.pointee &+= change
            return 0
        }
    }

    /// The difference of a column before the one at hand, in units.
    @inline(__always)
    private func difference(of column: Int, seen: UInt64, word: Int) -> Int64 {
        let seen = column &>> 6 == word ? seen : scratch[column &>> 6].seen
        return seen &>> UInt64(column & 63) & 1 == 0 ? 0 : differences[column]
    }
}
