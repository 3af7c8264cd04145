/// Text that is not JSON as RFC 8259 defines it, is not the JSON that was expected, or is too much.
///
/// Offsets count bytes from the start of the whole document, also where it came in pieces.
enum JSONError: Error, Equatable, Sendable {
    /// What the grammar, or the caller, wanted at an offset.
    enum Expectation: String, Sendable {
        case value = "a value"
        case object = "an object"
        case array = "an array"
        case string = "a string"
        case number = "a number"
        case integer = "a 64-bit integer"
        case boolean = "true or false"
        case key = "a key"
        case colon = "':'"
        case commaOrClosingBrace = "',' or '}'"
        case commaOrClosingBracket = "',' or ']'"
        case digit = "a digit"
        case escape = "one of \"\\/bfnrtu"
        case hexadecimalDigit = "a hexadecimal digit"
        case literal = "true, false or null"
        case endOfDocument = "the end"
    }

    /// The document ends inside a value.
    case truncated(offset: Int)
    case unexpected(byte: UInt8, expected: Expectation, offset: Int)
    /// A byte below 0x20 in a string.
    case controlCharacter(offset: Int)
    case invalidUTF8(offset: Int)
    case tooDeep(limit: Int, offset: Int)
    /// A part that is kept in memory whole is larger than allowed.
    case tooLarge(what: String, limit: Int, offset: Int)
}

extension JSONError: CustomStringConvertible {
    var description: String {
        switch self {
        case .truncated(let offset): "the text ends inside a value at byte \(offset)"
        case .unexpected(let byte, let expected, let offset):
            "\(Self.name(of: byte)) at byte \(offset) where \(expected.rawValue) should be"
        case .controlCharacter(let offset): "a control character in a string at byte \(offset)"
        case .invalidUTF8(let offset): "a string that is not UTF-8 at byte \(offset)"
        case .tooDeep(let limit, let offset):
            "nested deeper than \(limit) levels at byte \(offset)"
        case .tooLarge(let what, let limit, let offset):
            "\(what) of more than \(limit) bytes at byte \(offset)"
        }
    }

    private static func name(of byte: UInt8) -> String {
        (0x21..<0x7F).contains(byte)
            ? "'\(Character(Unicode.Scalar(byte)))'" : "byte 0x\(String(byte, radix: 16))"
    }
}
