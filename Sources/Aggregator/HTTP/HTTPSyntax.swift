/// Character classes and small readers of RFC 9110 and RFC 9112. Nothing here allocates.
enum HTTPSyntax {
    /// A span of the head: offsets of the first byte and the one past the last.
    ///
    /// 16 bits are enough because a head is at most 65,535 bytes (`HTTPLimits`).
    struct Extent: Equatable {
        var start: UInt16
        var end: UInt16

        init(_ start: Int, _ end: Int) {
            self.start = UInt16(start)
            self.end = UInt16(end)
        }

        static let empty = Extent(0, 0)
        var count: Int { Int(end) - Int(start) }
        var isEmpty: Bool { start == end }
    }

    /// One bit each in a table of 256.
    private static let tokenBits: (UInt64, UInt64) = {
        var low: UInt64 = 0
        var high: UInt64 = 0
        for byte in Array("!#$%&'*+-.^_`|~0123456789".utf8) + Array(UInt8(65)...90)
            + Array(UInt8(97)...122)
        {
            if byte < 64 { low |= 1 << UInt64(byte) } else { high |= 1 << UInt64(byte - 64) }
        }
        return (low, high)
    }()

    /// tchar: what methods and field names are made of.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        if byte < 64 { return tokenBits.0 >> UInt64(byte) & 1 != 0 }
        return byte < 128 && tokenBits.1 >> UInt64(byte &- 64) & 1 != 0
    }

    /// field-vchar, space and tab: no other control byte, no DEL.
    @inline(__always)
    static func isFieldValue(_ byte: UInt8) -> Bool {
        byte >= 0x20 ? byte != 0x7F : byte == 0x09
    }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    /// The value of a hexadecimal digit; nil for another byte.
    @inline(__always)
    static func hexDigit(_ byte: UInt8) -> UInt8? {
        if byte &- 0x30 < 10 { return byte &- 0x30 }
        let letter = byte | 0x20
        return letter &- 0x61 < 6 ? letter &- 0x61 &+ 10 : nil
    }

    /// Compares without regard to the case of ASCII letters. `lowercase` must be lower case.
    static func equals(_ bytes: UnsafeRawBufferPointer, ignoringCase lowercase: StaticString)
        -> Bool
    {
        guard bytes.count == lowercase.utf8CodeUnitCount else { return false }
        let other = lowercase.utf8Start
        for index in 0..<bytes.count {
            let byte = bytes[index]
            let folded = byte &- 0x41 < 26 ? byte | 0x20 : byte
            if folded != other[index] { return false }
        }
        return true
    }

    /// A decimal number of 1...18 digits and nothing else; nil otherwise.
    static func decimal(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard !bytes.isEmpty, bytes.count <= 18 else { return nil }
        var value = 0
        for byte in bytes {
            guard isDigit(byte) else { return nil }
            value = value &* 10 &+ Int(byte &- 0x30)
        }
        return value
    }

    /// Without the spaces and tabs at both ends.
    static func trimmed(_ bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        var start = 0
        var end = bytes.count
        while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start &+= 1 }
        while end > start, bytes[end &- 1] == 0x20 || bytes[end &- 1] == 0x09 { end &-= 1 }
        return UnsafeRawBufferPointer(rebasing: bytes[start..<end])
    }

    /// Calls `body` with each element of a comma-separated list, trimmed; empty ones are left out.
    /// Commas in quoted strings are not special: no list read here has them.
    static func forEachElement(
        _ list: UnsafeRawBufferPointer, separator: UInt8 = 0x2C,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        var start = 0
        while start < list.count {
            var end = start
            while end < list.count, list[end] != separator { end &+= 1 }
            let element = trimmed(UnsafeRawBufferPointer(rebasing: list[start..<end]))
            if !element.isEmpty { body(element) }
            start = end &+ 1
        }
    }
}
