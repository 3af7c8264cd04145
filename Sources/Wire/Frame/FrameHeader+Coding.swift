/// The front of a frame's payload.
///
/// A key frame says everything; any other frame only how it differs from what follows from the
/// header before it, mostly in four bytes.
extension FrameHeader {
    /// Bit of the flags byte: a key frame.
    static let keyFlag: UInt8 = 1
    /// Bit of the flags byte: the step is not the last one plus the last distance of two steps.
    static let stepFlag: UInt8 = 2
    /// The flags byte of a key frame. Its high four bits are the format of this frame and all that
    /// follow from it: what was kept by another version is refused, never read as something else.
    static let keyFlags: UInt8 = keyFlag | 2 << 4

    /// What a later header is coded against.
    public struct Context: Sendable, Equatable {
        public internal(set) var sequence: UInt64
        public internal(set) var stepMilliseconds: Int64
        public internal(set) var readDelayMilliseconds: Int64
        /// Milliseconds between the last two steps, 0 after a key frame.
        public internal(set) var intervalMilliseconds: Int64

        init(_ header: FrameHeader, after context: Context?) {
            sequence = header.sequence
            stepMilliseconds = header.stepMilliseconds
            readDelayMilliseconds = header.readDelayMilliseconds
            intervalMilliseconds =
                header.isKey ? 0 : header.stepMilliseconds &- (context?.stepMilliseconds ?? 0)
        }
    }

    /// Reads the header of a payload without decoding the values.
    ///
    /// - Parameter context: the context after the frame before this one; unused by a key frame.
    /// - Returns: the header and the context for the next one.
    /// - Throws: `truncated`, `malformed`, `sequenceGap` when this is not the frame after `context`.
    public static func peek(
        _ payload: UnsafeRawBufferPointer, after context: Context?
    ) throws(WireError) -> (FrameHeader, Context) {
        var reader = ByteReader(payload)
        let header = try FrameHeader(reading: &reader, after: context)
        return (header, Context(header, after: context))
    }

    /// Whether a payload holds a key frame. An empty payload does not.
    public static func isKey(_ payload: UnsafeRawBufferPointer) -> Bool {
        payload.first.map { $0 & keyFlag != 0 } ?? false
    }

    init(reading reader: inout ByteReader, after context: Context?) throws(WireError) {
        let flags = try reader.byte()
        guard flags == Self.keyFlags || flags & ~Self.stepFlag == 0 else {
            throw .malformed(what: "frame flags", offset: reader.offset - 1)
        }
        if flags == Self.keyFlags {
            self.init(
                sequence: try reader.varint(), stepMilliseconds: try reader.signedVarint(),
                readDelayMilliseconds: try reader.signedVarint(), isKey: true)
            return
        }
        let sequenceByte = try reader.byte()
        guard let context else { throw .sequenceGap(expected: 0, actual: UInt64(sequenceByte)) }
        let sequence = context.sequence &+ 1
        guard sequenceByte == UInt8(truncatingIfNeeded: sequence) else {
            let actual = sequence & ~0xFF | UInt64(sequenceByte)
            throw .sequenceGap(expected: sequence, actual: actual)
        }
        var step = context.stepMilliseconds &+ context.intervalMilliseconds
        if flags & Self.stepFlag != 0 { step = step &+ (try reader.signedVarint()) }
        let delay = context.readDelayMilliseconds &+ (try reader.signedVarint())
        self.init(
            sequence: sequence, stepMilliseconds: step, readDelayMilliseconds: delay, isKey: false)
    }

    func append(to bytes: inout [UInt8], after context: Context?) {
        guard !isKey, let context else {
            bytes.append(Self.keyFlags)
            Varint.append(sequence, to: &bytes)
            Varint.append(signed: stepMilliseconds, to: &bytes)
            Varint.append(signed: readDelayMilliseconds, to: &bytes)
            return
        }
        let stepError =
            stepMilliseconds &- context.stepMilliseconds &- context.intervalMilliseconds
        bytes.append(stepError == 0 ? 0 : Self.stepFlag)
        bytes.append(UInt8(truncatingIfNeeded: sequence))
        if stepError != 0 { Varint.append(signed: stepError, to: &bytes) }
        Varint.append(
            signed: readDelayMilliseconds &- context.readDelayMilliseconds, to: &bytes)
    }
}
