/// The fields of a message: tag, length, value, in any order; unknown tags are skipped, so that
/// either end can learn new ones first. Integers are little-endian base-128 (LEB128).
struct MessageFieldWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ tag: UInt8, integer value: UInt64) {
        if value == 0 { return }
        var scratch: [UInt8] = []
        Varint.append(value, to: &scratch)
        put(tag, bytes: scratch)
    }

    mutating func put(_ tag: UInt8, text: String) {
        if text.isEmpty { return }
        put(tag, bytes: Array(text.utf8))
    }

    mutating func put(_ tag: UInt8, bytes value: [UInt8]) {
        bytes.append(tag)
        Varint.append(UInt64(value.count), to: &bytes)
        bytes.append(contentsOf: value)
    }
}

/// Reads what `MessageFieldWriter` wrote; calls back once per field.
struct MessageFieldReader {
    /// One field's value, to be read as the tag demands.
    struct FieldValue {
        let bytes: UnsafeRawBufferPointer

        func integer() throws(WireError) -> UInt64 {
            var reader = ByteReader(bytes)
            let value = try reader.varint()
            guard reader.isAtEnd else {
                throw .malformed(what: "integer field", offset: reader.offset)
            }
            return value
        }

        /// - Throws: `limitExceeded` over `limit` bytes, `malformed` where it is not UTF-8.
        func text(limit: Int) throws(WireError) -> String {
            guard bytes.count <= limit else {
                throw .limitExceeded(what: "text field", actual: bytes.count, limit: limit)
            }
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw .malformed(what: "text field", offset: 0)
            }
            return text
        }
    }

    static func read(
        _ payload: UnsafeRawBufferPointer,
        _ body: (UInt8, FieldValue) throws(WireError) -> Void
    ) throws(WireError) {
        var reader = ByteReader(payload)
        while !reader.isAtEnd {
            let tag = try reader.byte()
            let length = try reader.count("field length", limit: payload.count)
            try body(tag, FieldValue(bytes: try reader.take(length)))
        }
    }
}
