import Wire

/// Quantities and durations as Kubernetes writes them.
enum UsageText {
    /// Processor time in the largest unit that shows it whole: `57m`, `57000001n`, `0`.
    static func append(nanocores: Int64, to bytes: inout some ByteSink) {
        var value = nanocores
        var suffix = 0
        while value != 0, suffix < 3, value % 1_000 == 0 {
            value /= 1_000
            suffix += 1
        }
        append(value, to: &bytes)
        guard nanocores != 0 else { return }
        switch suffix {
        case 0: bytes.append(UInt8(ascii: "n"))
        case 1: bytes.append(UInt8(ascii: "u"))
        case 2: bytes.append(UInt8(ascii: "m"))
        default: break
        }
    }

    /// Bytes in the largest binary unit that shows them whole: `1117372Ki`, `1Gi`, `0`.
    static func append(bytes value: Int64, to bytes: inout some ByteSink) {
        let suffixes: StaticString = " KMGTPE"
        // Each ten zero bits at the end are a factor of 1024.
        let suffix = value == 0 ? 0 : min(6, value.trailingZeroBitCount / 10)
        append(value >> Int64(10 * suffix), to: &bytes)
        if suffix > 0 {
            bytes.append(suffixes.utf8Start[suffix])
            bytes.append(UInt8(ascii: "i"))
        }
    }

    /// A duration as Go prints it: `1m0s`, `15.012s`, `500ms`, `0s`.
    static func append(milliseconds: Int64, to bytes: inout some ByteSink) {
        guard milliseconds >= 1_000 else {
            append(max(0, milliseconds), to: &bytes)
            if milliseconds > 0 { bytes.append(UInt8(ascii: "m")) }
            bytes.append(UInt8(ascii: "s"))
            return
        }
        let (hours, minutes) = (milliseconds / 3_600_000, milliseconds / 60_000 % 60)
        if hours > 0 {
            append(hours, to: &bytes)
            bytes.append(UInt8(ascii: "h"))
        }
        if hours > 0 || minutes > 0 {
            append(minutes, to: &bytes)
            bytes.append(UInt8(ascii: "m"))
        }
        append(milliseconds / 1_000 % 60, to: &bytes)
        var fraction = milliseconds % 1_000
        if fraction > 0 {
            bytes.append(UInt8(ascii: "."))
            var divisor: Int64 = 100
            while fraction > 0 {
                bytes.append(UInt8(ascii: "0") + UInt8(fraction / divisor))
                fraction %= divisor
                divisor /= 10
            }
        }
        bytes.append(UInt8(ascii: "s"))
    }

    private static func append(_ value: Int64, to bytes: inout some ByteSink) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        bytes.append(digitsOf: value.magnitude)
    }

    static func cpu(_ nanocores: Int64) -> String {
        var bytes: [UInt8] = []
        append(nanocores: nanocores, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    static func memory(_ value: Int64) -> String {
        var bytes: [UInt8] = []
        append(bytes: value, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    static func duration(_ milliseconds: Int64) -> String {
        var bytes: [UInt8] = []
        append(milliseconds: milliseconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
