/// The values of one frame by slot, as long as `FrameDecoder.withRows` shows them. Plain pointers: a frame
/// is gone through subject by subject, and nothing of it is another subject's.
public struct FrameRows {
    let rows: UnsafeBufferPointer<FrameLayout.PackedRow>
    let hasFrame: UnsafeMutablePointer<Bool>
    let values: UnsafeMutablePointer<Int64>

    /// As `FrameDecoder.row(of:)`.
    public func row(of slot: Slot) -> UnsafeBufferPointer<Int64>? {
        let index = Int(truncatingIfNeeded: slot)
        guard index < rows.count, !rows[index].isFree, hasFrame[index] else { return nil }
        let row = rows[index].row
        return UnsafeBufferPointer(start: values + row.offset, count: row.count)
    }
}
