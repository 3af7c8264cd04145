/// Base 64 with padding (RFC 4648, 4).
enum Base64 {
    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let alphabetForURLs = Array(alphabet.dropLast(2) + "-_".utf8)

    /// - Parameter isForURLs: the alphabet for URLs and file names, without padding (section 5).
    static func encode(_ bytes: [UInt8], isForURLs: Bool = false) -> String {
        let alphabet = isForURLs ? alphabetForURLs : alphabet
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var value: UInt32 = 0
            for (index, byte) in group.enumerated() {
                value |= UInt32(byte) << (16 - 8 * UInt32(index))
            }
            for index in 0..<4 {
                if index <= group.count {
                    text.append(alphabet[Int(value >> (18 - 6 * UInt32(index)) & 63)])
                } else if !isForURLs {
                    text.append(UInt8(ascii: "="))
                }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Blanks and line ends are passed over; `nil` for any other byte that does not belong.
    static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var (value, bits, padding, digits) = (UInt32(0), 0, 0, 0)
        for byte in text where byte > 0x20 {
            if byte == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let digit = alphabet.firstIndex(of: byte) else { return nil }
            value = value << 6 | UInt32(digit)
            bits += 6
            digits += 1
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(bits)))
            }
        }
        // Whole groups of four, and no bits that stand for nothing.
        guard (digits + padding) % 4 == 0, padding <= 2, value & ((1 << UInt32(bits)) - 1) == 0
        else { return nil }
        return bytes
    }
}
