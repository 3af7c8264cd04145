import Wire

/// A request as it lies in a segment file, all numbers little endian:
///
///     0   4  "HWQ1"
///     4   4  length of the body
///     8   8  cycle, milliseconds since the epoch
///     16  4  number of points
///     20  4  CRC-32C of bytes 4 ..< 20 and the body
///     24     body
enum QueueRecord {
    static let headerByteCount = 24
    static let magic: [UInt8] = Array("HWQ1".utf8)
    /// No request is longer: a length beyond it is damage.
    static let bodyByteCountMax = 64 << 20

    struct Header: Equatable {
        var bodyByteCount: Int
        var cycle: Int64
        var pointCount: Int
        var checksum: UInt32
    }

    static func encode(_ request: SinkRequest, into bytes: inout [UInt8]) {
        bytes += head(of: request) + request.body
    }

    /// What stands before the body.
    static func head(of request: SinkRequest) -> [UInt8] {
        precondition(request.body.count <= bodyByteCountMax, "\(request.body.count) bytes")
        var bytes = magic
        let start = bytes.count
        append(UInt32(request.body.count), to: &bytes)
        append(UInt64(bitPattern: request.cycle), to: &bytes)
        append(UInt32(clamping: request.pointCount), to: &bytes)
        let checksum = checksum(of: bytes[start...], request.body[...])
        append(checksum, to: &bytes)
        return bytes
    }

    /// The header at an offset, if one can be there.
    static func header(in bytes: [UInt8], at offset: Int) -> Header? {
        guard offset >= 0, bytes.count - offset >= headerByteCount,
            bytes[offset..<(offset + 4)].elementsEqual(magic)
        else { return nil }
        let count = Int(number(bytes, offset + 4, 4))
        guard count <= bodyByteCountMax else { return nil }
        return Header(
            bodyByteCount: count, cycle: Int64(bitPattern: number(bytes, offset + 8, 8)),
            pointCount: Int(number(bytes, offset + 16, 4)),
            checksum: UInt32(number(bytes, offset + 20, 4)))
    }

    /// The whole record at an offset; `nil` if it is not there whole and sound.
    static func decode(_ bytes: [UInt8], at offset: Int) -> SinkRequest? {
        guard let header = header(in: bytes, at: offset),
            bytes.count - offset - headerByteCount >= header.bodyByteCount
        else { return nil }
        let bodyStart = offset + headerByteCount
        let body = bytes[bodyStart..<(bodyStart + header.bodyByteCount)]
        guard checksum(of: bytes[(offset + 4)..<(offset + 20)], body) == header.checksum else {
            return nil
        }
        return SinkRequest(cycle: header.cycle, pointCount: header.pointCount, body: Array(body))
    }

    /// A note that the record at an offset is done: the offset and its CRC-32C.
    static func encode(doneOffset: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        append(UInt32(doneOffset), to: &bytes)
        append(checksum(of: bytes[...], []), to: &bytes)
        return bytes
    }

    /// All sound notes of a file. A damaged one is skipped: its record is then sent once more.
    static func decodeDone(_ bytes: [UInt8]) -> Set<Int> {
        var done = Set<Int>()
        for offset in stride(from: 0, through: bytes.count - 8, by: 8) {
            let crc = UInt32(number(bytes, offset + 4, 4))
            if checksum(of: bytes[offset..<(offset + 4)], []) == crc {
                done.insert(Int(number(bytes, offset, 4)))
            }
        }
        return done
    }

    private static func append(_ value: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }

    private static func number(_ bytes: [UInt8], _ offset: Int, _ count: Int) -> UInt64 {
        bytes[offset..<(offset + count)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    private static func checksum(of head: ArraySlice<UInt8>, _ body: ArraySlice<UInt8>) -> UInt32 {
        var crc = CRC32C()
        head.withUnsafeBytes { crc.update($0) }
        body.withUnsafeBytes { crc.update($0) }
        return crc.value
    }
}
