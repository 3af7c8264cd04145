/// Turns frames back into values.
///
/// One decoder belongs to one thread at a time. Nothing in a payload can make it trap, read out of
/// bounds or allocate: its memory depends on the dictionary alone, which `WireLimits` bounds, and
/// its time on the dictionary and the payload's length.
///
/// A decoder that threw is *stale*: some values may be the new frame's and some the last one's, so
/// it shows none and refuses everything but a key frame.
///
/// A *selective* decoder decodes only the groups of 8 slots in which it is asked for one, which
/// must be asked for before the frames that matter: see `want`.
public final class FrameDecoder {
    /// The last frame's header; `nil` before the first frame.
    public private(set) var header: FrameHeader?
    /// A decode threw, and no key frame came since (or none came at all).
    public private(set) var isStale = true

    var state: FrameState
    private(set) var isSelective: Bool
    /// By group of slots; only a selective decoder asks.
    private var groups = FramePlane(zero: GroupReader.Interest())
    /// Slots with values of the last frame or an earlier one.
    private var hasFrame = FramePlane(zero: false)

    /// - Parameters:
    ///   - selective: decode only what is given to `want`, and pass over the rest.
    ///   - plans: where schemas are shared with other decoders.
    public init(
        limits: WireLimits = WireLimits(), selective: Bool = false, plans: SchemaPlans? = nil
    ) {
        state = FrameState(limits: limits, plans: plans)
        isSelective = selective
    }

    /// A second decoder in the same state, with memory of its own: the base from which a reader
    /// decodes the following frames.
    ///
    /// - Parameter wanted: when given, the copy is selective and decodes only these slots.
    public init(copying other: FrameDecoder, wanting wanted: [Slot]? = nil) {
        state = FrameState(copying: other.state)
        header = other.header
        isStale = other.isStale
        hasFrame = FramePlane(copying: other.hasFrame)
        groups = FramePlane(copying: other.groups)
        isSelective = other.isSelective
        if let wanted { passOver(allBut: wanted) }
    }

    /// From the next frame on it is selective, and decodes only these slots.
    public func passOver(allBut wanted: [Slot]) {
        for index in 0..<groups.capacity {
            groups.base[index].isWanted = false
            if !isSelective { groups.base[index].isCurrent = true }
        }
        isSelective = true
        for slot in wanted { want(slot) }
    }

    public var layout: FrameLayout { state.layout }

    /// The header of a serialised state's last frame.
    func restore(_ header: FrameHeader, intervalMilliseconds: Int64) {
        self.header = header
        var context = FrameHeader.Context(header, after: nil)
        context.intervalMilliseconds = intervalMilliseconds
        state.context = context
    }

    /// The layout of a serialised state is there, and its values unless it was stale.
    func restoreSubjects(isStale: Bool) {
        hasFrame.grow(to: layout.slotEnd)
        groups.grow(to: layout.slotEnd / LiveRow.groupSlots + 1)
        for slot in layout.liveSlots { hasFrame.base[Int(slot)] = !state.isNew(slot) }
        self.isStale = isStale
    }

    /// Takes a change of the dictionary, or throws and stays as it was. Rows that were handed out
    /// before are void.
    public func apply(_ change: SubjectChange) throws(WireError) {
        switch try state.apply(change) {
        case .none: break
        case .added(let slot, _):
            hasFrame.grow(to: Int(slot) + 1)
            hasFrame.base[Int(slot)] = false
            let group = Int(slot) / LiveRow.groupSlots
            groups.grow(to: group + 1)
            // A group without subjects has nothing that could have been missed.
            let first = group * LiveRow.groupSlots
            let others = (first..<first + LiveRow.groupSlots)
                .contains { $0 != Int(slot) && state.layout.row(of: Slot($0)) != nil }
            if !others { groups.base[group].isCurrent = true }
        case .removed(let slot, _):
            hasFrame.base[Int(slot)] = false
        }
        _ = state.packIfSparse()
    }

    /// Asks a selective decoder for a slot, in use or not yet.
    ///
    /// It then has values from the next frame on if the slot's group (8 slots from a multiple of
    /// 8) was asked for all the time, or has no other subject; else from the next key frame on. So
    /// ask for every slot of interest at the base or at a key frame.
    public func want(_ slot: Slot) {
        guard Int(slot) < layout.limits.subjects else { return }
        let group = Int(slot) / LiveRow.groupSlots
        groups.grow(to: group + 1)
        groups.base[group].isWanted = true
    }

    /// Takes the next frame.
    ///
    /// - Throws: `truncated`, `malformed`, `sequenceGap`; afterwards the decoder is stale.
    @discardableResult
    public func decode(_ payload: UnsafeRawBufferPointer) throws(WireError) -> FrameHeader {
        var bytes = ByteReader(payload)
        let wasStale = isStale
        isStale = true
        let header = try FrameHeader(reading: &bytes, after: state.context)
        guard header.isKey || !wasStale else {
            throw .sequenceGap(expected: 0, actual: header.sequence)
        }
        state.beginFrame(isKey: header.isKey)
        var reader = BitReader(payload, byteOffset: bytes.offset)
        let groups = GroupReader(
            state: state, isKey: header.isKey, hasFrame: hasFrame.base,
            interests: isSelective ? self.groups.base : nil)
        try groups.readAll(state, &reader)
        guard !reader.isPastEnd else { throw .truncated(offset: payload.count) }
        guard reader.isAtEnd else {
            throw .malformed(what: "end of frame", offset: reader.byteOffset)
        }
        state.endFrame()
        state.context = FrameHeader.Context(header, after: state.context)
        self.header = header
        isStale = false
        return header
    }

    /// The last frame's values, to be asked for those of many subjects: what is the same for all of them
    /// is looked up once.
    ///
    /// - Parameter body: not called when the decoder is stale or selective. Apply and decode nothing
    ///   in it.
    public func withRows(_ body: (FrameRows) -> Void) {
        guard !isStale, !isSelective else { return }
        let (values, hasFrame) = (state.values.base, hasFrame.base)
        state.layout.withPackedRows { rows in
            body(FrameRows(rows: rows, hasFrame: hasFrame, values: values))
        }
    }

    /// The last frame's values of a subject, in the order of its schema. Valid until the next
    /// `apply` or `decode`. `nil` for a free slot, one that was not wanted, one added since the last
    /// frame, and for all when the decoder is stale.
    public func row(of slot: Slot) -> UnsafeBufferPointer<Int64>? {
        guard !isStale, let row = state.layout.row(of: slot), hasFrame.base[Int(slot)],
            !isSelective || groups.base[Int(slot) / LiveRow.groupSlots].isCurrent
        else { return nil }
        return UnsafeBufferPointer(start: state.values.base + row.offset, count: row.count)
    }
}
