/// Numbers as decimal text.
enum JSONNumberFormat {
    /// Appends an unsigned integer.
    static func append(digitsOf value: UInt64, to bytes: inout [UInt8]) {
        if value < 10 {
            bytes.append(UInt8(ascii: "0") + UInt8(value))
            return
        }
        var digits = InlineArray<20, UInt8>(repeating: 0)
        var start = 20
        var rest = value
        repeat {
            start &-= 1
            digits[start] = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        digits.span.extracting(start..<20).withUnsafeBufferPointer { bytes.append(contentsOf: $0) }
    }

    /// Appends a finite double as Go's `encoding/json` does: plain decimals from 1e-6 up to 1e21,
    /// exponents (`1e+21`, `1e-7`) beyond, the fewest digits that read back the same.
    static func append(_ value: Double, to bytes: inout [UInt8]) {
        precondition(value.isFinite, "\(value) is not a JSON number")
        if value.sign == .minus { bytes.append(UInt8(ascii: "-")) }
        let magnitude = value.magnitude
        // Integers that a double holds exactly need no digits search.
        if magnitude < 0x1p53, let integer = UInt64(exactly: magnitude) {
            append(digitsOf: integer, to: &bytes)
            return
        }
        let (digits, exponent) = shortestDigits(of: magnitude)
        if magnitude < 1e-6 || magnitude >= 1e21 {
            appendScientific(digits, exponent, to: &bytes)
        } else {
            appendPlain(digits, exponent, to: &bytes)
        }
    }

    /// The shortest digits d₁d₂… and the exponent e with value = 0.d₁d₂… × 10^e. The standard
    /// library's description has the same digits as Go's: the shortest, and of those the nearest.
    private static func shortestDigits(of value: Double) -> (digits: [UInt8], exponent: Int) {
        var digits: [UInt8] = []
        var exponent = 0
        var isFraction = false
        var written = value.description.utf8[...]
        while let byte = written.popFirst() {
            switch byte {
            case UInt8(ascii: "."):
                isFraction = true
            case UInt8(ascii: "e"):
                exponent += Int(String(Substring(written))) ?? 0
                written = written[written.endIndex...]
            default:
                if digits.isEmpty && byte == UInt8(ascii: "0") {
                    if isFraction { exponent -= 1 }
                } else {
                    digits.append(byte)
                    if !isFraction { exponent += 1 }
                }
            }
        }
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        return (digits, exponent)
    }

    private static func appendPlain(_ digits: [UInt8], _ exponent: Int, to bytes: inout [UInt8]) {
        let zero = UInt8(ascii: "0")
        if exponent <= 0 {
            bytes += [zero, UInt8(ascii: ".")]
            bytes.append(contentsOf: repeatElement(zero, count: -exponent))
            bytes += digits
        } else if exponent >= digits.count {
            bytes += digits
            bytes.append(contentsOf: repeatElement(zero, count: exponent - digits.count))
        } else {
            bytes += digits[..<exponent]
            bytes.append(UInt8(ascii: "."))
            bytes += digits[exponent...]
        }
    }

    private static func appendScientific(
        _ digits: [UInt8], _ exponent: Int, to bytes: inout [UInt8]
    ) {
        bytes += digits.prefix(1)
        if digits.count > 1 {
            bytes.append(UInt8(ascii: "."))
            bytes += digits[1...]
        }
        bytes.append(UInt8(ascii: "e"))
        bytes.append(exponent > 0 ? UInt8(ascii: "+") : UInt8(ascii: "-"))
        append(digitsOf: UInt64((exponent - 1).magnitude), to: &bytes)
    }
}
