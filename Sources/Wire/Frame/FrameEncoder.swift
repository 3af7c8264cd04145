/// Turns the values of a node's subjects into frames.
///
/// The sampler writes into the rows; a value that it does not write stays what it was. One encoder
/// belongs to one thread. `encode` allocates nothing in the steady state but what the output buffer
/// lacks.
public final class FrameEncoder {
    private var state: FrameState
    /// What the next frame will say.
    private var next: FramePlane<Int64>
    private var scan: ChangeScan
    private var frameBits = BitWriter()
    private var groupBits = BitWriter()

    public init(limits: WireLimits = WireLimits()) {
        state = FrameState(limits: limits)
        next = FramePlane(zero: 0)
        scan = ChangeScan()
    }

    public var layout: FrameLayout { state.layout }

    /// Takes a change of the dictionary, or throws and stays as it was. A new subject's values are
    /// zero until written. Rows that were handed out before are void.
    public func apply(_ change: SubjectChange) throws(WireError) {
        if case .added(_, let row) = try state.apply(change) {
            next.grow(to: layout.valueCapacity)
            next.clear(row.offset, row.count)
            scan.grow(values: layout.valueCapacity, words: layout.wordCapacity)
        }
        for move in state.packIfSparse() { next.move(move.from, move.to, move.count) }
    }

    /// Where the next values of a live subject go, in the order of its schema. Valid until the next
    /// `apply`; empty for a free slot.
    public func row(of slot: Slot) -> UnsafeMutableBufferPointer<Int64> {
        guard let row = state.layout.row(of: slot) else {
            return UnsafeMutableBufferPointer(start: nil, count: 0)
        }
        return UnsafeMutableBufferPointer(start: next.base + row.offset, count: row.count)
    }

    /// Appends a frame with the rows' present values.
    ///
    /// The header's sequence must be the last one's plus one unless it is a key frame; the first
    /// frame is always a key frame.
    public func encode(_ header: FrameHeader, into bytes: inout [UInt8]) {
        if !header.isKey {
            precondition(state.context != nil, "the first frame must be a key frame")
            let last = state.context?.sequence ?? 0
            precondition(
                header.sequence == last &+ 1, "frame \(header.sequence) does not follow \(last)")
        }
        header.append(to: &bytes, after: state.context)
        state.beginFrame(isKey: header.isKey)
        scan.findChanges(state, next: next.base)
        writeGroups(isKey: header.isKey)
        frameBits.finish(into: &bytes)
        state.endFrame()
        state.context = FrameHeader.Context(header, after: state.context)
    }

    private func writeGroups(isKey: Bool) {
        let rows = state.live.base
        let end = state.live.count
        let values = ValueWriter(state: state, scan: scan, next: next.base)
        var first = 0
        while first < end {
            let group = Int(rows[first].group)
            var next = first
            while next < end, Int(rows[next].group) == group { next &+= 1 }
            if isKey || next == end {
                FlagWriter.write(first..<next, state, scan, &frameBits)
                for index in first..<next { values.write(rows[index], state, &frameBits) }
            } else {
                FlagWriter.write(first..<next, state, scan, &groupBits)
                for index in first..<next { values.write(rows[index], state, &groupBits) }
                writeLength(group)
                frameBits.append(taking: &groupBits)
            }
            first = next
        }
    }

    private func writeLength(_ group: Int) {
        let parameter = state.groups.base[group].lengthParameter
        state.groups.base[group].length
            .write(Int64(groupBits.bitCount), parameter, isPositive: true, &frameBits)
    }
}
