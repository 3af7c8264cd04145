/// Protocol Buffers on the wire (<https://protobuf.dev/programming-guides/encoding/>): the few shapes
/// that sinks write. All append to the caller's bytes.
enum Protobuf {
    @inline(__always)
    static func append(varint value: UInt64, to bytes: inout some ByteSink) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    static func varintByteCount(_ value: UInt64) -> Int {
        max(1, (64 - value.leadingZeroBitCount + 6) / 7)
    }

    /// A `ByteCursor` wants so much room behind a number.
    static let roomForDigits = 20

    /// Bytes of a string, bytes or message field with this much in it, its tag and length included.
    static func byteCount(ofField count: Int) -> Int {
        1 + varintByteCount(UInt64(count)) + count
    }

    /// int64, uint64, bool, enum.
    @inline(__always)
    static func append(_ field: UInt8, varint value: UInt64, to bytes: inout some ByteSink) {
        bytes.append(field << 3)
        append(varint: value, to: &bytes)
    }

    /// sint64.
    static func append(_ field: UInt8, zigzag value: Int64, to bytes: inout [UInt8]) {
        bytes.append(field << 3)
        append(varint: UInt64(bitPattern: value << 1 ^ value >> 63), to: &bytes)
    }

    /// fixed64, sfixed64, double.
    @inline(__always)
    static func append(_ field: UInt8, fixed64 value: UInt64, to bytes: inout some ByteSink) {
        bytes.append(field << 3 | 1)
        append(littleEndian: value, to: &bytes)
    }

    @inline(__always)
    static func append(_ field: UInt8, double value: Double, to bytes: inout some ByteSink) {
        append(field, fixed64: value.bitPattern, to: &bytes)
    }

    static func append(_ field: UInt8, float value: Float, to bytes: inout [UInt8]) {
        bytes.append(field << 3 | 5)
        withUnsafeBytes(of: value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
    }

    static func append(_ field: UInt8, string value: String, to bytes: inout [UInt8]) {
        append(header: field, byteCount: value.utf8.count, to: &bytes)
        bytes.append(contentsOf: value.utf8)
    }

    static func append(_ field: UInt8, bytes value: [UInt8], to bytes: inout [UInt8]) {
        append(header: field, byteCount: value.count, to: &bytes)
        bytes.append(contentsOf: value)
    }

    /// A submessage that `body` writes. Its length goes before it, so it is moved up where that
    /// takes more than one byte.
    static func append(
        _ field: UInt8, to bytes: inout [UInt8], message body: (inout [UInt8]) -> Void
    ) {
        bytes.append(field << 3 | 2)
        let lengthIndex = bytes.count
        bytes.append(0)
        body(&bytes)
        let count = bytes.count - lengthIndex - 1
        if count < 0x80 {
            bytes[lengthIndex] = UInt8(count)
        } else {
            var length: [UInt8] = []
            append(varint: UInt64(count), to: &length)
            bytes.replaceSubrange(lengthIndex...lengthIndex, with: length)
        }
    }

    /// An entry of `map<string, string>`.
    static func append(_ field: UInt8, key: String, value: String, to bytes: inout [UInt8]) {
        append(field, to: &bytes) { entry in
            append(1, string: key, to: &entry)
            append(2, string: value, to: &entry)
        }
    }

    /// Tag and length of a string, bytes or message field.
    @inline(__always)
    static func append(header field: UInt8, byteCount: Int, to bytes: inout some ByteSink) {
        bytes.append(field << 3 | 2)
        append(varint: UInt64(byteCount), to: &bytes)
    }

    @inline(__always)
    private static func append(littleEndian value: UInt64, to bytes: inout some ByteSink) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append($0) }
    }
}
