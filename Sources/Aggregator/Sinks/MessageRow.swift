/// A request's body as a row of messages, for backends to which a request is not one text: each
/// message is `key length, key, value length, value`, lengths of four bytes, big endian.
enum MessageRow {
    static func append(key: [UInt8], value: [UInt8], to bytes: inout [UInt8]) {
        append(UInt32(key.count), to: &bytes)
        bytes.append(contentsOf: key)
        append(UInt32(value.count), to: &bytes)
        bytes.append(contentsOf: value)
    }

    /// `nil` for bytes that `append` did not write.
    static func parse(
        _ body: [UInt8]
    ) -> [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)]? {
        var messages: [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)] = []
        var index = 0
        func field() -> ArraySlice<UInt8>? {
            guard body.count - index >= 4 else { return nil }
            let count = body[index..<(index + 4)].reduce(0) { $0 << 8 | Int($1) }
            guard count <= body.count - index - 4 else { return nil }
            defer { index += 4 + count }
            return body[(index + 4)..<(index + 4 + count)]
        }
        while index < body.count {
            guard let key = field(), let value = field() else { return nil }
            messages.append((key, value))
        }
        return messages
    }

    private static func append(_ value: UInt32, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }
}
