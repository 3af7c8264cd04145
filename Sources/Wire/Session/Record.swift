/// The unit of the stream: length, type and flags, checksum, payload.
///
/// ```
/// +----------------+------------------+------------------+---------+
/// | payload length | flags (4) type(4)| CRC-32C, LE      | payload |
/// | varint, 1...4  | 1 byte           | 4 bytes          |         |
/// +----------------+------------------+------------------+---------+
/// ```
/// The checksum is over type byte and payload. Records go over TCP, wait in the agent's ring and make
/// up the aggregator's history as these same bytes.
public enum RecordType: UInt8, Sendable, CaseIterable {
    case hello = 1
    case welcome = 2
    /// Changes of the dictionary, before the frame from which on they hold.
    case subjects = 3
    case frame = 4
    case ack = 5
    case reject = 6
    case goodbye = 7
    /// The machine's facts have changed since the hello.
    case facts = 8
    /// Frames that no longer exist anywhere.
    case gap = 9
    /// The chain that the following `subjects` and `frame` records belong to.
    case chain = 10
}

/// Flags of a record, the high four bits of its second byte. Unknown ones are ignored.
public struct RecordFlags: OptionSet, Sendable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// On `chain`: the chain begins here, with its whole dictionary and a key frame.
    public static let begins = RecordFlags(rawValue: 1 << 4)
}

/// A whole record inside somebody's buffer.
public struct Record: Sendable, Equatable {
    public var type: RecordType
    public var flags: RecordFlags
    public var payload: [UInt8]

    public init(type: RecordType, flags: RecordFlags = [], payload: [UInt8]) {
        self.type = type
        self.flags = flags
        self.payload = payload
    }

    /// Appends the record to `bytes`.
    public func encode(into bytes: inout [UInt8]) {
        payload.withUnsafeBytes {
            Record.encode(type: type, flags: flags, payload: $0, into: &bytes)
        }
    }

    /// Appends a record with this payload; allocates only when `bytes` has to grow.
    public static func encode(
        type: RecordType, flags: RecordFlags = [], payload: UnsafeRawBufferPointer,
        into bytes: inout [UInt8]
    ) {
        let typeByte = type.rawValue | flags.rawValue
        Varint.append(UInt64(payload.count), to: &bytes)
        bytes.append(typeByte)
        let sum = checksum(typeByte: typeByte, payload: payload)
        for shift: UInt32 in [0, 8, 16, 24] {
            bytes.append(UInt8(truncatingIfNeeded: sum >> shift))
        }
        bytes.append(contentsOf: payload)
    }

    static func checksum(typeByte: UInt8, payload: UnsafeRawBufferPointer) -> UInt32 {
        var crc = CRC32C()
        withUnsafeBytes(of: typeByte) { crc.update($0) }
        crc.update(payload)
        return crc.value
    }

    /// What `Record.parse` found at the start of a buffer.
    public enum Parsed {
        /// Not yet whole: at least so many bytes are needed in all.
        case incomplete(atLeast: Int)
        /// A record: its payload is `payload` of the buffer, the next record begins at `end`.
        case record(RecordType, RecordFlags, payload: Range<Int>, end: Int)
    }

    /// Looks at the start of `bytes`, copies nothing.
    ///
    /// - Throws: `limitExceeded` as soon as the length is known, before the payload is there;
    ///   `malformed`, `unknownRecordType`, `checksumMismatch`.
    public static func parse(
        _ bytes: UnsafeRawBufferPointer, payloadLimit: Int
    ) throws(WireError) -> Parsed {
        var length = 0
        var offset = 0
        while true {
            guard offset < bytes.count else { return .incomplete(atLeast: offset + 6) }
            let byte = bytes[offset]
            length |= Int(byte & 0x7F) << (7 * offset)
            offset += 1
            if byte < 0x80 { break }
            if offset == 4 { throw .malformed(what: "record length", offset: offset) }
        }
        guard length <= payloadLimit else {
            throw .limitExceeded(what: "record payload", actual: length, limit: payloadLimit)
        }
        let payload = offset + 5..<offset + 5 + length
        guard offset < bytes.count else { return .incomplete(atLeast: payload.upperBound) }
        let typeByte = bytes[offset]
        guard let type = RecordType(rawValue: typeByte & 0x0F) else {
            throw .unknownRecordType(typeByte & 0x0F)
        }
        guard payload.upperBound <= bytes.count else {
            return .incomplete(atLeast: payload.upperBound)
        }
        let expected = UInt32(
            littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 1, as: UInt32.self))
        let actual = checksum(
            typeByte: typeByte, payload: UnsafeRawBufferPointer(rebasing: bytes[payload]))
        guard expected == actual else {
            throw .checksumMismatch(expected: expected, actual: actual)
        }
        return .record(
            type, RecordFlags(rawValue: typeByte & 0xF0), payload: payload,
            end: payload.upperBound)
    }
}

/// Reassembles records from a byte stream cut anywhere.
public struct RecordStream {
    private var buffer: [UInt8] = []
    private var consumed = 0
    private let payloadLimit: Int

    public init(payloadLimit: Int) { self.payloadLimit = payloadLimit }

    /// Bytes received but not yet part of a whole record.
    public var pendingByteCount: Int { buffer.count - consumed }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        if consumed == buffer.count {
            buffer.removeAll(keepingCapacity: true)
            consumed = 0
        } else if consumed > 65_536 {
            buffer.removeSubrange(0..<consumed)
            consumed = 0
        }
        buffer.append(contentsOf: bytes)
    }

    /// Hands the next whole record to `body` in place; `false` when more bytes are needed.
    ///
    /// - Throws: what `Record.parse` throws; the stream is of no use afterwards.
    public mutating func next(
        _ body: (RecordType, RecordFlags, UnsafeRawBufferPointer) throws(WireError) -> Void
    ) throws(WireError) -> Bool {
        let start = consumed
        let limit = payloadLimit
        var end = start
        var failure: WireError?
        let found = buffer.withUnsafeBytes { all in
            let rest = UnsafeRawBufferPointer(rebasing: all[start...])
            do throws(WireError) {
                switch try Record.parse(rest, payloadLimit: limit) {
                case .incomplete: return false
                case .record(let type, let flags, let payload, let recordEnd):
                    end = start + recordEnd
                    try body(type, flags, UnsafeRawBufferPointer(rebasing: rest[payload]))
                    return true
                }
            } catch {
                failure = error
                return false
            }
        }
        if let failure { throw failure }
        consumed = end
        return found
    }
}
