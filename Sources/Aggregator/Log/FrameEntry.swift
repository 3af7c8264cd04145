import Wire

/// The payload of a `frame` record: what must be known of the frame without decoding it, then the
/// frame as it came.
struct FrameEntry {
    struct Flags: OptionSet {
        let rawValue: UInt8
        /// It was kept before on another chain; those that follow it need it.
        static let isRepeated = Flags(rawValue: 1)
        /// From so far in the future that it does not count for what the newest cycle is.
        static let isImplausible = Flags(rawValue: 2)
    }

    let flags: Flags
    /// The chain that it belongs to.
    let chain: ChainID
    let sequence: UInt64
    /// Milliseconds since the epoch.
    let step: Int64
    /// `subjects` records right before it, which hold from it on.
    let changeCount: Int
    let frame: UnsafeRawBufferPointer

    init(
        flags: Flags, chain: ChainID, sequence: UInt64, step: Int64, changeCount: Int,
        frame: UnsafeRawBufferPointer
    ) {
        self.flags = flags
        self.chain = chain
        self.changeCount = changeCount
        self.sequence = sequence
        self.step = step
        self.frame = frame
    }

    init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var reader = ByteReader(payload)
        flags = Flags(rawValue: try reader.byte())
        chain = try reader.varint()
        sequence = try reader.varint()
        step = try reader.signedVarint()
        changeCount = try reader.count("dictionary changes", limit: Int(Int32.max))
        frame = try reader.take(reader.remaining)
    }

    func encode(into bytes: inout [UInt8]) {
        bytes.append(flags.rawValue)
        Varint.append(chain, to: &bytes)
        Varint.append(sequence, to: &bytes)
        Varint.append(signed: step, to: &bytes)
        Varint.append(UInt64(changeCount), to: &bytes)
        bytes.append(contentsOf: frame)
    }
}
