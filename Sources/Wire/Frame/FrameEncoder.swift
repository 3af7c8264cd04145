/// Turns the values of a node's subjects into frames.
///
/// The sampler writes into the rows; a value that it does not write stays what it was. One encoder
/// belongs to one thread. `encode` allocates nothing but what the output buffer lacks.
public final class FrameEncoder {
    public private(set) var layout: FrameLayout
    private var values: FrameValues
    /// The last frame's values.
    private var sent: FrameValues
    private var isNew: [Bool] = []
    private var context: FrameHeader.Context?

    public init(limits: WireLimits = WireLimits()) {
        layout = FrameLayout(limits: limits)
        values = FrameValues()
        sent = FrameValues()
    }

    /// Takes a change of the dictionary, or throws and stays as it was. A new subject's values are
    /// zero until written. Rows that were handed out before are void.
    public func apply(_ change: SubjectChange) throws(WireError) {
        let effect = try layout.apply(change)
        if case .added(let slot, let row) = effect {
            values.grow(to: layout.valueCapacity)
            sent.grow(to: layout.valueCapacity)
            values.clear(row)
            sent.clear(row)
            while isNew.count <= Int(slot) { isNew.append(false) }
            isNew[Int(slot)] = true
        }
        guard layout.isSparse else { return }
        for move in layout.pack() {
            values.move(move)
            sent.move(move)
        }
    }

    /// Where the next values of a live subject go, in the order of its schema. Valid until the next
    /// `apply`; empty for a free slot.
    public func row(of slot: Slot) -> UnsafeMutableBufferPointer<Int64> {
        guard let row = layout.row(of: slot) else {
            return UnsafeMutableBufferPointer(start: nil, count: 0)
        }
        return values[row]
    }

    /// Appends a frame with the rows' present values.
    ///
    /// The header's sequence must be the last one's plus one unless it is a key frame; the first
    /// frame is always a key frame.
    public func encode(_ header: FrameHeader, into bytes: inout [UInt8]) {
        precondition(header.isKey || context != nil, "the first frame must be a key frame")
        precondition(
            header.isKey || header.sequence == (context?.sequence ?? 0) &+ 1,
            "frame \(header.sequence) does not follow \(context?.sequence ?? 0)")
        header.append(to: &bytes, after: context)
        context = FrameHeader.Context(header, after: context)

        for index in 0..<layout.slotEnd {
            guard let row = layout.row(of: Slot(index)), let schema = layout.schema(row.schema)
            else { continue }
            let isFresh = header.isKey || isNew[index]
            isNew[index] = false
            encodeRow(row, schema, isFresh: isFresh, into: &bytes)
        }
    }

    private func encodeRow(
        _ row: FrameLayout.Row, _ schema: Schema, isFresh: Bool, into bytes: inout [UInt8]
    ) {
        let next = values[row]
        let last = sent[row]
        if isFresh { last.update(repeating: 0) }
        let mapStart = bytes.count
        for _ in 0..<(row.count + 7) / 8 { bytes.append(0) }
        for column in 0..<row.count where next[column] != last[column] {
            bytes[mapStart + column / 8] |= 1 << UInt8(column % 8)
            let change = next[column] &- last[column]
            let unit = Int64(schema.fields[column].granularity)
            let (quotient, remainder) = change.quotientAndRemainder(dividingBy: unit)
            if remainder == 0, quotient >= Int64.min / 2, quotient <= Int64.max / 2 {
                Varint.append(Varint.zigzag(quotient) << 1, to: &bytes)
            } else {
                bytes.append(1)
                Varint.append(signed: change, to: &bytes)
            }
            last[column] = next[column]
        }
    }
}
