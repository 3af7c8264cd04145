/// A range of frames: what an ack has kept, or what a gap has lost.
public struct SequenceRange: Sendable, Equatable {
    public var first: UInt64
    public var last: UInt64

    /// - Precondition: `first <= last`.
    public init(_ first: UInt64, _ last: UInt64) {
        precondition(first <= last, "sequence range \(first)...\(last)")
        self.first = first
        self.last = last
    }

    /// How many numbers; 0 for all 2^64 of them.
    public var count: UInt64 { last &- first &+ 1 }

    /// The number after the last, the last itself where there is none.
    var after: UInt64 { last == .max ? last : last + 1 }

    /// Two varints: the last, and how many come before it.
    public func encode() -> [UInt8] {
        var bytes: [UInt8] = []
        Varint.append(last, to: &bytes)
        Varint.append(last - first, to: &bytes)
        return bytes
    }

    public init(decoding payload: UnsafeRawBufferPointer) throws(WireError) {
        var reader = ByteReader(payload)
        let last = try reader.varint()
        let before = try reader.varint()
        guard reader.isAtEnd, before <= last else {
            throw .malformed(what: "sequence range", offset: reader.offset)
        }
        self.init(last - before, last)
    }
}
