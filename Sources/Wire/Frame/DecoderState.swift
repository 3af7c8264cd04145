/// A decoder's whole state as bytes: what the log keeps at the front of a segment, so that frames
/// can be read from there on. `docs/wire.md` has the format.
///
/// It has the layout (schemas, which slot has which, how long the subjects' names are, not the names
/// themselves), the last values, and all that was learnt since the last key frame. The same state
/// always gives the same bytes.
extension FrameDecoder {
    /// Appends the state. Costs about as much as ten frames and some allocations.
    ///
    /// - Precondition: the decoder is not selective: what it passed over it does not know.
    public func serialize(into bytes: inout [UInt8]) {
        precondition(!isSelective, "a selective decoder has no whole state")
        let mode = DecoderState.Mode(header: header, isStale: isStale, phase: state.phase)
        bytes.append(DecoderState.version)
        bytes.append(mode.rawValue)
        if let context = state.context {
            Varint.append(context.sequence, to: &bytes)
            Varint.append(signed: context.stepMilliseconds, to: &bytes)
            Varint.append(signed: context.readDelayMilliseconds, to: &bytes)
            Varint.append(signed: context.intervalMilliseconds, to: &bytes)
        }
        DecoderState.writeLayout(state, into: &bytes)
        guard !isStale else { return }
        DecoderStateWriter.write(state, into: &bytes)
    }

    /// A decoder in the state that `serialize` wrote: it decodes every following frame as the one
    /// that was serialised would.
    ///
    /// - Parameter bytes: the state and nothing else.
    /// - Throws: `unsupportedVersion`, `truncated`, `malformed`, and what `apply` throws for a layout
    ///   that is not consistent or beyond the limits. Never traps, whatever the bytes are.
    public convenience init(
        state bytes: UnsafeRawBufferPointer, limits: WireLimits = WireLimits(),
        plans: SchemaPlans? = nil
    ) throws(WireError) {
        self.init(limits: limits, plans: plans)
        var reader = ByteReader(bytes)
        let version = try reader.byte()
        guard version == DecoderState.version else {
            throw .unsupportedVersion(ours: DecoderState.version, theirs: version)
        }
        guard let mode = DecoderState.Mode(rawValue: try reader.byte()) else {
            throw .malformed(what: "decoder state", offset: reader.offset - 1)
        }
        if mode.hasHeader {
            let header = FrameHeader(
                sequence: try reader.varint(), stepMilliseconds: try reader.signedVarint(),
                readDelayMilliseconds: try reader.signedVarint(), isKey: mode.isKey)
            restore(header, intervalMilliseconds: try reader.signedVarint())
        }
        try DecoderState.readLayout(&reader, into: &state)
        if mode.isStale {
            guard reader.isAtEnd else {
                throw .malformed(what: "end of decoder state", offset: reader.offset)
            }
        } else {
            try DecoderStateReader.read(&reader, into: &state, phase: mode.phase)
        }
        restoreSubjects(isStale: mode.isStale)
    }
}

/// The parts of a serialised state that are whole bytes.
enum DecoderState {
    /// The first byte. Bytes of another version are refused: a state does not outlive the upgrade of
    /// its reader unless the reader knows the old version too.
    static let version: UInt8 = 2

    /// The second byte.
    struct Mode {
        let hasHeader: Bool
        /// The decoder waits for a key frame; nothing but the layout counts.
        let isStale: Bool
        /// The last frame was a key frame.
        let isKey: Bool
        /// Frames since the memory of flags was turned, less than `ChangeFlags.memoryFrames`.
        let phase: Int

        init(header: FrameHeader?, isStale: Bool, phase: Int) {
            hasHeader = header != nil
            self.isStale = isStale
            isKey = header?.isKey ?? false
            self.phase = isStale ? 0 : phase
        }

        /// `nil` for a byte that `rawValue` never is.
        init?(rawValue: UInt8) {
            hasHeader = rawValue & 1 != 0
            isStale = rawValue & 2 != 0
            isKey = rawValue & 4 != 0
            phase = Int(rawValue >> 4)
            guard rawValue & 8 == 0, hasHeader || (isStale && !isKey), !isStale || phase == 0,
                phase < ChangeFlags.memoryFrames
            else { return nil }
        }

        var rawValue: UInt8 {
            (hasHeader ? 1 : 0) | (isStale ? 2 : 0) | (isKey ? 4 : 0) | UInt8(phase) << 4
        }
    }

    /// Schemas, then subjects, each in the order of their numbers.
    static func writeLayout(_ state: borrowing FrameState, into bytes: inout [UInt8]) {
        let layout = state.layout
        let schemas = Array(layout.definedSchemas)
        Varint.append(UInt64(schemas.count), to: &bytes)
        var next = 0
        for (number, schema) in schemas {
            Varint.append(UInt64(Int(number) - next), to: &bytes)
            schema.encode(into: &bytes)
            next = Int(number) + 1
        }
        Varint.append(UInt64(layout.subjectCount), to: &bytes)
        next = 0
        for slot in layout.liveSlots {
            guard let row = layout.row(of: slot) else { continue }
            let isNew: UInt64 = state.isNew(slot) ? 1 : 0
            Varint.append(UInt64(Int(slot) - next) << 1 | isNew, to: &bytes)
            Varint.append(UInt64(row.schema), to: &bytes)
            Varint.append(UInt64(layout.attributeBytes(of: slot)), to: &bytes)
            next = Int(slot) + 1
        }
    }

    /// Every subject but those that had no frame yet is settled afterwards.
    static func readLayout(
        _ reader: inout ByteReader, into state: inout FrameState
    ) throws(WireError) {
        let limits = state.layout.limits
        var next = 0
        for _ in 0..<(try reader.count("schemas", limit: limits.schemas)) {
            let number = next + (try reader.count("schema number", limit: limits.schemas - 1))
            guard number < limits.schemas else {
                throw .limitExceeded(
                    what: "schema number", actual: number, limit: limits.schemas - 1)
            }
            let schema = try Schema(reading: &reader, limits: limits)
            _ = try state.apply(.schema(SchemaNumber(number), schema))
            next = number + 1
        }
        next = 0
        for _ in 0..<(try reader.count("subjects", limit: limits.subjects)) {
            let head = try reader.count("slot", limit: 2 * limits.subjects - 1)
            let slot = next + head / 2
            guard slot < limits.subjects else {
                throw .limitExceeded(what: "slot", actual: slot, limit: limits.subjects - 1)
            }
            let schema = try reader.count("schema number", limit: limits.schemas - 1)
            let bytes = try reader.count("dictionary bytes", limit: limits.dictionaryBytes)
            try state.restore(
                Slot(slot), SchemaNumber(schema), attributeBytes: bytes, isNew: head & 1 != 0)
            next = slot + 1
        }
    }
}
