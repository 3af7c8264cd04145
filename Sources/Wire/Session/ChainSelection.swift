/// The payload of a `chain` record: which chain the following `subjects` and `frame` records are of.
public struct ChainSelection: Sendable, Equatable {
    /// Chains of one run that a receiver keeps open at least. A further one takes the place of the
    /// one that was selected the longest time ago.
    public static let openMax = 8

    public var id: ChainID
    /// The chain begins here, with its whole dictionary and a key frame; what the receiver had of a
    /// chain of this number is replaced.
    public var begins: Bool

    public init(id: ChainID, begins: Bool) {
        self.id = id
        self.begins = begins
    }

    /// Appends the record.
    public func encode(into bytes: inout [UInt8]) {
        withUnsafeTemporaryAllocation(byteCount: 10, alignment: 1) { scratch in
            var count = 0
            var rest = id
            while rest >= 0x80 {
                scratch[count] = UInt8(truncatingIfNeeded: rest) | 0x80
                rest >>= 7
                count += 1
            }
            scratch[count] = UInt8(rest)
            Record.encode(
                type: .chain, flags: begins ? .begins : [],
                payload: UnsafeRawBufferPointer(rebasing: scratch[...count]), into: &bytes)
        }
    }

    /// - Throws: `truncated`, `malformed`.
    public init(decoding payload: UnsafeRawBufferPointer, flags: RecordFlags) throws(WireError) {
        var reader = ByteReader(payload)
        id = try reader.varint()
        guard reader.isAtEnd else {
            throw .malformed(what: "chain record", offset: reader.offset)
        }
        begins = flags.contains(.begins)
    }
}
