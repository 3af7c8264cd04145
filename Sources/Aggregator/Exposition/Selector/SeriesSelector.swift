/// Which series somebody wants, as Prometheus writes it: `container_memory_rss{namespace=~"a|b"}`.
///
/// Source: <https://prometheus.io/docs/prometheus/latest/querying/basics/#instant-vector-selectors>.
struct SeriesSelector: Sendable {
    /// One condition on a label. A label that a series has not counts as empty.
    struct Matcher: Sendable {
        enum Condition: Sendable {
            case equal(String)
            case notEqual(String)
            case matching(RegularExpression)
            case notMatching(RegularExpression)
        }

        let label: String
        let condition: Condition

        func matches(_ value: String, steps: inout Int) -> Bool {
            switch condition {
            // Bytes decide: to `String` an é is the same as an e with an accent behind it.
            case .equal(let wanted): return wanted.utf8.elementsEqual(value.utf8)
            case .notEqual(let unwanted): return !unwanted.utf8.elementsEqual(value.utf8)
            case .matching(let pattern): return pattern.matches(value, steps: &steps)
            case .notMatching(let pattern): return !pattern.matches(value, steps: &steps)
            }
        }
    }

    /// The name of the label that stands for the metric's name.
    static let nameLabel = "__name__"

    /// What is wrong with a selector, and where.
    struct Invalid: Error, Equatable {
        let message: String
    }

    static let byteCountMax = 4_096
    static let matcherCountMax = 32

    private(set) var matchers: [Matcher] = []

    /// - Throws: the reason, with the place in the text.
    init(_ text: String) throws(Invalid) {
        guard text.utf8.count <= Self.byteCountMax else {
            throw Invalid(message: "a selector is longer than \(Self.byteCountMax) bytes")
        }
        var parser = SeriesSelectorParser(text)
        matchers = try parser.parse()
        guard matchers.count <= Self.matcherCountMax else {
            throw Invalid(message: "a selector has more than \(Self.matcherCountMax) conditions")
        }
        // As in Prometheus: what everything satisfies is a mistake.
        var steps = 0
        if matchers.allSatisfy({ $0.matches("", steps: &steps) }) {
            throw Invalid(
                message: "a selector must have a condition that an empty label does not meet")
        }
    }
}

/// Reads a selector. No text traps.
struct SeriesSelectorParser {
    typealias Matcher = SeriesSelector.Matcher
    typealias Invalid = SeriesSelector.Invalid

    private let scalars: [Unicode.Scalar]
    private var index = 0

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func parse() throws(Invalid) -> [Matcher] {
        var matchers: [Matcher] = []
        skipBlanks()
        if let name = name(allowsColon: true) { matchers.append(Self.named(name)) }
        skipBlanks()
        if take("{") {
            try parseMatchers(into: &matchers)
        } else if matchers.isEmpty {
            throw error("a metric's name or an opening brace is missing")
        }
        skipBlanks()
        guard index == scalars.count else { throw error("something follows the selector") }
        return matchers
    }

    private static func named(_ name: String) -> Matcher {
        Matcher(label: SeriesSelector.nameLabel, condition: .equal(name))
    }

    private func error(_ reason: String) -> Invalid {
        Invalid(message: "1:\(index + 1): \(reason)")
    }

    /// Behind the brace, to behind the closing one.
    private mutating func parseMatchers(into matchers: inout [Matcher]) throws(Invalid) {
        while true {
            skipBlanks()
            if take("}") { return }
            matchers.append(try matcher(hasName: !matchers.isEmpty && Self.isName(matchers[0])))
            guard matchers.count <= SeriesSelector.matcherCountMax else { return }
            skipBlanks()
            if take(",") { continue }
            guard take("}") else { throw error("\",\" or \"}\" is missing") }
            return
        }
    }

    private static func isName(_ matcher: Matcher) -> Bool {
        guard case .equal = matcher.condition else { return false }
        return matcher.label == SeriesSelector.nameLabel
    }

    private mutating func matcher(hasName: Bool) throws(Invalid) -> Matcher {
        let label: String
        if let plain = name(allowsColon: false) {
            label = plain
        } else if next == "\"" || next == "'" || next == "`" {
            // Since Prometheus 3: a name in quotes is a label's before an operator, else the metric's.
            label = try string()
            skipBlanks()
            if next == "," || next == "}" {
                if hasName { throw error("the metric's name is there twice") }
                return Self.named(label)
            }
        } else {
            throw error("a label's name is missing")
        }
        skipBlanks()
        let isNegated: Bool
        let isPattern: Bool
        if take("=") {
            (isNegated, isPattern) = (false, take("~"))
        } else if take("!") {
            isPattern = take("~")
            isNegated = true
            guard isPattern || take("=") else { throw error("\"!=\" or \"!~\" is missing") }
        } else {
            throw error("=, !=, =~ or !~ is missing behind \(label)")
        }
        skipBlanks()
        let value = try string()
        guard isPattern else {
            return Matcher(label: label, condition: isNegated ? .notEqual(value) : .equal(value))
        }
        do throws(RegularExpression.Invalid) {
            let pattern = try RegularExpression(value)
            return Matcher(
                label: label, condition: isNegated ? .notMatching(pattern) : .matching(pattern))
        } catch {
            throw self.error("of \(label): \(error.message)")
        }
    }

    // MARK: Words

    private var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        index += 1
        return true
    }

    private mutating func skipBlanks() {
        while let scalar = next, [" ", "\t", "\n", "\r"].contains(scalar) { index += 1 }
    }

    private mutating func name(allowsColon: Bool) -> String? {
        var found = ""
        while let scalar = next {
            let isLetter = scalar == "_" || (scalar.isASCII && scalar.properties.isAlphabetic)
            let isDigit = ("0"..."9").contains(scalar)
            guard isLetter || (isDigit && !found.isEmpty) || (scalar == ":" && allowsColon) else {
                break
            }
            found.unicodeScalars.append(scalar)
            index += 1
        }
        return found.isEmpty ? nil : found
    }

    /// In double or single quotes with Go's escapes, or in backquotes as it is.
    private mutating func string() throws(Invalid) -> String {
        guard let quote = next, quote == "\"" || quote == "'" || quote == "`" else {
            throw error("a text in quotes is missing")
        }
        index += 1
        var found = String.UnicodeScalarView()
        while let scalar = next {
            index += 1
            if scalar == quote { return String(found) }
            if quote == "`" {
                found.append(scalar)
            } else if scalar == "\n" {
                break
            } else if scalar == "\\" {
                found.append(try escaped(quote))
            } else {
                found.append(scalar)
            }
        }
        throw error("a text that does not end")
    }

    private mutating func escaped(_ quote: Unicode.Scalar) throws(Invalid) -> Unicode.Scalar {
        guard let scalar = next else { throw error("a text that does not end") }
        index += 1
        switch scalar {
        case "a": return "\u{07}"
        case "b": return "\u{08}"
        case "f": return "\u{0C}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "v": return "\u{0B}"
        case "\\": return "\\"
        case quote: return quote
        case "x": return try number(digits: 2, radix: 16)
        case "u": return try number(digits: 4, radix: 16)
        case "U": return try number(digits: 8, radix: 16)
        case "0"..."7":
            index -= 1
            return try number(digits: 3, radix: 8)
        default:
            index -= 1
            throw error("an escape that is not known: \\\(scalar)")
        }
    }

    private mutating func number(digits: Int, radix: UInt32) throws(Invalid) -> Unicode.Scalar {
        var value: UInt32 = 0
        for _ in 0..<digits {
            guard let scalar = next, scalar.isASCII, let digit = Character(scalar).hexDigitValue,
                digit < radix
            else { throw error("an escape that lacks digits") }
            value = value &* radix &+ UInt32(digit)
            index += 1
        }
        // Bytes above 7F would have to make up UTF-8 together: nobody writes them.
        guard let scalar = Unicode.Scalar(value), digits > 3 || value < 0x80 else {
            throw error("an escape that is no character; write the character itself")
        }
        return scalar
    }
}
