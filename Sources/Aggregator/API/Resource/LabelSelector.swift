/// A selector over labels or fields, in the syntax of `kubectl -l`: `app=web,tier in (a,b),!old`.
///
/// Grammar and words of errors: `k8s.io/apimachinery/pkg/labels`.
struct LabelSelector: Sendable, Equatable {
    enum Condition: Sendable, Equatable {
        case exists
        case doesNotExist
        case isIn(Set<String>)
        case isNotIn(Set<String>)
        case isGreater(Int64)
        case isLess(Int64)
    }

    struct Requirement: Sendable, Equatable {
        let key: String
        let condition: Condition
    }

    /// A text that is no selector; the words are the apiserver's.
    struct Invalid: Error, Equatable {
        let message: String
    }

    let requirements: [Requirement]

    /// Matches everything.
    static let everything = LabelSelector(requirements: [])

    private init(requirements: [Requirement]) { self.requirements = requirements }

    /// - Parameter operators: how a missing operator is described, which changed with time.
    init(
        parsing text: String, operators: String = "in, notin, =, ==, !=, gt, lt"
    ) throws(Invalid) {
        var parser = Parser(tokens: Self.tokens(of: text), operators: operators)
        requirements = try parser.parse()
    }

    var isEverything: Bool { requirements.isEmpty }

    func matches(_ value: (String) -> String?) -> Bool {
        requirements.allSatisfy { requirement in
            let value = value(requirement.key)
            switch requirement.condition {
            case .exists: return value != nil
            case .doesNotExist: return value == nil
            case .isIn(let values): return value.map { values.contains($0) } ?? false
            case .isNotIn(let values): return !(value.map { values.contains($0) } ?? false)
            case .isGreater(let limit):
                return value.flatMap { Int64($0) }.map { $0 > limit } ?? false
            case .isLess(let limit): return value.flatMap { Int64($0) }.map { $0 < limit } ?? false
            }
        }
    }

    func matches(_ labels: LabelSet?) -> Bool {
        isEverything || matches { labels?[$0] }
    }

    // MARK: Reading

    fileprivate enum Token: Equatable {
        case word(String)
        case symbol(String)
        case end

        var text: String {
            switch self {
            case .word(let text), .symbol(let text): text
            case .end: ""
            }
        }
    }

    private static func tokens(of text: String) -> [Token] {
        var found: [Token] = []
        var rest = text.utf8[...]
        while let byte = rest.first {
            switch byte {
            case 0x20, 0x09, 0x0A, 0x0D: rest.removeFirst()
            case UInt8(ascii: "="), UInt8(ascii: "!"):
                rest.removeFirst()
                let symbol = String(Unicode.Scalar(byte))
                if rest.first == UInt8(ascii: "=") {
                    rest.removeFirst()
                    found.append(.symbol(symbol + "="))
                } else {
                    found.append(.symbol(symbol))
                }
            case let byte where isSpecial(byte):
                rest.removeFirst()
                found.append(.symbol(String(Unicode.Scalar(byte))))
            default:
                let word = rest.prefix {
                    !isSpecial($0) && ![0x20, 0x09, 0x0A, 0x0D, 0x3D, 0x21].contains($0)
                }
                found.append(.word(String(decoding: word, as: UTF8.self)))
                rest = rest[word.endIndex...]
            }
        }
        return found + [.end]
    }

    private static func isSpecial(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: ","), UInt8(ascii: ">"),
            UInt8(ascii: "<"):
            true
        default: false
        }
    }
}

/// Reads requirements out of tokens.
private struct Parser {
    typealias Invalid = LabelSelector.Invalid
    private var tokens: ArraySlice<LabelSelector.Token>
    private let operators: String

    init(tokens: [LabelSelector.Token], operators: String) {
        self.tokens = tokens[...]
        self.operators = operators
    }

    private var next: LabelSelector.Token { tokens.first ?? .end }

    private mutating func take() -> LabelSelector.Token { tokens.popFirst() ?? .end }

    mutating func parse() throws(Invalid) -> [LabelSelector.Requirement] {
        var found: [LabelSelector.Requirement] = []
        while true {
            switch next {
            case .end: return found
            case .word, .symbol("!"): break
            default:
                throw Invalid(
                    message: "found '\(next.text)', expected: !, identifier, or 'end of string'")
            }
            do throws(Invalid) {
                found.append(try requirement())
            } catch {
                throw Invalid(message: "unable to parse requirement: \(error.message)")
            }
            let separator = take()
            if separator == .end { return found }
            guard separator == .symbol(",") else {
                throw Invalid(
                    message: "found '\(separator.text)', expected: ',' or 'end of string'")
            }
            switch next {
            case .word, .symbol("!"): break
            default:
                throw Invalid(message: "found '\(next.text)', expected: identifier after ','")
            }
        }
    }

    private mutating func requirement() throws(Invalid) -> LabelSelector.Requirement {
        let isNegated = next == .symbol("!")
        if isNegated { _ = take() }
        guard case .word(let key) = take() else {
            throw Invalid(
                message: "found '\(tokens.isEmpty ? "" : next.text)', expected: identifier")
        }
        try check(key: key)
        let isAlone = next == .end || next == .symbol(",")
        if isNegated || isAlone {
            guard isAlone else { throw missingOperator(next.text) }
            return .init(key: key, condition: isNegated ? .doesNotExist : .exists)
        }
        return .init(key: key, condition: try condition())
    }

    private func missingOperator(_ found: String) -> Invalid {
        Invalid(message: "found '\(found)', expected: \(operators)")
    }

    private mutating func condition() throws(Invalid) -> LabelSelector.Condition {
        let sign = take()
        switch sign {
        case .symbol("="), .symbol("=="): return .isIn([try value()])
        case .symbol("!="): return .isNotIn([try value()])
        case .symbol(">"): return .isGreater(try number())
        case .symbol("<"): return .isLess(try number())
        case .word("in"): return .isIn(try values())
        case .word("notin"): return .isNotIn(try values())
        default: throw missingOperator(sign.text)
        }
    }

    private mutating func value() throws(Invalid) -> String {
        switch next {
        case .end, .symbol(","): return ""
        case .word(let text):
            _ = take()
            try check(value: text)
            return text
        case .symbol(let text): throw Invalid(message: "found '\(text)', expected: identifier")
        }
    }

    private mutating func number() throws(Invalid) -> Int64 {
        let text = try value()
        guard let number = Int64(text) else {
            throw Invalid(
                message:
                    "values[0][]: Invalid value: \"\(text)\": for 'Gt', 'Lt' operators, the value must be an integer"
            )
        }
        return number
    }

    private mutating func values() throws(Invalid) -> Set<String> {
        guard take() == .symbol("(") else {
            throw Invalid(message: "found '\(next.text)' expected: '('")
        }
        var found = Set<String>()
        while true {
            switch take() {
            case .symbol(")"):
                found.insert("")
                return found
            case .word(let text):
                try check(value: text)
                found.insert(text)
                switch take() {
                case .symbol(")"): return found
                case .symbol(","): continue
                case let other:
                    throw Invalid(message: "found '\(other.text)', expected: ',' or ')'")
                }
            case .symbol(","): found.insert("")
            case let other:
                throw Invalid(message: "found '\(other.text)', expected: ',', or identifier")
            }
        }
    }

    /// `[prefix/]name`: up to 63 letters, digits, `-`, `_`, `.`, the prefix a DNS subdomain.
    private func check(key: String) throws(Invalid) {
        let parts = key.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        let isGood =
            parts.count <= 2 && parts.allSatisfy { !$0.isEmpty && $0.count <= 253 }
            && parts[parts.count - 1].count <= 63 && parts.allSatisfy { Self.isName($0) }
        guard isGood else {
            throw Invalid(
                message:
                    "key: Invalid value: \"\(key)\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            )
        }
    }

    private func check(value: String) throws(Invalid) {
        guard value.utf8.count <= 63, value.isEmpty || Self.isName(value.utf8[...]) else {
            throw Invalid(
                message:
                    "values[0][]: Invalid value: \"\(value)\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            )
        }
    }

    private static func isName(_ text: Substring.UTF8View) -> Bool {
        guard let first = text.first, let last = text.last else { return false }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && text.allSatisfy { isAlphanumeric($0) || [0x2D, 0x5F, 0x2E].contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        byte &- 0x30 < 10 || (byte | 0x20) &- 0x61 < 26
    }
}
