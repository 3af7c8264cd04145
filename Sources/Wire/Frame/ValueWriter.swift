/// Writes the changes of one subject after the other, for `ValueReader`.
struct ValueWriter {
    private let last: UnsafeMutablePointer<Int64>
    private let next: UnsafeMutablePointer<Int64>
    private let series: UnsafeMutablePointer<SeriesState>
    private let words: UnsafeMutablePointer<ChangeScan.Word>
    private let changes: UnsafeMutablePointer<Int64>

    init(
        state: borrowing FrameState, scan: borrowing ChangeScan,
        next: UnsafeMutablePointer<Int64>
    ) {
        last = state.values.base
        self.next = next
        series = state.series.base
        words = scan.words.base
        changes = scan.changes.base
    }

    /// Writes a subject's changes and makes its next values the last ones.
    @inline(__always)
    func write(_ row: LiveRow, _ state: borrowing FrameState, _ writer: inout BitWriter) {
        if row.isFresh { state.copyModelValues(to: row) }
        if row.isFlagged {
            for word in 0..<row.wordCount {
                let scanned = words[row.firstWord &+ word]
                var rest = scanned.flags
                while rest != 0 {
                    let bit = rest & (0 &- rest)
                    let column = word &* 64 &+ rest.trailingZeroBitCount
                    rest ^= bit
                    writeColumn(row, column, scanned, bit, &writer)
                }
            }
        }
        guard row.isChanged else { return }
        (last + row.offset).update(from: next + row.offset, count: row.count)
    }

    @inline(__always)
    private func writeColumn(
        _ row: LiveRow, _ column: Int, _ word: ChangeScan.Word, _ bit: UInt64,
        _ writer: inout BitWriter
    ) {
        if word.hasWhole & bit != 0 {
            let isWhole = word.isWhole & bit != 0
            writer.append(isWhole ? 1 : 0, count: 1)
            if isWhole { return }
        }
        let index = row.offset &+ column
        let change = changes[index]
        if word.raw & bit != 0 {
            SeriesState.writeEscape(change, isRaw: true, &writer)
            return
        }
        let plan = row.tables.pointee.columns[column]
        let isPositive = plan.traits.contains(.isPositive) && !row.isFresh
        let parameter = series[index].parameter(
            value: last[index], unitBits: plan.unitBits, isFresh: row.isFresh)
        series[index].write(change, parameter, isPositive: isPositive, &writer)
    }
}
