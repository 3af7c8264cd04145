/// Variable-length integers: seven bits a byte, least significant first, the top bit set on all but
/// the last byte. At most ten bytes; signed values are folded (`zigzag`) first.
public enum Varint {
    /// 0, -1, 1, -2, 2, … become 0, 1, 2, 3, 4, …
    @inline(__always)
    public static func zigzag(_ value: Int64) -> UInt64 {
        UInt64(bitPattern: (value &<< 1) ^ (value &>> 63))
    }

    @inline(__always)
    public static func unzigzag(_ value: UInt64) -> Int64 {
        Int64(bitPattern: (value &>> 1) ^ (0 &- (value & 1)))
    }

    /// Appends a value to a buffer.
    public static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    public static func append(signed value: Int64, to bytes: inout [UInt8]) {
        append(zigzag(value), to: &bytes)
    }

    /// How many bytes `append` would add.
    public static func byteCount(_ value: UInt64) -> Int {
        value == 0 ? 1 : (70 - value.leadingZeroBitCount) / 7
    }
}

/// Reads a payload from front to back. Never reads past its end, never traps.
public struct ByteReader {
    public let bytes: UnsafeRawBufferPointer
    public private(set) var offset: Int

    /// The bytes must outlive the reader.
    public init(_ bytes: UnsafeRawBufferPointer, offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    public var isAtEnd: Bool { offset >= bytes.count }
    public var remaining: Int { bytes.count - offset }

    @inline(__always)
    public mutating func byte() throws(WireError) -> UInt8 {
        guard offset < bytes.count else { throw .truncated(offset: offset) }
        defer { offset &+= 1 }
        return bytes[offset]
    }

    /// An unsigned varint. Values over 64 bits are malformed.
    @inline(__always)
    public mutating func varint() throws(WireError) -> UInt64 {
        let first = try byte()
        return first < 0x80 ? UInt64(first) : try longVarint(first)
    }

    public mutating func signedVarint() throws(WireError) -> Int64 {
        Varint.unzigzag(try varint())
    }

    private mutating func longVarint(_ first: UInt8) throws(WireError) -> UInt64 {
        let start = offset - 1
        var value = UInt64(first & 0x7F)
        var shift: UInt64 = 7
        while true {
            let next = try byte()
            if shift == 63, next > 1 { throw .malformed(what: "varint", offset: start) }
            value |= UInt64(next & 0x7F) &<< shift
            if next < 0x80 { return value }
            shift += 7
        }
    }

    /// A varint that counts or numbers something, no greater than `limit`.
    public mutating func count(
        _ what: StaticText, limit: Int
    ) throws(WireError) -> Int {
        let value = try varint()
        guard value <= UInt64(limit) else {
            throw .limitExceeded(what: what, actual: Int(clamping: value), limit: limit)
        }
        return Int(value)
    }

    /// The next bytes, not copied.
    public mutating func take(_ byteCount: Int) throws(WireError) -> UnsafeRawBufferPointer {
        guard byteCount >= 0, byteCount <= remaining else { throw .truncated(offset: bytes.count) }
        defer { offset += byteCount }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + byteCount])
    }
}
