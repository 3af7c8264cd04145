/// One command line flag: `--name=value`, `--name value`, or `--name` for a switch.
public struct Flag: Sendable {
    public var name: String
    /// What stands for the value in the help: `HOST:PORT`, `DURATION`. Empty for a switch.
    public var valueName: String
    /// As a user would write it; empty where there is none.
    public var defaultValue: String
    /// What it is for, its unit and limit; sentences.
    public var help: String
    public var aliases: [String]
    public var isRepeatable: Bool

    public init(
        _ name: String, _ valueName: String, default defaultValue: String = "",
        aliases: [String] = [],
        repeatable: Bool = false, _ help: String
    ) {
        self.name = name
        self.valueName = valueName
        self.defaultValue = defaultValue
        self.help = help
        self.aliases = aliases
        self.isRepeatable = repeatable
    }
}

/// The command line of a program. As in Heapster, `_` and `-` in flag names are the same.
///
/// Problems are collected, not thrown one at a time, so that a user mends them together.
public struct CommandLine: Sendable {
    private let flags: [Flag]
    private var values: [String: [String]] = [:]
    /// Sentences that say what is wrong and what to do.
    public private(set) var problems: [String] = []
    /// Arguments that are not flags.
    public private(set) var operands: [String] = []
    public private(set) var wantsHelp = false
    public private(set) var wantsVersion = false

    public init(_ arguments: [String], flags: [Flag], allowsOperands: Bool = false) {
        self.flags = flags
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            switch argument {
            case "--help", "-h": wantsHelp = true
            case "--version": wantsVersion = true
            case _ where argument.hasPrefix("-") && argument != "-": take(argument, &rest)
            case _ where allowsOperands: operands.append(argument)
            default:
                problems.append("unexpected argument \"\(argument)\"; flags begin with --")
            }
        }
    }

    private mutating func take(_ argument: String, _ rest: inout ArraySlice<String>) {
        let body = argument.drop { $0 == "-" }
        let parts = body.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let written = String(parts.first ?? "")
        let name = String(written.map { $0 == "_" ? "-" : $0 })
        guard let flag = flags.first(where: { $0.name == name || $0.aliases.contains(name) }) else {
            problems.append("unknown flag --\(written)\(hint(for: name)); --help lists all flags")
            return
        }
        var value = parts.count == 2 ? String(parts[1]) : nil
        if flag.valueName.isEmpty {
            value = value ?? "true"
        } else if value == nil {
            value = rest.popFirst()
        }
        guard let value else {
            problems.append("--\(flag.name) needs a value: --\(flag.name)=\(flag.valueName)")
            return
        }
        if values[flag.name] != nil, !flag.isRepeatable {
            problems.append("--\(flag.name) is given twice; give it once")
        }
        values[flag.name, default: []].append(value)
    }

    /// The flag that was probably meant.
    private func hint(for name: String) -> String {
        let near = flags.map { ($0.name, editDistance($0.name, name)) }.min { $0.1 < $1.1 }
        guard let near, near.1 <= max(2, name.utf8.count / 4), near.1 < name.utf8.count - 1 else {
            return ""
        }
        return " (did you mean --\(near.0)?)"
    }

    public mutating func report(_ problem: String) { problems.append(problem) }

    public func isGiven(_ name: String) -> Bool { values[name] != nil }

    /// What the user wrote, or the default; `nil` where there is neither.
    public func text(_ name: String) -> String? {
        guard let flag = flags.first(where: { $0.name == name }) else {
            preconditionFailure("flag \(name) is not declared")
        }
        return values[name]?.last ?? (flag.defaultValue.isEmpty ? nil : flag.defaultValue)
    }

    public func texts(_ name: String) -> [String] { values[name] ?? [] }

    /// A switch: given without a value, or as `true` or `false`.
    public mutating func bool(_ name: String) -> Bool {
        switch text(name) {
        case nil, "false", "0": return false
        case "true", "1": return true
        case .some(let other):
            report("--\(name)=\(other) is neither true nor false")
            return false
        }
    }

    public mutating func integer(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let text = text(name) else { return nil }
        guard let value = Int(text), range.contains(value) else {
            report(
                "--\(name)=\(text) is not a whole number from \(range.lowerBound) to \(range.upperBound)"
            )
            return nil
        }
        return value
    }

    /// A length of time as Go writes it (`10s`, `1m30s`, `250ms`), in milliseconds.
    public mutating func milliseconds(_ name: String, in range: ClosedRange<Int64>) -> Int64? {
        guard let text = text(name) else { return nil }
        guard let value = parseDurationMilliseconds(text) else {
            report("--\(name)=\(text) is not a duration; write 10s, 1m30s or 250ms")
            return nil
        }
        guard range.contains(value) else {
            report(
                "--\(name)=\(text) is out of range; from \(describeDuration(milliseconds: range.lowerBound)) "
                    + "to \(describeDuration(milliseconds: range.upperBound))")
            return nil
        }
        return value
    }

    /// A number of bytes, with an optional suffix `k`, `M`, `G`, `Ki`, `Mi` or `Gi`.
    public mutating func bytes(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let text = text(name) else { return nil }
        guard let value = parseByteCount(text), range.contains(value) else {
            report(
                "--\(name)=\(text) is not a size from \(range.lowerBound) to \(range.upperBound) bytes; "
                    + "write 64Mi or 1000000")
            return nil
        }
        return value
    }

    /// The text of `--help`: usage, one paragraph per flag in the order of declaration.
    public static func help(program: String, summary: String, usage: String, flags: [Flag])
        -> String
    {
        var text = "\(program): \(summary)\n\nusage: \(program) \(usage)\n\nflags:\n"
        for flag in flags {
            text += "  --\(flag.name)"
            if !flag.valueName.isEmpty { text += "=\(flag.valueName)" }
            if flag.isRepeatable { text += " (repeatable)" }
            if !flag.defaultValue.isEmpty { text += " (default \(flag.defaultValue))" }
            text += "\n"
            for line in wrap(flag.help, width: 90) { text += "      \(line)\n" }
            if !flag.aliases.isEmpty {
                text += "      Also --\(flag.aliases.joined(separator: ", --")).\n"
            }
        }
        text += "  --help\n      Prints this text.\n  --version\n      Prints the version.\n"
        return text
    }
}

/// Milliseconds in a duration as Go writes it; `nil` where it is not one or does not fit.
public func parseDurationMilliseconds(_ text: String) -> Int64? {
    var rest = Substring(text)
    if rest == "0" { return 0 }
    var total = 0.0
    while !rest.isEmpty {
        let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits) else { return nil }
        rest = rest.dropFirst(digits.count)
        let unit = rest.prefix { $0.isLetter }
        rest = rest.dropFirst(unit.count)
        guard let scale = ["ms": 1.0, "s": 1e3, "m": 6e4, "h": 3.6e6, "d": 8.64e7][unit] else {
            return nil
        }
        total += number * scale
    }
    guard !text.isEmpty, total < 9e15 else { return nil }
    return Int64(total.rounded())
}

/// `90000` as `1m30s`.
public func describeDuration(milliseconds: Int64) -> String {
    if milliseconds == 0 { return "0s" }
    var rest = milliseconds
    var text = ""
    for (unit, scale) in [("h", Int64(3_600_000)), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        if rest / scale > 0 { text += "\(rest / scale)\(unit)" }
        rest %= scale
    }
    return text
}

/// Bytes in `64Mi`, `10k` or `4096`; `nil` where it is not a size.
public func parseByteCount(_ text: String) -> Int? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = Int(digits) else { return nil }
    let scales: [Substring: Int] = [
        "": 1, "k": 1_000, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000, "Ki": 1 << 10,
        "Mi": 1 << 20, "Gi": 1 << 30, "B": 1,
    ]
    guard let scale = scales[text.dropFirst(digits.count)] else { return nil }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: scale)
    return overflow ? nil : bytes
}

private func wrap(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
        if !line.isEmpty, line.utf8.count + word.utf8.count + 1 > width {
            lines.append(line)
            line = ""
        }
        line += line.isEmpty ? String(word) : " \(word)"
    }
    return lines + [line]
}

/// Levenshtein's distance in bytes.
private func editDistance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.utf8), Array(b.utf8))
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, y) in b.enumerated() {
            let cost = min(row[j + 1] + 1, row[j] + 1, diagonal + (x == y ? 0 : 1))
            diagonal = row[j + 1]
            row[j + 1] = cost
        }
    }
    return row[b.count]
}
