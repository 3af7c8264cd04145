import Wire

/// One entry of the log.
///
/// ```
/// +------+-----------------+------+-------------+-----------------+---------+
/// | 0xA7 | length, 4, LE   | kind | node, 4, LE | CRC-32C, 4, LE  | payload |
/// +------+-----------------+------+-------------+-----------------+---------+
/// ```
/// The checksum is over length, kind, node and payload, so a record found by searching is one. Nodes
/// are numbered by `node` records; a number means nothing in another segment.
enum LogRecord {
    /// Raw values are in files and never change.
    enum Kind: UInt8 {
        /// What a node's number stands for: its name.
        case node = 1
        /// A chain begins from nothing, or ends: its number (varint), then 1 or 0.
        case chain = 2
        /// Dictionary changes, as on the wire, for the frame that follows.
        case subjects = 3
        /// `FrameEntry`.
        case frame = 4
        /// Frames that the agent declared lost, as on the wire.
        case gap = 5
        /// A change of Kubernetes objects.
        case metadata = 6
        /// The sums of a cycle as they are now.
        case cycle = 7
        /// `NodeSnapshot`: what a node needs to go on from here. Its chains' records follow.
        case nodeState = 8
        case chainState = 9
        /// The machine's facts, as on the wire.
        case facts = 10
        /// Number and time of a batch: what was committed together.
        case batchBegin = 11
        /// Number of the batch, and how many records are between the two.
        case batchEnd = 12
        /// Begins a segment that goes on for one that could not be written: number and time of its
        /// first batch. All nodes' numbers follow.
        case continuation = 13
        /// What comes on top of the sums of a cycle that an earlier record has, in the place of what
        /// came on top before.
        case cyclePart = 14
        /// `Departure`; in files of departures only.
        case departure = 15
    }

    static let magic: UInt8 = 0xA7
    static let headerByteCount = 14
    /// More than any record needs; a length beyond it is damage.
    static let payloadByteCountMax = 64 << 20

    /// Appends a record to a buffer.
    static func append(
        _ kind: Kind, node: UInt32 = 0, _ payload: UnsafeRawBufferPointer,
        to bytes: inout [UInt8]
    ) {
        append(kind, node: node, to: &bytes) { $0.append(contentsOf: payload) }
    }

    /// Appends a record whose payload `body` appends.
    static func append(
        _ kind: Kind, node: UInt32 = 0, to bytes: inout [UInt8], _ body: (inout [UInt8]) -> Void
    ) {
        let start = bytes.count
        bytes.append(magic)
        bytes.append(contentsOf: [0, 0, 0, 0])
        bytes.append(kind.rawValue)
        for shift: UInt32 in [0, 8, 16, 24] {
            bytes.append(UInt8(truncatingIfNeeded: node >> shift))
        }
        bytes.append(contentsOf: [0, 0, 0, 0])
        body(&bytes)
        let length = bytes.count - start - headerByteCount
        precondition(length <= payloadByteCountMax, "\(length) bytes in a record")
        bytes.withUnsafeMutableBytes { all in
            let record = UnsafeMutableRawBufferPointer(rebasing: all[start...])
            record.storeBytes(of: UInt32(length).littleEndian, toByteOffset: 1, as: UInt32.self)
            let sum = checksum(UnsafeRawBufferPointer(record))
            record.storeBytes(of: sum.littleEndian, toByteOffset: 10, as: UInt32.self)
        }
    }

    /// Of a whole record: its own checksum field is left out.
    private static func checksum(_ record: UnsafeRawBufferPointer) -> UInt32 {
        var crc = CRC32C()
        crc.update(UnsafeRawBufferPointer(rebasing: record[1..<10]))
        crc.update(UnsafeRawBufferPointer(rebasing: record[headerByteCount...]))
        return crc.value
    }

    /// A record in somebody's buffer.
    struct View {
        let kind: Kind
        let node: UInt32
        let payload: UnsafeRawBufferPointer
        /// Bytes of the whole record.
        let byteCount: Int

        /// Appends the whole record as it is.
        func append(to bytes: inout [UInt8]) {
            guard let base = payload.baseAddress else { return }
            bytes.append(
                contentsOf: UnsafeRawBufferPointer(
                    start: base - LogRecord.headerByteCount, count: byteCount))
        }
    }

    enum Parsed {
        case record(View)
        /// It may be one, but the bytes end before it does.
        case incomplete
        case damaged
    }

    /// Looks at the start of `bytes`.
    ///
    /// - Parameter isChecked: the checksum was found right before.
    static func parse(_ bytes: UnsafeRawBufferPointer, isChecked: Bool = false) -> Parsed {
        guard let first = bytes.first else { return .incomplete }
        guard first == magic else { return .damaged }
        guard bytes.count >= headerByteCount else { return .incomplete }
        let length = Int(
            UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
        guard length <= payloadByteCountMax, let kind = Kind(rawValue: bytes[5]) else {
            return .damaged
        }
        let end = headerByteCount + length
        guard bytes.count >= end else { return .incomplete }
        let record = UnsafeRawBufferPointer(rebasing: bytes[..<end])
        if !isChecked {
            let expected = UInt32(
                littleEndian: record.loadUnaligned(fromByteOffset: 10, as: UInt32.self))
            guard checksum(record) == expected else { return .damaged }
        }
        let node = UInt32(littleEndian: record.loadUnaligned(fromByteOffset: 6, as: UInt32.self))
        return .record(
            View(
                kind: kind, node: node,
                payload: UnsafeRawBufferPointer(rebasing: record[headerByteCount...]),
                byteCount: end))
    }

    /// Calls `body` with each record of bytes that were checked before.
    static func visit(
        in bytes: UnsafeRawBufferPointer, _ body: (View) -> Void
    ) {
        var offset = 0
        while case .record(let view) = parse(
            UnsafeRawBufferPointer(rebasing: bytes[offset...]), isChecked: true)
        {
            body(view)
            offset += view.byteCount
        }
    }
}
