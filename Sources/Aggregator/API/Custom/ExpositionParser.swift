/// One value of a text that an application exposes.
struct ExpositionSample: Sendable, Equatable {
    /// The metric's name, with `_total`, `_bucket`, `_sum` or `_count` where the text has it.
    var name: String
    /// In the order of the text.
    var labels: [Label]
    var value: Double
    /// Milliseconds since the epoch; `nil` where the text has none.
    var time: Int64?
    /// Whether it only grows: a counter, or a part of a histogram or summary that does.
    var isCounter: Bool
}

/// Why a text is no exposition.
struct ExpositionError: Error, Equatable, CustomStringConvertible {
    /// From 1.
    let line: Int
    let reason: String

    var description: String { "line \(line): \(reason)" }
}

/// Reads the Prometheus text format 0.0.4
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>) and OpenMetrics 1.0
/// (<https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>).
///
/// Each byte is looked at once or twice; no input traps. Exemplars are read over. Unlike a scraper's
/// parser it needs no order of families.
struct ExpositionParser {
    enum Format: Sendable { case prometheus, openMetrics }

    /// What one text may hold.
    struct Limits: Sendable {
        var sampleCountMax = 20_000
        var labelCountMax = 30
        var nameByteCountMax = 200
        var labelValueByteCountMax = 1_024
    }

    private enum Kind { case counter, gauge, histogram, summary, other }

    private let format: Format
    private let limits: Limits
    private var kinds: [String: Kind] = [:]
    private var samples: [ExpositionSample] = []
    private var line = 0
    private var hasEnded = false

    private init(_ format: Format, _ limits: Limits) {
        self.format = format
        self.limits = limits
    }

    /// All samples of a text, none left out.
    static func parse(
        _ text: [UInt8], _ format: Format = .prometheus, limits: Limits = Limits()
    ) throws(ExpositionError) -> [ExpositionSample] {
        var parser = ExpositionParser(format, limits)
        var start = 0
        while start < text.count {
            let end = text[start...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
            parser.line += 1
            try parser.readLine(text[start..<end])
            start = end + 1
        }
        if format == .openMetrics, !parser.hasEnded {
            throw ExpositionError(line: parser.line, reason: "there is no \"# EOF\" at the end")
        }
        return parser.samples
    }

    private func error(_ reason: String) -> ExpositionError {
        ExpositionError(line: line, reason: reason)
    }

    private mutating func readLine(_ bytes: ArraySlice<UInt8>) throws(ExpositionError) {
        var cursor = Cursor(bytes)
        cursor.skipBlanks()
        guard let first = cursor.next else { return }
        if hasEnded { throw error("something follows \"# EOF\"") }
        if first == UInt8(ascii: "#") {
            try readComment(&cursor)
        } else {
            try readSample(&cursor)
        }
    }

    /// `# TYPE name kind` is all that matters; other comments are read over.
    private mutating func readComment(_ cursor: inout Cursor) throws(ExpositionError) {
        cursor.index += 1
        cursor.skipBlanks()
        let word = cursor.word()
        if format == .openMetrics, word == "EOF" {
            hasEnded = true
            return
        }
        guard word == "TYPE" else { return }
        cursor.skipBlanks()
        let name = try name(&cursor)
        cursor.skipBlanks()
        let text = cursor.word()
        let kind: Kind
        switch text {
        case "counter": kind = .counter
        case "gauge": kind = .gauge
        case "histogram", "gaugehistogram": kind = .histogram
        case "summary": kind = .summary
        case "untyped", "unknown", "info", "stateset": kind = .other
        default: throw error("\"\(text)\" is no type of a metric")
        }
        guard kinds.updateValue(kind, forKey: name) == nil else {
            throw error("a second TYPE of \(name)")
        }
    }

    private mutating func readSample(_ cursor: inout Cursor) throws(ExpositionError) {
        guard samples.count < limits.sampleCountMax else {
            throw error("more than \(limits.sampleCountMax) samples")
        }
        let name = try name(&cursor)
        cursor.skipBlanks()
        var labels: [Label] = []
        if cursor.take(UInt8(ascii: "{")) { labels = try readLabels(&cursor) }
        cursor.skipBlanks()
        let text = cursor.word()
        guard let value = Self.number(text) else { throw error("\"\(text)\" is no value") }
        cursor.skipBlanks()
        var time: Int64?
        if let next = cursor.next, next != UInt8(ascii: "#") { time = try readTime(&cursor) }
        cursor.skipBlanks()
        if let next = cursor.next {
            guard format == .openMetrics, next == UInt8(ascii: "#") else {
                throw error("something follows the value")
            }
        }
        samples.append(
            ExpositionSample(
                name: name, labels: labels, value: value, time: time, isCounter: isCounter(name)))
    }

    /// Milliseconds in the Prometheus format, seconds in OpenMetrics.
    private func readTime(_ cursor: inout Cursor) throws(ExpositionError) -> Int64 {
        let text = cursor.word()
        switch format {
        case .prometheus:
            if let time = Int64(text) { return time }
        case .openMetrics:
            if let seconds = Self.number(text),
                let time = Int64(exactly: (seconds * 1_000).rounded())
            {
                return time
            }
        }
        throw error("\"\(text)\" is no timestamp")
    }

    private func isCounter(_ name: String) -> Bool {
        if let kind = kinds[name] { return kind == .counter }
        for suffix in ["_total", "_count", "_sum", "_bucket"] where name.hasSuffix(suffix) {
            switch kinds[String(name.dropLast(suffix.count))] {
            case .counter, .histogram, .summary: return true
            default: return false
            }
        }
        return false
    }

    // MARK: Parts

    private func name(
        _ cursor: inout Cursor, allowsColon: Bool = true
    ) throws(ExpositionError) -> String {
        let start = cursor.index
        while let byte = cursor.next,
            Self.isNameByte(byte, isFirst: cursor.index == start, allowsColon)
        {
            cursor.index += 1
        }
        guard cursor.index > start else {
            throw error(allowsColon ? "a metric's name is missing" : "a label's name is missing")
        }
        guard cursor.index - start <= limits.nameByteCountMax else {
            throw error("a name longer than \(limits.nameByteCountMax) bytes")
        }
        return cursor.string(from: start)
    }

    private static func isNameByte(_ byte: UInt8, isFirst: Bool, _ allowsColon: Bool) -> Bool {
        if (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "_") { return true }
        return byte == UInt8(ascii: ":") ? allowsColon : !isFirst && byte &- 0x30 < 10
    }

    /// Behind the brace, to behind the closing one.
    private func readLabels(_ cursor: inout Cursor) throws(ExpositionError) -> [Label] {
        var found: [Label] = []
        while true {
            cursor.skipBlanks()
            if cursor.take(UInt8(ascii: "}")) { return found }
            let name = try name(&cursor, allowsColon: false)
            cursor.skipBlanks()
            guard cursor.take(UInt8(ascii: "=")) else { throw error("no \"=\" after \(name)") }
            cursor.skipBlanks()
            let value = try labelValue(&cursor)
            guard !found.contains(where: { $0.key == name }) else {
                throw error("the label \(name) is there twice")
            }
            guard found.count < limits.labelCountMax else {
                throw error("more than \(limits.labelCountMax) labels")
            }
            found.append(Label(key: name, value: value))
            cursor.skipBlanks()
            if cursor.take(UInt8(ascii: ",")) { continue }
            guard cursor.take(UInt8(ascii: "}")) else {
                throw error("neither \",\" nor \"}\" after the label \(name)")
            }
            return found
        }
    }

    /// Quoted, with `\\`, `\"` and `\n`; another byte after a backslash stays with it.
    private func labelValue(_ cursor: inout Cursor) throws(ExpositionError) -> String {
        guard cursor.take(UInt8(ascii: "\"")) else { throw error("a label's value has no quotes") }
        var bytes: [UInt8] = []
        while let byte = cursor.next {
            cursor.index += 1
            if byte == UInt8(ascii: "\"") {
                guard bytes.count <= limits.labelValueByteCountMax else {
                    throw error("a label longer than \(limits.labelValueByteCountMax) bytes")
                }
                guard let text = String(validating: bytes, as: UTF8.self) else {
                    throw error("a label's value is not UTF-8")
                }
                return text
            }
            guard byte == UInt8(ascii: "\\"), let escaped = cursor.next else {
                bytes.append(byte)
                continue
            }
            cursor.index += 1
            switch escaped {
            case UInt8(ascii: "n"): bytes.append(UInt8(ascii: "\n"))
            case UInt8(ascii: "\\"), UInt8(ascii: "\""): bytes.append(escaped)
            default: bytes += [byte, escaped]
            }
        }
        throw error("a label's value does not end")
    }

    /// As Go's `strconv.ParseFloat` without hexadecimal and underscores; `nil` for anything else.
    private static func number(_ text: String) -> Double? {
        switch text.lowercased() {
        case "nan": return .nan
        case "inf", "+inf", "infinity", "+infinity": return .infinity
        case "-inf", "-infinity": return -.infinity
        default: break
        }
        let isPlain = text.utf8.allSatisfy {
            $0 &- 0x30 < 10 || [0x2B, 0x2D, 0x2E, 0x45, 0x65].contains($0)
        }
        return isPlain ? Double(text) : nil
    }
}

/// A place in a line.
private struct Cursor {
    let bytes: ArraySlice<UInt8>
    var index: Int

    init(_ bytes: ArraySlice<UInt8>) {
        // A line may end in CR LF.
        self.bytes = bytes.last == 0x0D ? bytes.dropLast() : bytes
        index = bytes.startIndex
    }

    var next: UInt8? { index < bytes.endIndex ? bytes[index] : nil }

    mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        index += 1
        return true
    }

    mutating func skipBlanks() {
        while let byte = next, byte == 0x20 || byte == 0x09 { index += 1 }
    }

    /// Up to the next blank.
    mutating func word() -> String {
        let start = index
        while let byte = next, byte != 0x20, byte != 0x09 { index += 1 }
        return string(from: start)
    }

    func string(from start: Int) -> String { String(decoding: bytes[start..<index], as: UTF8.self) }
}
