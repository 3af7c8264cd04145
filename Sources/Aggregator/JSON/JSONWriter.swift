import Wire

/// Writes JSON text as Go's `encoding/json` does, byte for byte: Heapster's and the apiserver's
/// clients see the same escapes, numbers and indentation.
///
/// The caller opens and closes objects and arrays in pairs; commas, colons and line ends come by
/// themselves. Appends to `bytes`, which a caller may empty between documents to keep its memory.
struct JSONWriter: Sendable {
    /// The text's layout.
    enum Style: Sendable {
        case compact
        /// As `json.MarshalIndent(v, " ", " ")`, which Heapster's model API uses: every line but the
        /// first begins with the prefix, then one space a level.
        case indented
    }

    var bytes: [UInt8] = []
    private let style: Style
    private var depth = 0
    /// Whether the innermost object or array has no element yet.
    private var isFirst = true
    /// Whether a key was written and its value is next.
    private var isAfterKey = false

    init(_ style: Style = .compact) { self.style = style }

    /// The text as a string, for messages and tests.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    // MARK: Containers

    mutating func beginObject() { begin(UInt8(ascii: "{")) }
    mutating func endObject() { end(UInt8(ascii: "}")) }
    mutating func beginArray() { begin(UInt8(ascii: "[")) }
    mutating func endArray() { end(UInt8(ascii: "]")) }

    /// A key that needs no escapes.
    mutating func key(_ name: StaticString) {
        element()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(
            contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(UInt8(ascii: "\""))
        colon()
    }

    mutating func key(_ name: String) {
        element()
        appendQuoted(name)
        colon()
    }

    // MARK: Values

    mutating func string(_ value: String) {
        element()
        appendQuoted(value)
    }

    mutating func integer(_ value: Int64) {
        element()
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        appendDigits(value.magnitude)
    }

    mutating func unsigned(_ value: UInt64) {
        element()
        appendDigits(value)
    }

    mutating func boolean(_ value: Bool) {
        element()
        append(value ? "true" : "false")
    }

    mutating func null() {
        element()
        append("null")
    }

    /// As Go's `time.Time`: RFC 3339 in UTC, without a fraction where it is zero.
    mutating func time(milliseconds: Int64) {
        element()
        bytes.append(UInt8(ascii: "\""))
        RFC3339.append(milliseconds: milliseconds, to: &bytes)
        bytes.append(UInt8(ascii: "\""))
    }

    /// The shortest number that reads back the same, laid out as Go does. JSON has no infinity and
    /// no NaN, and Go refuses them: `null` here.
    mutating func double(_ value: Double) {
        element()
        if value.isFinite { JSONNumberFormat.append(value, to: &bytes) } else { append("null") }
    }

    /// A value that is JSON text already, in the layout that is wanted.
    mutating func raw(_ json: some Collection<UInt8>) {
        element()
        bytes.append(contentsOf: json)
    }

    // MARK: Layout

    private mutating func begin(_ bracket: UInt8) {
        element()
        bytes.append(bracket)
        depth += 1
        isFirst = true
    }

    private mutating func end(_ bracket: UInt8) {
        precondition(depth > 0 && !isAfterKey, "nothing is open")
        depth -= 1
        if !isFirst { newline() }
        bytes.append(bracket)
        isFirst = false
    }

    /// What goes before a key or value.
    @inline(__always)
    private mutating func element() {
        if isAfterKey {
            isAfterKey = false
            return
        }
        guard depth > 0 else { return }
        if !isFirst { bytes.append(UInt8(ascii: ",")) }
        isFirst = false
        newline()
    }

    private mutating func colon() {
        bytes.append(UInt8(ascii: ":"))
        if style == .indented { bytes.append(UInt8(ascii: " ")) }
        isAfterKey = true
    }

    @inline(__always)
    private mutating func newline() {
        guard style == .indented else { return }
        bytes.append(UInt8(ascii: "\n"))
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: depth + 1))
    }

    private mutating func append(_ literal: StaticString) {
        bytes.append(
            contentsOf: UnsafeBufferPointer(
                start: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    private mutating func appendDigits(_ value: UInt64) {
        JSONNumberFormat.append(digitsOf: value, to: &bytes)
    }

    // MARK: Strings

    private mutating func appendQuoted(_ value: String) {
        var value = value
        bytes.append(UInt8(ascii: "\""))
        value.withUTF8 { appendEscaped(UnsafeRawBufferPointer($0)) }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Go's escapes: also `<`, `>` and `&`, so that the text can stand in a page of HTML, and the
    /// line separators U+2028 and U+2029, which JavaScript strings did not allow.
    private mutating func appendEscaped(_ utf8: UnsafeRawBufferPointer) {
        var plainStart = 0
        var index = 0
        while index < utf8.count {
            let byte = utf8[index]
            guard Self.needsLook(byte) else {
                index &+= 1
                continue
            }
            if byte == 0xE2 {
                let isSeparator =
                    index + 2 < utf8.count && utf8[index + 1] == 0x80 && utf8[index + 2] | 1 == 0xA9
                guard isSeparator else {
                    index &+= 1
                    continue
                }
                bytes.append(contentsOf: utf8[plainStart..<index])
                append(utf8[index + 2] == 0xA8 ? "\\u2028" : "\\u2029")
                index += 3
            } else {
                bytes.append(contentsOf: utf8[plainStart..<index])
                appendEscape(of: byte)
                index += 1
            }
            plainStart = index
        }
        bytes.append(contentsOf: utf8[plainStart..<utf8.count])
    }

    private mutating func appendEscape(of byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x0A: append("\\n")
        case 0x0D: append("\\r")
        case 0x09: append("\\t")
        default:
            append("\\u00")
            bytes.append(Self.hexadecimal(byte >> 4))
            bytes.append(Self.hexadecimal(byte & 15))
        }
    }

    private static func hexadecimal(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    /// Bytes that cannot be copied unseen: 0xE2 begins the line separators.
    /// Control characters, `"`, `&`, `<`, `>`, backslash, and what separators begin with.
    @inline(__always)
    private static func needsLook(_ byte: UInt8) -> Bool {
        if byte < 64 { return 0x5000_0044_FFFF_FFFF >> UInt64(byte) & 1 != 0 }
        return byte == UInt8(ascii: "\\") || byte == 0xE2
    }
}
