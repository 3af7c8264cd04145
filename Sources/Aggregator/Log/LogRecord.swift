import Wire

/// One entry of the log.
///
/// ```
/// +------+----------------+-----------------+------+-------------+---------+
/// | 0xA7 | length, 3, LE  | CRC-32C, 4, LE  | type | node, 4, LE | payload |
/// +------+----------------+-----------------+------+-------------+---------+
/// ```
/// The checksum is over length, type, node and payload, so a record found by searching is one.
/// Nodes are numbered within a segment by `node` records.
struct LogRecord {
    /// Raw values are in files and never change.
    enum Kind: UInt8 {
        /// Node number, run ID and name: what the following records of that number are about.
        case node = 1
        /// The chain that the node's following records belong to; a varint and, when it begins, a 1.
        case chain = 2
        case subjects = 3
        case frame = 4
        /// Frames that the agent declared lost.
        case gap = 5
        /// A change of Kubernetes objects.
        case metadata = 6
        /// A cycle was handed to the sinks.
        case cycle = 7
    }

    static let magic: UInt8 = 0xA7
    static let headerByteCount = 13
    /// Length is 24 bits.
    static let payloadByteCountMax = (1 << 24) - 1

    /// Appends a record to a buffer.
    static func append(
        _ kind: Kind, node: UInt32, _ payload: UnsafeRawBufferPointer, to bytes: inout [UInt8]
    ) {
        precondition(payload.count <= payloadByteCountMax, "\(payload.count) bytes in a record")
        let start = bytes.count
        bytes.append(magic)
        let length = UInt32(payload.count)
        for shift: UInt32 in [0, 8, 16] { bytes.append(UInt8(truncatingIfNeeded: length >> shift)) }
        bytes.append(contentsOf: [0, 0, 0, 0])
        bytes.append(kind.rawValue)
        for shift: UInt32 in [0, 8, 16, 24] {
            bytes.append(UInt8(truncatingIfNeeded: node >> shift))
        }
        bytes.append(contentsOf: payload)
        let sum = bytes.withUnsafeBytes {
            checksum(UnsafeRawBufferPointer(rebasing: $0[start...]))
        }
        for shift: UInt32 in [0, 8, 16, 24] {
            bytes[start + 4 + Int(shift / 8)] = UInt8(truncatingIfNeeded: sum >> shift)
        }
    }

    /// Of a whole record: its own checksum field is left out.
    private static func checksum(_ record: UnsafeRawBufferPointer) -> UInt32 {
        var crc = CRC32C()
        crc.update(UnsafeRawBufferPointer(rebasing: record[1..<4]))
        crc.update(UnsafeRawBufferPointer(rebasing: record[8...]))
        return crc.value
    }

    /// A record in somebody's buffer.
    struct View {
        let kind: Kind
        let node: UInt32
        let payload: UnsafeRawBufferPointer
        /// Bytes of the whole record.
        let byteCount: Int
    }

    enum Parsed {
        case record(View)
        /// It may be one, but the bytes end before it does.
        case incomplete
        case damaged
    }

    /// Looks at the start of `bytes`.
    static func parse(_ bytes: UnsafeRawBufferPointer) -> Parsed {
        guard let first = bytes.first else { return .incomplete }
        guard first == magic else { return .damaged }
        guard bytes.count >= headerByteCount else { return .incomplete }
        let length = Int(bytes[1]) | Int(bytes[2]) << 8 | Int(bytes[3]) << 16
        let end = headerByteCount + length
        guard bytes.count >= end else { return .incomplete }
        let record = UnsafeRawBufferPointer(rebasing: bytes[..<end])
        let expected = UInt32(
            littleEndian: record.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
        guard checksum(record) == expected, let kind = Kind(rawValue: record[8]) else {
            return .damaged
        }
        let node = UInt32(littleEndian: record.loadUnaligned(fromByteOffset: 9, as: UInt32.self))
        return .record(
            View(
                kind: kind, node: node,
                payload: UnsafeRawBufferPointer(rebasing: record[headerByteCount...]),
                byteCount: end))
    }
}
