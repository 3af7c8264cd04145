/// Bytes from the other end that do not mean what they should, or mean too much.
public enum WireError: Error, Equatable, Sendable {
    /// The payload ended inside a value.
    case truncated(offset: Int)
    /// A value that the format does not allow there.
    case malformed(what: StaticText, offset: Int)
    case limitExceeded(what: StaticText, actual: Int, limit: Int)
    case checksumMismatch(expected: UInt32, actual: UInt32)
    case unknownSlot(Slot)
    case slotInUse(Slot)
    case unknownSchema(SchemaNumber)
    case schemaRedefined(SchemaNumber)
    /// A frame that follows neither the last one nor a key frame.
    case sequenceGap(expected: UInt64, actual: UInt64)
    case unsupportedVersion(ours: UInt8, theirs: UInt8)
    case unknownRecordType(UInt8)
}

/// A literal, comparable, without an allocation.
public struct StaticText: Sendable, Equatable, ExpressibleByStringLiteral, CustomStringConvertible {
    private let text: StaticString
    public init(stringLiteral value: StaticString) { text = value }
    public var description: String { text.description }
    public static func == (a: Self, b: Self) -> Bool { a.description == b.description }
}

extension WireError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .truncated(let offset): "payload ends inside a value at byte \(offset)"
        case .malformed(let what, let offset): "malformed \(what) at byte \(offset)"
        case .limitExceeded(let what, let actual, let limit):
            "\(what) is \(actual), the limit is \(limit)"
        case .checksumMismatch(let expected, let actual):
            "checksum is \(actual), the record says \(expected)"
        case .unknownSlot(let slot): "slot \(slot) is not in use"
        case .slotInUse(let slot): "slot \(slot) is already in use"
        case .unknownSchema(let number): "schema \(number) was not defined"
        case .schemaRedefined(let number): "schema \(number) was defined before"
        case .sequenceGap(let expected, let actual):
            "frame \(actual) came where \(expected) was due"
        case .unsupportedVersion(let ours, let theirs):
            "protocol version \(theirs) is not supported, ours is \(ours)"
        case .unknownRecordType(let type): "unknown record type \(type)"
        }
    }
}
