/// Writes the Prometheus text format, version 0.0.4
/// (<https://prometheus.io/docs/instrumenting/exposition_formats/>).
struct PrometheusText {
    enum Kind: String { case counter, gauge }

    private(set) var bytes: [UInt8] = []

    static let contentType: StaticString = "text/plain; version=0.0.4"

    /// Begins a metric family. All its samples follow before the next family.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        append("# HELP \(name) \(Self.escape(help, quotes: false))\n")
        append("# TYPE \(name) \(kind.rawValue)\n")
    }

    mutating func sample(_ name: String, _ labels: [(String, String)] = [], _ value: Double) {
        append(name)
        if !labels.isEmpty {
            let pairs = labels.map { "\($0.0)=\"\(Self.escape($0.1, quotes: true))\"" }
            append("{\(pairs.joined(separator: ","))}")
        }
        append(" \(Self.number(value))\n")
    }

    /// A family of one sample.
    mutating func single(_ name: String, _ kind: Kind, _ help: String, _ value: Double) {
        family(name, kind, help)
        sample(name, [], value)
    }

    private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return "\(value)"
    }

    static func escape(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
