/// Turns frames back into values.
///
/// One decoder belongs to one thread at a time. Nothing in a payload can make it trap, read out of
/// bounds or allocate: its memory depends on the dictionary alone, which `WireLimits` bounds.
///
/// A decoder that threw is *stale*: some values may be the new frame's and some the last one's, so
/// it shows none and refuses everything but a key frame.
public final class FrameDecoder {
    public private(set) var layout: FrameLayout
    /// The last frame's header; `nil` before the first frame.
    public private(set) var header: FrameHeader?
    /// A decode threw, and no key frame came since (or none came at all).
    public private(set) var isStale = true

    private var values: FrameValues
    private var flags: [SlotFlags] = []
    private var context: FrameHeader.Context?
    private let readsAll: Bool

    struct SlotFlags: OptionSet {
        let rawValue: UInt8
        /// Added since the last frame.
        static let isNew = SlotFlags(rawValue: 1)
        static let isWanted = SlotFlags(rawValue: 2)
        /// Its values are the last frame's.
        static let isCurrent = SlotFlags(rawValue: 4)
    }

    /// - Parameter selective: decode only the slots given to `want`, and pass over the others.
    public init(limits: WireLimits = WireLimits(), selective: Bool = false) {
        layout = FrameLayout(limits: limits)
        values = FrameValues()
        readsAll = !selective
    }

    /// A second decoder in the same state, with memory of its own: the base from which a reader
    /// decodes the following frames.
    ///
    /// - Parameter wanted: when given, the copy is selective and decodes only these slots.
    public init(copying other: FrameDecoder, wanting wanted: [Slot]? = nil) {
        layout = other.layout
        header = other.header
        isStale = other.isStale
        values = FrameValues(copying: other.values)
        flags = other.flags
        context = other.context
        readsAll = wanted == nil
        guard let wanted else { return }
        for index in flags.indices { flags[index].remove(.isWanted) }
        for slot in wanted { want(slot) }
    }

    /// Takes a change of the dictionary, or throws and stays as it was. Rows that were handed out
    /// before are void.
    public func apply(_ change: SubjectChange) throws(WireError) {
        let effect = try layout.apply(change)
        switch effect {
        case .none: break
        case .added(let slot, let row):
            values.grow(to: layout.valueCapacity)
            values.clear(row)
            while flags.count <= Int(slot) { flags.append([]) }
            flags[Int(slot)] = readsAll ? [.isNew, .isWanted] : [.isNew]
        case .removed(let slot, _):
            flags[Int(slot)] = []
        }
        guard layout.isSparse else { return }
        for move in layout.pack() { values.move(move) }
    }

    /// Asks a selective decoder for a slot. The slot has values from its first frame on if it was
    /// added since the last frame, at once if it had them, else from the next key frame on.
    public func want(_ slot: Slot) {
        guard layout.row(of: slot) != nil else { return }
        flags[Int(slot)].insert(.isWanted)
    }

    /// Takes the next frame.
    ///
    /// - Throws: `truncated`, `malformed`, `sequenceGap`; afterwards the decoder is stale.
    @discardableResult
    public func decode(_ payload: UnsafeRawBufferPointer) throws(WireError) -> FrameHeader {
        var reader = ByteReader(payload)
        let wasStale = isStale
        isStale = true
        let header = try FrameHeader(reading: &reader, after: context)
        guard header.isKey || !wasStale else {
            throw .sequenceGap(expected: 0, actual: header.sequence)
        }
        for index in 0..<layout.slotEnd {
            guard let row = layout.row(of: Slot(index)), let schema = layout.schema(row.schema)
            else { continue }
            let isFresh = header.isKey || flags[index].contains(.isNew)
            let isKept =
                flags[index].contains(.isWanted)
                && (isFresh || flags[index].contains(.isCurrent))
            try decodeRow(row, schema, isFresh: isFresh, isKept: isKept, &reader)
            flags[index].remove(.isNew)
            if isKept {
                flags[index].insert(.isCurrent)
            } else {
                flags[index].remove(.isCurrent)
            }
        }
        guard reader.isAtEnd else { throw .malformed(what: "end of frame", offset: reader.offset) }
        context = FrameHeader.Context(header, after: context)
        self.header = header
        isStale = false
        return header
    }

    /// The last frame's values of a subject, in the order of its schema. Valid until the next
    /// `apply` or `decode`. `nil` for a free slot, one that was not wanted, one added since the last
    /// frame, and for all when the decoder is stale.
    public func row(of slot: Slot) -> UnsafeBufferPointer<Int64>? {
        guard !isStale, let row = layout.row(of: slot),
            flags[Int(slot)].contains(.isCurrent)
        else { return nil }
        return UnsafeBufferPointer(values[row])
    }

    private func decodeRow(
        _ row: FrameLayout.Row, _ schema: Schema, isFresh: Bool, isKept: Bool,
        _ reader: inout ByteReader
    ) throws(WireError) {
        let map = try reader.take((row.count + 7) / 8)
        let target = values[row]
        if isFresh, isKept { target.update(repeating: 0) }
        for column in 0..<row.count where map[column / 8] & (1 << UInt8(column % 8)) != 0 {
            let code = try reader.varint()
            let change: Int64
            if code == 1 {
                change = try reader.signedVarint()
            } else if code & 1 == 0 {
                change =
                    Varint.unzigzag(code >> 1) &* Int64(schema.fields[column].granularity)
            } else {
                throw .malformed(what: "change", offset: reader.offset)
            }
            if isKept { target[column] &+= change }
        }
    }
}
