/// A regular expression as a tree.
indirect enum RegularExpressionTree {
    case empty
    case character(ScalarSet)
    case assertion(RegularExpression.Assertion)
    case sequence([RegularExpressionTree])
    case alternatives([RegularExpressionTree])
    /// `nil` for no upper bound.
    case repetition(RegularExpressionTree, Int, Int?)

    private static let literalCountMax = 256

    /// All texts that match, where there are few and none is in doubt.
    func literals() -> [String]? {
        switch self {
        case .empty: return [""]
        case .character(let set):
            guard let scalar = set.only, scalar.isASCII else { return nil }
            return [String(Character(scalar))]
        case .assertion, .repetition: return nil
        case .sequence(let parts):
            var found = [""]
            for part in parts {
                guard let ends = part.literals(),
                    found.count * ends.count <= Self.literalCountMax
                else { return nil }
                found = found.flatMap { start in ends.map { start + $0 } }
            }
            return found
        case .alternatives(let parts):
            var found: [String] = []
            for part in parts {
                guard let more = part.literals(),
                    found.count + more.count <= Self.literalCountMax
                else { return nil }
                found += more
            }
            return found
        }
    }
}

/// Reads a regular expression. No text traps.
struct RegularExpressionParser {
    typealias Tree = RegularExpressionTree
    typealias Invalid = RegularExpression.Invalid

    private let scalars: [Unicode.Scalar]
    private var index = 0
    private var depth = 0
    private var flags = Flags()

    /// What `(?ims)` turns on. `U` is taken and changes nothing, because nothing is captured.
    private struct Flags {
        var ignoresCase = false
        var isMultiline = false
        var dotMatchesLineEnd = true
    }

    init(_ text: String) { scalars = Array(text.unicodeScalars) }

    mutating func parse() throws(Invalid) -> Tree {
        let tree = try alternatives()
        guard index == scalars.count else {
            throw error("a closing parenthesis without an opening one")
        }
        return tree
    }

    private func error(_ reason: String) -> Invalid {
        Invalid(message: "regular expression, at character \(index + 1): \(reason)")
    }

    private var next: Unicode.Scalar? { index < scalars.count ? scalars[index] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        index += 1
        return true
    }

    // MARK: Structure

    private mutating func alternatives() throws(Invalid) -> Tree {
        var parts = [try sequence()]
        while take("|") { parts.append(try sequence()) }
        return parts.count == 1 ? parts[0] : .alternatives(parts)
    }

    private mutating func sequence() throws(Invalid) -> Tree {
        var parts: [Tree] = []
        while let scalar = next, scalar != "|", scalar != ")" { parts.append(try piece()) }
        if parts.isEmpty { return .empty }
        return parts.count == 1 ? parts[0] : .sequence(parts)
    }

    /// One thing and how often.
    private mutating func piece() throws(Invalid) -> Tree {
        var tree = try atom()
        var isRepeated = false
        while let (least, most) = try bounds() {
            // `a**` is a mistake in RE2 too.
            if isRepeated { throw error("a repetition of a repetition") }
            isRepeated = true
            _ = take("?")
            tree = .repetition(tree, least, most)
        }
        return tree
    }

    private mutating func bounds() throws(Invalid) -> (Int, Int?)? {
        switch next {
        case "*":
            index += 1
            return (0, nil)
        case "+":
            index += 1
            return (1, nil)
        case "?":
            index += 1
            return (0, 1)
        case "{": return try counted()
        default: return nil
        }
    }

    /// `{n}`, `{n,}`, `{n,m}`; a brace of anything else stands for itself.
    private mutating func counted() throws(Invalid) -> (Int, Int?)? {
        let start = index
        index += 1
        guard let least = number() else {
            index = start
            return nil
        }
        var most: Int? = least
        if take(",") { most = next == "}" ? nil : number() ?? -1 }
        guard most != -1, take("}") else {
            index = start
            return nil
        }
        guard least <= RegularExpression.repetitionMax,
            most ?? 0 <= RegularExpression.repetitionMax, most ?? least >= least
        else { throw error("a repetition count that is out of range") }
        return (least, most)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let digit = next, ("0"..."9").contains(digit) {
            value = min((value ?? 0) * 10 + Int(digit.value - 0x30), 1_000_000)
            index += 1
        }
        return value
    }

    // MARK: Atoms

    private mutating func atom() throws(Invalid) -> Tree {
        guard let scalar = next else { return .empty }
        switch scalar {
        case "(": return try group()
        case "[": return .character(try bracketed())
        case "\\": return try escape()
        case "*", "+", "?": throw error("nothing to repeat")
        case "{":
            let start = index
            if try counted() != nil { throw error("nothing to repeat") }
            index = start + 1
            return literal(scalar)
        case ".":
            index += 1
            if flags.dotMatchesLineEnd { return .character(.everything) }
            var set = ScalarSet([0x0A...0x0A])
            set.isNegated = true
            return .character(set)
        case "^":
            index += 1
            return .assertion(flags.isMultiline ? .lineStart : .textStart)
        case "$":
            index += 1
            return .assertion(flags.isMultiline ? .lineEnd : .textEnd)
        default:
            index += 1
            return literal(scalar)
        }
    }

    private func literal(_ scalar: Unicode.Scalar) -> Tree {
        var set = ScalarSet([scalar.value...scalar.value])
        set.ignoresCase = flags.ignoresCase && scalar.properties.isAlphabetic
        return .character(set)
    }

    private mutating func group() throws(Invalid) -> Tree {
        index += 1
        depth += 1
        guard depth <= RegularExpression.depthMax else {
            throw error("more than \(RegularExpression.depthMax) groups within each other")
        }
        defer { depth -= 1 }
        let outer = flags
        if take("?"), try readFlags() { return .empty }
        let tree = try alternatives()
        guard take(")") else { throw error("a group that does not end") }
        flags = outer
        return tree
    }

    /// Behind `(?`: a name, or flags. True for flags that hold from here on, `(?i)`.
    private mutating func readFlags() throws(Invalid) -> Bool {
        if next == "P" || next == "<" {
            _ = take("P")
            guard take("<") else { throw error("(?P needs a name") }
            let start = index
            while let scalar = next, ScalarSet.word.contains(scalar.value) { index += 1 }
            guard index > start, take(">") else { throw error("a group's name that is none") }
            return false
        }
        var isOn = true
        while let scalar = next {
            index += 1
            switch scalar {
            case "i": flags.ignoresCase = isOn
            case "m": flags.isMultiline = isOn
            case "s": flags.dotMatchesLineEnd = isOn
            case "U": continue
            case "-" where isOn: isOn = false
            case ":": return false
            case ")": return true
            default:
                index -= 1
                throw error("(? with an unknown flag; look-around is not in RE2")
            }
        }
        throw error("a group that does not end")
    }

    // MARK: Escapes

    private mutating func escape() throws(Invalid) -> Tree {
        index += 1
        guard let scalar = next else { throw error("a backslash at the end") }
        switch scalar {
        case "A":
            index += 1
            return .assertion(.textStart)
        case "z":
            index += 1
            return .assertion(.textEnd)
        case "b":
            index += 1
            return .assertion(.wordBoundary)
        case "B":
            index += 1
            return .assertion(.noWordBoundary)
        default:
            if let set = perlClass(scalar) { return .character(set) }
            return literal(try escapedScalar())
        }
    }

    /// `\d`, `\s`, `\w` and their opposites, taken if it is one.
    private mutating func perlClass(_ scalar: Unicode.Scalar) -> ScalarSet? {
        var set: ScalarSet
        switch scalar {
        case "d", "D": set = .digit
        case "s", "S": set = .space
        case "w", "W": set = .word
        default: return nil
        }
        set.isNegated = scalar.properties.isUppercase
        index += 1
        return set
    }

    /// What stands behind a backslash, as one scalar.
    private mutating func escapedScalar() throws(Invalid) -> Unicode.Scalar {
        guard let scalar = next else { throw error("a backslash at the end") }
        index += 1
        switch scalar {
        case "a": return "\u{07}"
        case "f": return "\u{0C}"
        case "n": return "\n"
        case "r": return "\r"
        case "t": return "\t"
        case "v": return "\u{0B}"
        case "0"..."7": return try octal(scalar)
        case "x": return try hexadecimal()
        default:
            guard scalar.isASCII, !scalar.properties.isAlphabetic,
                scalar.properties.numericType == nil
            else {
                index -= 1
                throw error(
                    "\\\(scalar) is not known (classes by script or category are not there)")
            }
            return scalar
        }
    }

    /// `\0`, `\012`, `\123`; a lone `\1` would be a reference, which RE2 has not.
    private mutating func octal(_ first: Unicode.Scalar) throws(Invalid) -> Unicode.Scalar {
        var value = first.value - 0x30
        var count = 1
        while count < 3, let digit = next, ("0"..."7").contains(digit) {
            value = value * 8 + digit.value - 0x30
            count += 1
            index += 1
        }
        guard first == "0" || count > 1, let scalar = Unicode.Scalar(value) else {
            throw error("references to groups are not in RE2")
        }
        return scalar
    }

    /// `\x7F` or `\x{10FFFF}`.
    private mutating func hexadecimal() throws(Invalid) -> Unicode.Scalar {
        let isBraced = take("{")
        var value: UInt32 = 0
        var count = 0
        while count < (isBraced ? 6 : 2), let scalar = next,
            let digit = Character(scalar).hexDigitValue, scalar.isASCII
        {
            value = value << 4 | UInt32(digit)
            count += 1
            index += 1
        }
        guard count > 0, isBraced ? take("}") : count == 2, let scalar = Unicode.Scalar(value)
        else {
            throw error("\\x without its digits")
        }
        return scalar
    }

    // MARK: Brackets

    private mutating func bracketed() throws(Invalid) -> ScalarSet {
        index += 1
        var set = ScalarSet([])
        set.isNegated = take("^")
        set.ignoresCase = flags.ignoresCase
        var isFirst = true
        while true {
            guard let scalar = next else { throw error("a bracket that does not end") }
            if scalar == "]", !isFirst {
                index += 1
                return set
            }
            isFirst = false
            if let named = try namedClass() {
                set.add(named)
                continue
            }
            if scalar == "\\", index + 1 < scalars.count {
                index += 1
                if let perl = perlClass(scalars[index]) {
                    set.add(perl)
                    continue
                }
                index -= 1
            }
            let low = try bracketScalar()
            guard next == "-", index + 1 < scalars.count, scalars[index + 1] != "]" else {
                set.add([low.value...low.value])
                continue
            }
            index += 1
            let high = try bracketScalar()
            guard low <= high else { throw error("a range that runs backwards") }
            set.add([low.value...high.value])
        }
    }

    private mutating func bracketScalar() throws(Invalid) -> Unicode.Scalar {
        if take("\\") { return try escapedScalar() }
        guard let scalar = next else { throw error("a bracket that does not end") }
        index += 1
        return scalar
    }

    /// `[:alpha:]`, `[:^digit:]`, within brackets.
    private mutating func namedClass() throws(Invalid) -> ScalarSet? {
        guard next == "[", index + 1 < scalars.count, scalars[index + 1] == ":" else { return nil }
        let start = index
        index += 2
        let isNegated = take("^")
        var name = ""
        while let scalar = next, ("a"..."z").contains(scalar) {
            name.unicodeScalars.append(scalar)
            index += 1
        }
        guard take(":"), take("]") else {
            index = start
            return nil
        }
        guard let ranges = Self.named[name] else { throw error("[:\(name):] is no class") }
        var set = ScalarSet(ranges)
        set.isNegated = isNegated
        return set
    }

    private static let named: [String: [ClosedRange<UInt32>]] = [
        "alnum": [0x30...0x39, 0x41...0x5A, 0x61...0x7A], "alpha": [0x41...0x5A, 0x61...0x7A],
        "ascii": [0...0x7F], "blank": [0x09...0x09, 0x20...0x20], "cntrl": [0...0x1F, 0x7F...0x7F],
        "digit": [0x30...0x39], "graph": [0x21...0x7E], "lower": [0x61...0x7A],
        "print": [0x20...0x7E],
        "punct": [0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E],
        "space": [0x09...0x0D, 0x20...0x20], "upper": [0x41...0x5A],
        "word": ScalarSet.word.ranges, "xdigit": [0x30...0x39, 0x41...0x46, 0x61...0x66],
    ]
}
