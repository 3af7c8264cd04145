/// The fields of a protobuf message that somebody else sent, one after the other. Every length is checked;
/// malformed bytes end the reading with `isMalformed`.
struct ProtobufReader: Sequence, IteratorProtocol {
    enum FieldValue: Equatable {
        case varint(UInt64)
        /// Four or eight bytes.
        case fixed(ArraySlice<UInt8>)
        /// A string, bytes or a message.
        case bytes(ArraySlice<UInt8>)
    }

    private var rest: ArraySlice<UInt8>
    private(set) var isMalformed = false

    init(_ message: some Sequence<UInt8>) { rest = ArraySlice(message) }

    mutating func next() -> (field: UInt64, value: FieldValue)? {
        guard !rest.isEmpty, !isMalformed else { return nil }
        guard let tag = varint(), let value = value(of: tag & 7) else {
            isMalformed = true
            return nil
        }
        return (tag >> 3, value)
    }

    private mutating func value(of wireType: UInt64) -> FieldValue? {
        switch wireType {
        case 0: varint().map { .varint($0) }
        case 1: take(8).map { .fixed($0) }
        case 2: varint().flatMap { take($0) }.map { .bytes($0) }
        case 5: take(4).map { .fixed($0) }
        default: nil
        }
    }

    private mutating func take(_ count: UInt64) -> ArraySlice<UInt8>? {
        guard count <= UInt64(rest.count) else { return nil }
        defer { rest.removeFirst(Int(count)) }
        return rest.prefix(Int(count))
    }

    private mutating func varint() -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }
}
