/// Appends families and samples to a piece of a scrape's answer. Allocates only to let the piece grow.
struct ExpositionWriter {
    let format: ExpositionFormat
    var bytes: [UInt8]

    init(_ format: ExpositionFormat, _ bytes: [UInt8] = []) {
        self.format = format
        self.bytes = bytes
    }

    enum Kind: Sendable { case counter, gauge, unknown }

    /// `# HELP` and `# TYPE`; all samples of the family follow.
    mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
        var family = name
        var type =
            switch kind {
            case .counter: "counter"
            case .gauge: "gauge"
            case .unknown: format == .openMetrics ? "unknown" : "untyped"
            }
        if format == .openMetrics, kind == .counter {
            // A counter's samples end in _total there and its family does not; borrowed names that
            // lack the ending cannot be called counters.
            if name.hasSuffix("_total") { family.removeLast(6) } else { type = "unknown" }
        }
        append("# HELP ")
        append(family)
        append(" ")
        appendEscaped(help, quotes: format == .openMetrics)
        append("\n# TYPE ")
        append(family)
        append(" ")
        append(type)
        append("\n")
    }

    mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func append(_ text: StaticString) {
        bytes.append(
            contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// A label's value: backslash, line end and quote escaped.
    mutating func appendEscaped(_ text: String, quotes: Bool = true) {
        var text = text
        text.withUTF8 { utf8 in
            guard utf8.contains(where: { $0 == 0x5C || $0 == 0x0A || $0 == 0x22 }) else {
                return bytes.append(contentsOf: utf8)
            }
            for byte in utf8 {
                switch byte {
                case 0x5C: append("\\\\")
                case 0x0A: append("\\n")
                case 0x22 where quotes: append("\\\"")
                default: bytes.append(byte)
                }
            }
        }
    }

    mutating func append(_ value: Int64) {
        if value < 0 { bytes.append(0x2D) }
        appendDigits(value.magnitude, count: 1)
    }

    /// A whole number of `1 / 10^digits`, exactly: 1_500_000_000 with 9 is `1.5`.
    mutating func append(_ value: Int64, decimals digits: Int) {
        var scale: UInt64 = 1
        for _ in 0..<digits { scale &*= 10 }
        if value < 0 { bytes.append(0x2D) }
        let (whole, rest) = value.magnitude.quotientAndRemainder(dividingBy: scale)
        appendDigits(whole, count: 1)
        guard rest > 0 else { return }
        bytes.append(0x2E)
        appendDigits(rest, count: digits)
        while bytes.last == 0x30 { bytes.removeLast() }
    }

    /// Decimal digits, with zeros in front up to `count`.
    private mutating func appendDigits(_ value: UInt64, count: Int) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { room in
            var position = 20
            var rest = value
            repeat {
                position &-= 1
                let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
                room[position] = 0x30 &+ UInt8(truncatingIfNeeded: digit)
                rest = quotient
            } while rest > 0 || 20 &- position < count
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: room[position...]))
        }
    }

    /// A blank, the time and the end of the line.
    mutating func endSample(milliseconds: Int64?) {
        if let milliseconds {
            bytes.append(0x20)
            switch format {
            case .text: append(milliseconds)
            case .openMetrics: append(milliseconds, decimals: 3)
            }
        }
        bytes.append(0x0A)
    }
}
