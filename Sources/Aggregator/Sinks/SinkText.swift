/// Text pieces that line formats share. All append to the caller's bytes.
enum SinkText {
    @inline(__always)
    static func append(_ text: StaticString, to bytes: inout some ByteSink) {
        bytes.append(
            UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(__always)
    static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(contentsOf: text.utf8)
    }

    @inline(__always)
    static func append(_ value: Int64, to bytes: inout some ByteSink) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        bytes.append(digitsOf: value.magnitude)
    }

    /// Bytes that a number takes at most, with what a `ByteCursor` wants behind it.
    @inline(__always)
    static func byteCountMax(of value: MetricValue) -> Int {
        switch value {
        case .integer: 21
        // 17 digits, a sign, a point and four zeros; or all 309 digits and 20 places.
        case .float(let number):
            number.magnitude < 0x1p53 && number.magnitude >= 1e-4 || number == 0 ? 32 : 360
        }
    }

    /// The fewest digits that read back the same, never with an exponent, no `.0`: Go's
    /// `FormatFloat(v, 'f', -1, 64)`. Not finite: `NaN`, `+Inf`, `-Inf`, as Go has it.
    static func append(plain value: Double, to bytes: inout some ByteSink) {
        guard value.isFinite else { return appendSpecial(value, to: &bytes) }
        if value.magnitude < 0x1p53, let whole = Int64(exactly: value) {
            if whole == 0, value.sign == .minus { bytes.append(UInt8(ascii: "-")) }
            return append(whole, to: &bytes)
        }
        var text = value.description
        text.withUTF8 { digits in
            if digits.contains(UInt8(ascii: "e")) {
                appendExpanded(digits, to: &bytes)
            } else {
                let isWhole =
                    digits.count > 2 && digits[digits.count - 2] == UInt8(ascii: ".")
                    && digits[digits.count - 1] == UInt8(ascii: "0")
                bytes.append(
                    UnsafeRawBufferPointer(
                        UnsafeBufferPointer(
                            rebasing: digits[..<(digits.count - (isWhole ? 2 : 0))])))
            }
        }
    }

    /// Six decimals, as C's and Go's `%f`, ties by the exact binary value as theirs.
    static func append(sixDecimals value: Double, to bytes: inout [UInt8]) {
        guard value.isFinite else { return appendSpecial(value, to: &bytes) }
        if value.sign == .minus { bytes.append(UInt8(ascii: "-")) }
        let magnitude = value.magnitude
        guard magnitude < 0x1p53 else {
            append(plain: magnitude, to: &bytes)
            return append(".000000", to: &bytes)
        }
        let whole = magnitude.rounded(.towardZero)
        let scaled = (magnitude - whole) * 1_000_000
        // What rounding the product lost: it decides where the product came out as a tie.
        let lost = (-scaled).addingProduct(magnitude - whole, 1_000_000)
        let below = scaled.rounded(.towardZero)
        let rest = scaled - below
        var millionths = UInt64(below)
        let isTieUp = rest == 0.5 && (lost > 0 || lost == 0 && millionths & 1 == 1)
        if rest > 0.5 || isTieUp { millionths += 1 }
        var units = UInt64(whole)
        if millionths == 1_000_000 {
            units += 1
            millionths = 0
        }
        JSONNumberFormat.append(digitsOf: units, to: &bytes)
        bytes.append(UInt8(ascii: "."))
        var divisor: UInt64 = 100_000
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") + UInt8(millionths / divisor % 10))
            divisor /= 10
        }
    }

    /// Copies text, each byte of `unwanted` replaced.
    static func append(
        _ text: String, replacing unwanted: ByteSet, with replacement: UInt8,
        to bytes: inout [UInt8]
    ) {
        for byte in text.utf8 { bytes.append(unwanted.contains(byte) ? replacement : byte) }
    }

    /// Copies text, a backslash before each byte of `special`.
    static func append(_ text: String, escaping special: ByteSet, to bytes: inout [UInt8]) {
        var text = text
        text.withUTF8 { utf8 in
            // Most texts have none.
            if !utf8.contains(where: { special.contains($0) }) {
                return bytes.append(contentsOf: utf8)
            }
            for byte in utf8 {
                if special.contains(byte) { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
        }
    }

    private static func appendSpecial(_ value: Double, to bytes: inout some ByteSink) {
        let text: StaticString = value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf"
        append(text, to: &bytes)
    }

    /// `1.5e-07` as `0.00000015`.
    private static func appendExpanded(
        _ text: UnsafeBufferPointer<UInt8>, to bytes: inout some ByteSink
    ) {
        var digits: [UInt8] = []
        var pointPosition = 0
        var sawPoint = false
        var index = 0
        if text[0] == UInt8(ascii: "-") {
            bytes.append(text[0])
            index = 1
        }
        while index < text.count, text[index] != UInt8(ascii: "e") {
            if text[index] == UInt8(ascii: ".") {
                sawPoint = true
            } else {
                digits.append(text[index])
                if !sawPoint { pointPosition += 1 }
            }
            index += 1
        }
        let exponent = String(decoding: text[min(index + 1, text.count)...], as: UTF8.self)
        pointPosition += Int(exponent) ?? 0
        while digits.count > 1, digits.last == UInt8(ascii: "0") { digits.removeLast() }
        if pointPosition <= 0 {
            append("0.", to: &bytes)
            for _ in 0..<(-pointPosition) { bytes.append(UInt8(ascii: "0")) }
        }
        for (place, digit) in digits.enumerated() {
            if place > 0, place == pointPosition { bytes.append(UInt8(ascii: ".")) }
            bytes.append(digit)
        }
        for _ in 0..<max(0, pointPosition - digits.count) { bytes.append(UInt8(ascii: "0")) }
    }
}

/// A set of byte values.
struct ByteSet: Sendable {
    private var low: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    init(_ text: StaticString) {
        for index in 0..<text.utf8CodeUnitCount { insert(text.utf8Start[index]) }
    }

    /// The bytes for which `isMember` holds.
    init(where isMember: (UInt8) -> Bool) {
        for byte in UInt8.min...UInt8.max where isMember(byte) { insert(byte) }
    }

    /// All bytes but ASCII's letters, digits and those of `text`.
    init(outsideLettersDigitsAnd text: StaticString) {
        let others = ByteSet(text)
        self.init { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                false
            default: !others.contains(byte)
            }
        }
    }

    private mutating func insert(_ byte: UInt8) {
        let bit = UInt64(1) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: low.0 |= bit
        case 1: low.1 |= bit
        case 2: low.2 |= bit
        default: low.3 |= bit
        }
    }

    @inline(__always)
    func contains(_ byte: UInt8) -> Bool {
        let bit = UInt64(1) << UInt64(byte & 63)
        switch byte >> 6 {
        case 0: return low.0 & bit != 0
        case 1: return low.1 & bit != 0
        case 2: return low.2 & bit != 0
        default: return low.3 & bit != 0
        }
    }
}
