/// Hexadecimal text as half as many bytes: container IDs, pod UIDs.
struct PackedHexadecimal: Equatable {
    let bytes: [UInt8]

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = Array(bytes) }

    /// `nil` unless the text is lower-case hexadecimal digits, an even number and at least two.
    init?(digits text: String) { self.init(Array(text.utf8)) }

    /// `nil` unless the text is a UUID in its usual form: 8-4-4-4-12 lower-case digits.
    init?(uuid text: String) {
        var digits = Array(text.utf8)
        guard digits.count == 36 else { return nil }
        for dash in Self.dashes.reversed() {
            guard digits.remove(at: dash) == UInt8(ascii: "-") else { return nil }
        }
        self.init(digits)
    }

    private init?(_ digits: [UInt8]) {
        guard !digits.isEmpty, digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Self.value(of: digits[index]),
                let low = Self.value(of: digits[index + 1])
            else { return nil }
            bytes.append(high << 4 | low)
        }
        self.bytes = bytes
    }

    var digits: String { String(decoding: digitBytes, as: UTF8.self) }

    /// Of 16 bytes.
    var uuid: String {
        var text = digitBytes
        for dash in Self.dashes { text.insert(UInt8(ascii: "-"), at: dash) }
        return String(decoding: text, as: UTF8.self)
    }

    private static let dashes = [8, 13, 18, 23]

    private var digitBytes: [UInt8] {
        bytes.flatMap { [Self.digit($0 >> 4), Self.digit($0 & 15)] }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    private static func value(of digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
