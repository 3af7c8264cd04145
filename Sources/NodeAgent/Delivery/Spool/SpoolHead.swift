import Wire

/// What stands at the front of a segment, and alone in the file that says that the agent has stopped
/// in order.
///
/// ```
/// magic, 4 bytes | byte length of the rest, varint | CRC-32C of the rest, 4 bytes, little-endian
/// run ID, 16 bytes | sequence, varint | voids: ranges
/// aggregators: count, then each name length, name, acknowledged: ranges
/// ```
/// Ranges are their count, then first and last of each; all are varints.
struct SpoolHead: Equatable {
    var runID: [UInt8]
    /// Of a segment: its first frame. At the end: the frame that would have come next.
    var sequence: UInt64
    /// Numbers that the run may never have given to a frame.
    var voids: SequenceSet
    /// Only at the end: a segment's would be old by the time that it is read, and an aggregator may have
    /// lost since what it acknowledged.
    var acknowledged: [String: SequenceSet] = [:]

    static let segmentMagic = Array("HWS2".utf8)
    static let endMagic = Array("HWE2".utf8)

    init(runID: [UInt8], sequence: UInt64, voids: SequenceSet) {
        self.runID = runID
        self.sequence = sequence
        self.voids = voids
    }

    func encode(magic: [UInt8], into bytes: inout [UInt8]) {
        var body: [UInt8] = []
        body.append(contentsOf: runID)
        Varint.append(sequence, to: &body)
        Self.append(voids, to: &body)
        Varint.append(UInt64(acknowledged.count), to: &body)
        for (name, set) in acknowledged.sorted(by: { $0.key < $1.key }) {
            Varint.append(UInt64(name.utf8.count), to: &body)
            body.append(contentsOf: name.utf8)
            Self.append(set, to: &body)
        }
        bytes.append(contentsOf: magic)
        Varint.append(UInt64(body.count), to: &bytes)
        let sum = body.withUnsafeBytes { CRC32C.checksum($0) }
        for shift: UInt32 in [0, 8, 16, 24] {
            bytes.append(UInt8(truncatingIfNeeded: sum >> shift))
        }
        bytes.append(contentsOf: body)
    }

    private static func append(_ set: SequenceSet, to bytes: inout [UInt8]) {
        Varint.append(UInt64(set.ranges.count), to: &bytes)
        for range in set.ranges {
            Varint.append(range.first, to: &bytes)
            Varint.append(range.last, to: &bytes)
        }
    }

    /// - Throws: `truncated`, `malformed`, `limitExceeded`, `checksumMismatch`.
    init(magic: [UInt8], _ reader: inout ByteReader) throws(WireError) {
        guard (try reader.take(magic.count)).elementsEqual(magic) else {
            throw .malformed(what: "spool head", offset: 0)
        }
        let byteCount = try reader.count("spool head", limit: 64 << 20)
        let expected = UInt32(littleEndian: (try reader.take(4)).loadUnaligned(as: UInt32.self))
        let payload = try reader.take(byteCount)
        let actual = CRC32C.checksum(payload)
        guard actual == expected else {
            throw .checksumMismatch(expected: expected, actual: actual)
        }
        var body = ByteReader(payload)
        runID = Array(try body.take(16))
        sequence = try body.varint()
        voids = try Self.set(&body)
        for _ in 0..<(try body.count("aggregators", limit: 64)) {
            let length = try body.count("name", limit: 1_024)
            let name = String(decoding: try body.take(length), as: UTF8.self)
            acknowledged[name] = try Self.set(&body)
        }
        // Numbers beyond could not be counted on.
        guard body.isAtEnd, sequence > 0, sequence < 1 << 62 else {
            throw .malformed(what: "spool head", offset: body.offset)
        }
    }

    private static func set(_ reader: inout ByteReader) throws(WireError) -> SequenceSet {
        var set = SequenceSet()
        for _ in 0..<(try reader.count("ranges", limit: 1 << 20)) {
            let (first, last) = (try reader.varint(), try reader.varint())
            guard 0 < first, first <= last else {
                throw .malformed(what: "sequence range", offset: reader.offset)
            }
            set.insert(SequenceRange(first, last))
        }
        return set
    }
}
