import CLZ4
import CSnappy
import CZstd
import Wire

/// Kafka's record batch, version 2 (<https://kafka.apache.org/documentation/#recordbatch>).
enum KafkaRecordBatch {
    enum Compression: Int16, Sendable, CaseIterable {
        case none = 0
        case gzip, snappy, lz4, zstd
    }

    /// Whose batch it is, so that the broker knows a repetition.
    struct Producer: Sendable, Equatable {
        var id: Int64 = -1
        var epoch: Int16 = -1
        var sequence: Int32 = -1
    }

    static func encode(
        _ messages: [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)], timestamp: Int64,
        compression: Compression, producer: Producer
    ) -> [UInt8] {
        var records: [UInt8] = []
        var record: [UInt8] = []
        for (index, message) in messages.enumerated() {
            record.removeAll(keepingCapacity: true)
            record.append(0)
            append(varint: 0, to: &record)
            append(varint: index, to: &record)
            append(varint: message.key.count, to: &record)
            record.append(contentsOf: message.key)
            append(varint: message.value.count, to: &record)
            record.append(contentsOf: message.value)
            append(varint: 0, to: &record)
            append(varint: record.count, to: &records)
            records.append(contentsOf: record)
        }
        // From the attributes to the end: what the checksum covers.
        var checked = KafkaWriter()
        checked.int16(compression.rawValue)
        checked.int32(Int32(messages.count - 1))
        checked.int64(timestamp)
        checked.int64(timestamp)
        checked.int64(producer.id)
        checked.int16(producer.epoch)
        checked.int32(producer.sequence)
        checked.int32(Int32(messages.count))
        checked.bytes += compress(records, compression)
        var batch = KafkaWriter()
        batch.int64(0)
        batch.int32(Int32(checked.bytes.count + 9))
        batch.int32(-1)
        batch.bytes.append(2)
        batch.int32(
            Int32(bitPattern: checked.bytes.withUnsafeBytes { CRC32C.checksum($0) }))
        batch.bytes += checked.bytes
        return batch.bytes
    }

    /// Zigzag, as protobuf's sint64.
    private static func append(varint value: Int, to bytes: inout [UInt8]) {
        Protobuf.append(varint: UInt64(bitPattern: Int64(value << 1 ^ value >> 63)), to: &bytes)
    }

    static func compress(_ bytes: [UInt8], _ compression: Compression) -> [UInt8] {
        switch compression {
        case .none: bytes
        case .gzip: BodyPacking.gzip(bytes)
        case .snappy: framedSnappy(bytes)
        case .lz4: lz4(bytes)
        case .zstd: zstd(bytes)
        }
    }

    /// Snappy in the framing of the Java library, which all consumers read: a header and blocks, each
    /// behind its length.
    private static func framedSnappy(_ bytes: [UInt8]) -> [UInt8] {
        var framed: [UInt8] = [0x82] + Array("SNAPPY".utf8) + [0, 0, 0, 0, 1, 0, 0, 0, 1]
        for start in stride(from: 0, to: bytes.count, by: 32_768) {
            let block = BodyPacking.snappy(Array(bytes[start..<min(start + 32_768, bytes.count)]))
            withUnsafeBytes(of: UInt32(block.count).bigEndian) { framed.append(contentsOf: $0) }
            framed += block
        }
        return framed
    }

    private static func lz4(_ bytes: [UInt8]) -> [UInt8] {
        let room = LZ4F_compressFrameBound(bytes.count, nil)
        return [UInt8](unsafeUninitializedCapacity: room) { target, used in
            used = LZ4F_compressFrame(target.baseAddress, room, bytes, bytes.count, nil)
            precondition(LZ4F_isError(used) == 0, "LZ4F_compressFrame: \(used)")
        }
    }

    private static func zstd(_ bytes: [UInt8]) -> [UInt8] {
        let room = ZSTD_compressBound(bytes.count)
        return [UInt8](unsafeUninitializedCapacity: room) { target, used in
            used = ZSTD_compress(target.baseAddress, room, bytes, bytes.count, 1)
            precondition(ZSTD_isError(used) == 0, "ZSTD_compress: \(used)")
        }
    }

    /// The partition of a key, as the Java client chooses it (murmur2).
    static func partition(of key: ArraySlice<UInt8>, count: Int) -> Int {
        Int(murmur2(key) & 0x7FFF_FFFF) % count
    }

    static func murmur2(_ key: ArraySlice<UInt8>) -> UInt32 {
        let bytes = Array(key)
        let multiplier: UInt32 = 0x5bd1_e995
        var hash: UInt32 = 0x9747_b28c ^ UInt32(bytes.count)
        var index = 0
        while bytes.count - index >= 4 {
            var word = bytes[index..<(index + 4)].reversed().reduce(0) { $0 << 8 | UInt32($1) }
            word = word &* multiplier
            word = (word ^ word >> 24) &* multiplier
            hash = (hash &* multiplier) ^ word
            index += 4
        }
        let rest = bytes[index...]
        if !rest.isEmpty {
            hash ^= rest.reversed().reduce(0) { $0 << 8 | UInt32($1) }
            hash = hash &* multiplier
        }
        hash = (hash ^ hash >> 13) &* multiplier
        return hash ^ hash >> 15
    }
}

/// Kafka's primitive types, big endian (<https://kafka.apache.org/protocol.html#protocol_types>).
struct KafkaWriter {
    var bytes: [UInt8] = []

    mutating func int16(_ value: Int16) { append(value) }
    mutating func int32(_ value: Int32) { append(value) }
    mutating func int64(_ value: Int64) { append(value) }

    mutating func string(_ value: String?) {
        guard let value else { return int16(-1) }
        int16(Int16(clamping: value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    mutating func blob(_ value: [UInt8]) {
        int32(Int32(value.count))
        bytes += value
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}

/// Reads what `KafkaWriter` writes; never outside its bytes.
struct KafkaReader {
    private let bytes: [UInt8]
    private var index = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func int16() throws(SinkError) -> Int16 { Int16(truncatingIfNeeded: try number(2)) }
    mutating func int32() throws(SinkError) -> Int32 { Int32(truncatingIfNeeded: try number(4)) }
    mutating func int64() throws(SinkError) -> Int64 { Int64(bitPattern: try number(8)) }
    mutating func int8() throws(SinkError) -> Int8 { Int8(truncatingIfNeeded: try number(1)) }

    mutating func string() throws(SinkError) -> String? {
        let count = Int(try int16())
        return count < 0 ? nil : String(decoding: try take(count), as: UTF8.self)
    }

    mutating func blob() throws(SinkError) -> [UInt8] {
        let count = Int(try int32())
        return count < 0 ? [] : try take(count)
    }

    /// The length of an array whose elements take at least a byte each.
    mutating func count() throws(SinkError) -> Int {
        let count = Int(try int32())
        guard count <= bytes.count - index else { throw Self.truncated }
        return max(0, count)
    }

    /// Fields that later versions of the protocol may add (KIP-482).
    mutating func skipTaggedFields() throws(SinkError) {
        for _ in 0..<(try varint()) {
            _ = try varint()
            _ = try take(try varint())
        }
    }

    /// An unsigned number of at most 31 bits.
    private mutating func varint() throws(SinkError) -> Int {
        var value = 0
        for shift in stride(from: 0, to: 35, by: 7) {
            let byte = Int(UInt8(bitPattern: try int8()))
            value |= (byte & 0x7F) << shift
            if byte < 0x80 {
                guard value <= Int(Int32.max) else { break }
                return value
            }
        }
        throw .malformedAnswer("Kafka: a number is too long")
    }

    private mutating func number(_ byteCount: Int) throws(SinkError) -> UInt64 {
        try take(byteCount).reduce(0) { $0 << 8 | UInt64($1) }
    }

    private mutating func take(_ count: Int) throws(SinkError) -> [UInt8] {
        guard count <= bytes.count - index else { throw Self.truncated }
        defer { index += count }
        return Array(bytes[index..<(index + count)])
    }

    private static let truncated = SinkError.malformedAnswer("Kafka: the answer is too short")
}
