/// The UID of a Kubernetes object, in 16 bytes where it has one of the usual forms.
///
/// A UUID as the apiserver makes it, or the 32 hexadecimal digits that the kubelet gives a static
/// pod; anything else is kept as text. Equal if and only if the texts are.
enum ObjectUID: Hashable, Sendable {
    /// `8-4-4-4-12` lower-case hexadecimal digits.
    case uuid(UInt64, UInt64)
    /// 32 lower-case hexadecimal digits.
    case digest(UInt64, UInt64)
    case text(String)

    init(utf8 text: UnsafeRawBufferPointer) {
        var digits = HexadecimalWords(limit: 32)
        switch text.count {
        case 36:
            var isUUID = true
            for index in 0..<36 {
                let isDash = index == 8 || index == 13 || index == 18 || index == 23
                isUUID =
                    isUUID
                    && (isDash ? text[index] == UInt8(ascii: "-") : digits.append(text[index]))
            }
            self = isUUID ? .uuid(digits.words[0], digits.words[1]) : Self.other(text)
        case 32:
            let isDigest = text.allSatisfy { digits.append($0) }
            self = isDigest ? .digest(digits.words[0], digits.words[1]) : Self.other(text)
        default:
            self = Self.other(text)
        }
    }

    init(_ text: String) {
        var text = text
        self = text.withUTF8 { ObjectUID(utf8: UnsafeRawBufferPointer($0)) }
    }

    private static func other(_ text: UnsafeRawBufferPointer) -> ObjectUID {
        .text(String(decoding: text, as: UTF8.self))
    }

    var isEmpty: Bool { self == .text("") }
}

extension ObjectUID: CustomStringConvertible {
    /// The text that it was made of.
    var description: String {
        switch self {
        case .text(let text): return text
        case .digest(let high, let low):
            return HexadecimalWords.digits(high) + HexadecimalWords.digits(low)
        case .uuid(let high, let low):
            var text = Array((HexadecimalWords.digits(high) + HexadecimalWords.digits(low)).utf8)
            for dash in [8, 13, 18, 23] { text.insert(UInt8(ascii: "-"), at: dash) }
            return String(decoding: text, as: UTF8.self)
        }
    }
}

/// A container's ID without its runtime's scheme: 64 hexadecimal digits in 32 bytes.
enum ContainerID: Hashable, Sendable {
    case digest(UInt64, UInt64, UInt64, UInt64)
    /// Any other, also the empty one of a container that was not created yet.
    case text(String)

    static let none = ContainerID.text("")

    init(utf8 text: UnsafeRawBufferPointer) {
        var digits = HexadecimalWords(limit: 64)
        if text.count == 64, text.allSatisfy({ digits.append($0) }) {
            self = .digest(digits.words[0], digits.words[1], digits.words[2], digits.words[3])
        } else {
            self = .text(String(decoding: text, as: UTF8.self))
        }
    }

    init(_ text: String) {
        var text = text
        self = text.withUTF8 { ContainerID(utf8: UnsafeRawBufferPointer($0)) }
    }

    /// Of `containerd://…` as a container's status has it: what is behind the scheme.
    init(statusText text: UnsafeRawBufferPointer) {
        let slash = UInt8(ascii: "/")
        for index in 0..<max(text.count - 2, 0)
        where text[index] == UInt8(ascii: ":") && text[index + 1] == slash
            && text[index + 2] == slash
        {
            self.init(utf8: UnsafeRawBufferPointer(rebasing: text[(index + 3)...]))
            return
        }
        self.init(utf8: text)
    }

    var isEmpty: Bool { self == .none }

    /// 64 bits that tell IDs apart in an index, which must compare the whole: the digits are a
    /// hash's or random.
    var fingerprint: UInt64 {
        switch self {
        case .digest(let first, _, _, _): return first
        case .text(let text):
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
            return hash
        }
    }
}

extension ContainerID: CustomStringConvertible {
    var description: String {
        switch self {
        case .text(let text): text
        case .digest(let a, let b, let c, let d):
            [a, b, c, d].map(HexadecimalWords.digits).joined()
        }
    }
}

/// Lower-case hexadecimal digits, packed into up to four words.
private struct HexadecimalWords {
    private(set) var words = InlineArray<4, UInt64>(repeating: 0)
    private var count = 0
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Whether the byte is a lower-case digit and there was room.
    mutating func append(_ byte: UInt8) -> Bool {
        let value: UInt8
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): value = byte - UInt8(ascii: "a") + 10
        default: return false
        }
        guard count < limit else { return false }
        words[count >> 4] = words[count >> 4] << 4 | UInt64(value)
        count += 1
        return true
    }

    /// A word as 16 digits.
    static func digits(_ word: UInt64) -> String {
        let text = String(word, radix: 16)
        return String(repeating: "0", count: 16 - text.utf8.count) + text
    }
}
