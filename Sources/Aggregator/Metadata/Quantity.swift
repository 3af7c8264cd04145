/// An amount of a resource as Kubernetes writes it: `100m`, `1.5Gi`, `1e3`, `12`.
///
/// Source: `k8s.io/apimachinery/pkg/api/resource`. A sign, digits with a point, and a suffix: binary
/// (`Ki` … `Ei`), decimal (`n`, `u`, `m`, none, `k` … `E`) or an exponent (`e3`, `E-3`). Kept exactly in
/// billionths, the finest that Kubernetes keeps; finer parts are rounded away from zero. Amounts
/// beyond 64 bits become the largest.
struct Quantity: Equatable, Hashable, Sendable, Comparable {
    /// Billionths.
    let nanos: Int128

    private static let nanosPerUnit: Int128 = 1_000_000_000
    private static let limit = Int128(Int64.max) * nanosPerUnit

    init(nanos: Int128) { self.nanos = nanos }

    static func < (a: Self, b: Self) -> Bool { a.nanos < b.nanos }

    /// Whole units, rounded away from zero as Kubernetes' `Value()`.
    var value: Int64 { scaled(by: Self.nanosPerUnit) }

    /// Thousandths, rounded away from zero as Kubernetes' `MilliValue()`.
    var milliValue: Int64 { scaled(by: 1_000_000) }

    private func scaled(by divisor: Int128) -> Int64 {
        let (quotient, remainder) = nanos.quotientAndRemainder(dividingBy: divisor)
        return Int64(clamping: remainder == 0 ? quotient : quotient + remainder.signum())
    }

    /// `nil` for text that is not a quantity. Never traps; reads each byte once.
    init?(utf8 text: UnsafeRawBufferPointer) {
        var index = 0
        var isNegative = false
        if let first = text.first, first == UInt8(ascii: "-") || first == UInt8(ascii: "+") {
            isNegative = first == UInt8(ascii: "-")
            index = 1
        }
        var mantissa = Mantissa()
        guard let end = mantissa.read(text, from: index) else { return nil }
        let suffix = UnsafeRawBufferPointer(rebasing: text[end...])
        guard let scale = Self.scale(of: suffix) else { return nil }
        let magnitude = min(mantissa.nanos(scale), Self.limit)
        nanos = isNegative ? -magnitude : magnitude
    }

    init?(_ text: String) {
        var text = text
        guard let value = text.withUTF8({ Quantity(utf8: UnsafeRawBufferPointer($0)) }) else {
            return nil
        }
        self = value
    }

    /// What a suffix multiplies by: `base` to the power of `exponent`.
    private struct Scale {
        var isBinary = false
        var exponent: Int
    }

    private static func scale(of suffix: UnsafeRawBufferPointer) -> Scale? {
        switch (suffix.count, suffix.first) {
        case (0, _): return Scale(exponent: 0)
        case (1, UInt8(ascii: "n")): return Scale(exponent: -9)
        case (1, UInt8(ascii: "u")): return Scale(exponent: -6)
        case (1, UInt8(ascii: "m")): return Scale(exponent: -3)
        case (1, UInt8(ascii: "k")): return Scale(exponent: 3)
        case (1, UInt8(ascii: "M")): return Scale(exponent: 6)
        case (1, UInt8(ascii: "G")): return Scale(exponent: 9)
        case (1, UInt8(ascii: "T")): return Scale(exponent: 12)
        case (1, UInt8(ascii: "P")): return Scale(exponent: 15)
        case (1, UInt8(ascii: "E")): return Scale(exponent: 18)
        case (2, let first?) where suffix[1] == UInt8(ascii: "i"):
            let power = "KMGTPE".utf8.firstIndex(of: first)
            return power.map {
                Scale(
                    isBinary: true,
                    exponent: 10
                        * (1 + "KMGTPE".utf8.distance(from: "KMGTPE".utf8.startIndex, to: $0)))
            }
        case (_, UInt8(ascii: "e")), (_, UInt8(ascii: "E")):
            return exponent(UnsafeRawBufferPointer(rebasing: suffix.dropFirst()))
        default: return nil
        }
    }

    /// The exponent's digits with their sign. Beyond four digits it is only "large".
    private static func exponent(_ text: UnsafeRawBufferPointer) -> Scale? {
        var digits = text[...]
        let isNegative = digits.first == UInt8(ascii: "-")
        if isNegative || digits.first == UInt8(ascii: "+") { digits.removeFirst() }
        guard !digits.isEmpty else { return nil }
        var value = 0
        for byte in digits {
            let digit = Int(byte) - Int(UInt8(ascii: "0"))
            guard (0..<10).contains(digit) else { return nil }
            value = min(value * 10 + digit, 9_999)
        }
        return Scale(exponent: isNegative ? -value : value)
    }

    /// The digits, as integer × 10^exponent; rounded away from zero beyond 18 places.
    private struct Mantissa {
        private var integer: Int128 = 0
        private var exponent = 0

        /// Reads digits with at most one point; the offset behind them, `nil` if there is no digit.
        mutating func read(_ text: UnsafeRawBufferPointer, from start: Int) -> Int? {
            var index = start
            var digitCount = 0
            var isFraction = false
            var isInexact = false
            while index < text.count {
                let digit = text[index] &- UInt8(ascii: "0")
                if digit < 10 {
                    digitCount += 1
                    // 10^27 leaves room for 10^9 in 127 bits, and is far beyond 64.
                    if integer < 1_000_000_000_000_000_000_000_000_000 {
                        integer = integer * 10 + Int128(digit)
                        if isFraction { exponent -= 1 }
                    } else {
                        isInexact = isInexact || digit != 0
                        if !isFraction { exponent += 1 }
                    }
                } else if text[index] == UInt8(ascii: "."), !isFraction {
                    isFraction = true
                } else {
                    break
                }
                index += 1
            }
            if isInexact { integer += 1 }
            return digitCount > 0 ? index : nil
        }

        /// The amount in billionths, rounded up.
        func nanos(_ scale: Scale) -> Int128 {
            guard integer > 0 else { return 0 }
            var result = integer
            if scale.isBinary {
                result = Self.times(result, 1 << Int128(scale.exponent))
            }
            var power = exponent + 9 + (scale.isBinary ? 0 : scale.exponent)
            while power > 0, result <= Quantity.limit {
                result = Self.times(result, 10)
                power -= 1
            }
            var hasRest = false
            while power < 0, result > 0 {
                hasRest = hasRest || result % 10 != 0
                result /= 10
                power += 1
            }
            return hasRest ? result + 1 : result
        }

        private static func times(_ value: Int128, _ factor: Int128) -> Int128 {
            let (product, overflow) = value.multipliedReportingOverflow(by: factor)
            return overflow ? .max : product
        }
    }
}

extension Quantity: CustomStringConvertible {
    /// In Kubernetes' spelling, decimal: `1500m`, `3`, `2n`.
    var description: String {
        for (suffix, unit) in [("", 1_000_000_000), ("m", 1_000_000), ("u", 1_000)]
            as [(String, Int128)]
        where nanos % unit == 0 {
            return "\(nanos / unit)\(suffix)"
        }
        return "\(nanos)n"
    }
}
