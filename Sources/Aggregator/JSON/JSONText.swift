/// The bytes between a JSON string's quotes, checked but not yet unescaped.
///
/// Points into the scanned bytes and must not outlive them. Making a `String` of it is the
/// caller's choice: most strings of a Kubernetes object are never wanted.
struct JSONText {
    let raw: UnsafeRawBufferPointer
    /// Whether `raw` has a backslash, so that its bytes are not the string's.
    let isEscaped: Bool

    /// The string. A surrogate without its other half becomes U+FFFD, as Go's decoder has it.
    var string: String {
        isEscaped
            ? String(decoding: unescaped(), as: UTF8.self) : String(decoding: raw, as: UTF8.self)
    }

    /// Whether the string is empty, without making it.
    var isEmpty: Bool { raw.isEmpty }

    /// Calls `body` with the string's UTF-8. Allocates only for an escaped string.
    func withUTF8<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        guard isEscaped else { return body(raw) }
        return unescaped().withUnsafeBytes { body($0) }
    }

    /// `case "metadata":` in a switch over a key.
    @inline(__always)
    static func ~= (literal: StaticString, text: JSONText) -> Bool {
        text.isEscaped ? text.string == literal.description : text.equals(literal)
    }

    @inline(__always)
    private func equals(_ literal: StaticString) -> Bool {
        guard raw.count == literal.utf8CodeUnitCount else { return false }
        let wanted = UnsafeRawBufferPointer(start: literal.utf8Start, count: raw.count)
        var index = 0
        while index &+ 8 <= raw.count {
            let a = raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let b = wanted.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            if a != b { return false }
            index &+= 8
        }
        while index < raw.count {
            if raw[index] != wanted[index] { return false }
            index &+= 1
        }
        return true
    }

    /// The UTF-8 of an escaped string. The escapes were checked when it was scanned.
    private func unescaped() -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(raw.count)
        var index = 0
        while index < raw.count {
            let byte = raw[index]
            guard byte == UInt8(ascii: "\\"), index + 1 < raw.count else {
                bytes.append(byte)
                index += 1
                continue
            }
            let escape = raw[index + 1]
            index += 2
            guard escape == UInt8(ascii: "u") else {
                bytes.append(Self.meaning(of: escape))
                continue
            }
            Self.append(unicodeEscape(at: &index), to: &bytes)
        }
        return bytes
    }

    /// The scalar of the four digits at `index`, and of a second escape where the first is half of
    /// a surrogate pair. Moves `index` behind what it read.
    private func unicodeEscape(at index: inout Int) -> UInt32 {
        let first = fourDigits(at: index)
        index += 4
        guard first & 0xF800 == 0xD800 else { return first }
        guard first < 0xDC00, index + 6 <= raw.count, raw[index] == UInt8(ascii: "\\"),
            raw[index + 1] == UInt8(ascii: "u")
        else { return 0xFFFD }
        let second = fourDigits(at: index + 2)
        guard second & 0xFC00 == 0xDC00 else { return 0xFFFD }
        index += 6
        return 0x10000 + ((first & 0x3FF) << 10 | second & 0x3FF)
    }

    private func fourDigits(at index: Int) -> UInt32 {
        var value: UInt32 = 0
        for position in index..<min(index + 4, raw.count) {
            let digit = UInt32(raw[position])
            value = value << 4 | (digit < 0x40 ? digit & 15 : (digit & 7) + 9)
        }
        return value
    }

    private static func meaning(of escape: UInt8) -> UInt8 {
        switch escape {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "r"): 0x0D
        case UInt8(ascii: "t"): 0x09
        default: escape
        }
    }

    private static func append(_ scalar: UInt32, to bytes: inout [UInt8]) {
        func tail(_ shift: UInt32) -> UInt8 { UInt8(0x80 | (scalar >> shift) & 0x3F) }
        switch scalar {
        case 0..<0x80: bytes.append(UInt8(scalar))
        case 0x80..<0x800: bytes += [UInt8(0xC0 | scalar >> 6), tail(0)]
        case 0x800..<0x10000: bytes += [UInt8(0xE0 | scalar >> 12), tail(6), tail(0)]
        default: bytes += [UInt8(0xF0 | (scalar >> 18) & 7), tail(12), tail(6), tail(0)]
        }
    }
}

/// A number's text, checked. Points into the scanned bytes and must not outlive them.
struct JSONNumber {
    let raw: UnsafeRawBufferPointer

    /// The value of an integer without fraction and exponent; `nil` for others and outside 64 bits.
    var int64: Int64? {
        var index = 0
        let isNegative = raw.first == UInt8(ascii: "-")
        if isNegative { index = 1 }
        var value: Int64 = 0
        while index < raw.count {
            let digit = raw[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            // Built up negative: the smallest value has no positive twin.
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, underflow) = scaled.subtractingReportingOverflow(Int64(digit))
            if overflow || underflow { return nil }
            value = next
            index += 1
        }
        if isNegative { return value }
        return value == .min ? nil : -value
    }

    /// The nearest double; infinite where the number is beyond the type.
    var double: Double { Double(String(decoding: raw, as: UTF8.self)) ?? .nan }
}
