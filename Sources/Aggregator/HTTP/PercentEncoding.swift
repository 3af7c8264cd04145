/// Percent-encoding of paths and queries (RFC 3986, 2.1; `+` as a space in queries only).
enum PercentEncoding {
    /// Appends the decoded bytes. A `%` without two hexadecimal digits stands for itself.
    static func decode(
        _ bytes: UnsafeRawBufferPointer, plusIsSpace: Bool, into target: inout [UInt8]
    ) {
        target.reserveCapacity(target.count + bytes.count)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == 0x25, index &+ 2 < bytes.count,
                let high = HTTPSyntax.hexDigit(bytes[index &+ 1]),
                let low = HTTPSyntax.hexDigit(bytes[index &+ 2])
            {
                target.append(high << 4 | low)
                index &+= 3
            } else {
                target.append(byte == 0x2B && plusIsSpace ? 0x20 : byte)
                index &+= 1
            }
        }
    }

    /// The decoded text; bytes that are not UTF-8 become U+FFFD.
    static func string(_ bytes: UnsafeRawBufferPointer, plusIsSpace: Bool) -> String {
        guard bytes.contains(where: { $0 == 0x25 || ($0 == 0x2B && plusIsSpace) }) else {
            return String(decoding: bytes, as: UTF8.self)
        }
        var decoded: [UInt8] = []
        decode(bytes, plusIsSpace: plusIsSpace, into: &decoded)
        return String(decoding: decoded, as: UTF8.self)
    }

    static func queryValue(_ query: UnsafeRawBufferPointer, _ name: StaticString) -> String? {
        var found: String?
        forEachPair(query) { key, value in
            if found == nil, matches(key, name) { found = string(value, plusIsSpace: true) }
        }
        return found
    }

    static func queryValues(_ query: UnsafeRawBufferPointer, _ name: StaticString) -> [String] {
        var found: [String] = []
        forEachPair(query) { key, value in
            if matches(key, name) { found.append(string(value, plusIsSpace: true)) }
        }
        return found
    }

    private static func matches(_ key: UnsafeRawBufferPointer, _ name: StaticString) -> Bool {
        let wanted = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        guard key.contains(where: { $0 == 0x25 || $0 == 0x2B }) else {
            return key.elementsEqual(wanted)
        }
        var decoded: [UInt8] = []
        decode(key, plusIsSpace: true, into: &decoded)
        return decoded.elementsEqual(wanted)
    }

    /// Splits `a=b&c=d`. A pair without `=` has an empty value.
    private static func forEachPair(
        _ query: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) {
        var start = 0
        while start < query.count {
            var end = start
            while end < query.count, query[end] != 0x26 { end &+= 1 }
            var equals = start
            while equals < end, query[equals] != 0x3D { equals &+= 1 }
            if end > start {
                body(
                    UnsafeRawBufferPointer(rebasing: query[start..<equals]),
                    UnsafeRawBufferPointer(rebasing: query[min(equals &+ 1, end)..<end]))
            }
            start = end &+ 1
        }
    }
}
