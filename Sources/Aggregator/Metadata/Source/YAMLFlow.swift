/// Reads one value of YAML that stands in a line: plain, quoted, `{…}` or `[…]`.
struct YAMLFlow {
    private let text: [Character]
    private let line: Int
    private var index = 0
    private(set) var valueCount = 0

    init(_ text: String, line: Int) {
        self.text = Array(text)
        self.line = line
    }

    var remainder: String { String(text[index...]) }

    /// Throws unless everything was read.
    mutating func end() throws(YAMLError) {
        skipBlanks()
        guard index >= text.count else { throw fault("there is more behind the value") }
    }

    /// The next value; `nil` if the text ends inside it.
    ///
    /// - Parameter isTop: a plain text then goes to the end of the line, commas and all.
    mutating func value(depth: Int, isTop: Bool) throws(YAMLError) -> YAMLValue? {
        guard depth <= YAMLParser.depthLimit else {
            throw fault("nested deeper than \(YAMLParser.depthLimit) levels")
        }
        valueCount += 1
        skipBlanks()
        guard index < text.count else { return isTop ? .null : nil }
        switch text[index] {
        case "\"": return try doubleQuoted().map { .scalar($0) }
        case "'": return singleQuoted().map { .scalar($0) }
        case "[": return try sequence(depth)
        case "{": return try mapping(depth)
        case "&", "*", "!": throw fault("anchors, aliases and tags are not supported")
        case "|", ">", "@", "`", "%": throw fault("a plain text cannot begin with \(text[index])")
        default: return plain(isTop)
        }
    }

    private mutating func plain(_ isTop: Bool) -> YAMLValue {
        let start = index
        while index < text.count {
            let character = text[index]
            if !isTop, ",]}".contains(character) { break }
            if !isTop, character == ":", index + 1 == text.count || ", ]}".contains(text[index + 1])
            {
                break
            }
            index += 1
        }
        var end = index
        while end > start, text[end - 1] == " " { end -= 1 }
        let value = String(text[start..<end])
        return ["", "~", "null", "Null", "NULL"].contains(value) ? .null : .scalar(value)
    }

    private mutating func singleQuoted() -> String? {
        var result = ""
        index += 1
        while index < text.count {
            if text[index] == "'" {
                index += 1
                guard index < text.count, text[index] == "'" else { return result }
            }
            result.append(text[index])
            index += 1
        }
        return nil
    }

    private mutating func doubleQuoted() throws(YAMLError) -> String? {
        var result = ""
        index += 1
        while index < text.count {
            switch text[index] {
            case "\"":
                index += 1
                return result
            case "\\":
                guard index + 1 < text.count else { return nil }
                let escape = text[index + 1]
                index += 2
                guard let digits = ["x": 2, "u": 4, "U": 8][escape] else {
                    guard let meaning = Self.escapes[escape] else {
                        throw fault("unknown escape \\\(escape)")
                    }
                    result.append(meaning)
                    continue
                }
                guard index + digits <= text.count else { return nil }
                guard let code = UInt32(String(text[index..<index + digits]), radix: 16),
                    let scalar = Unicode.Scalar(code)
                else { throw fault("\\\(escape) is not followed by a character's number") }
                result.unicodeScalars.append(scalar)
                index += digits
            case let character:
                result.append(character)
                index += 1
            }
        }
        return nil
    }

    private static let escapes: [Character: Character] = [
        "n": "\n", "t": "\t", "r": "\r", "\"": "\"", "\\": "\\", "/": "/", "0": "\0", " ": " ",
        "a": "\u{7}", "b": "\u{8}", "e": "\u{1B}", "f": "\u{C}", "v": "\u{B}",
    ]

    private mutating func sequence(_ depth: Int) throws(YAMLError) -> YAMLValue? {
        var elements: [YAMLValue] = []
        index += 1
        while true {
            skipBlanks()
            guard index < text.count else { return nil }
            if text[index] == "]" {
                index += 1
                return .sequence(elements)
            }
            guard let element = try value(depth: depth + 1, isTop: false) else { return nil }
            elements.append(element)
            guard let isDone = try separator("]") else { return nil }
            if isDone { return .sequence(elements) }
        }
    }

    private mutating func mapping(_ depth: Int) throws(YAMLError) -> YAMLValue? {
        var members: [YAMLValue.Member] = []
        index += 1
        while true {
            skipBlanks()
            guard index < text.count else { return nil }
            if text[index] == "}" {
                index += 1
                return .mapping(members)
            }
            guard let key = try value(depth: depth + 1, isTop: false) else { return nil }
            guard let name = key.text, !members.contains(where: { $0.key == name }) else {
                throw fault("a key is missing or repeated")
            }
            skipBlanks()
            guard index < text.count else { return nil }
            guard text[index] == ":" else { throw fault("there is no colon behind \(name)") }
            index += 1
            guard let value = try value(depth: depth + 1, isTop: false) else { return nil }
            members.append(.init(key: name, value: value))
            guard let isDone = try separator("}") else { return nil }
            if isDone { return .mapping(members) }
        }
    }

    /// Reads a comma (false) or the closing bracket (true); `nil` at the text's end.
    private mutating func separator(_ closing: Character) throws(YAMLError) -> Bool? {
        skipBlanks()
        guard index < text.count else { return nil }
        let character = text[index]
        guard character == "," || character == closing else {
            throw fault("there should be a comma or \(closing) at \(character)")
        }
        index += 1
        return character == closing
    }

    private mutating func skipBlanks() {
        while index < text.count, text[index] == " " || text[index] == "\t" { index += 1 }
    }

    private func fault(_ reason: String) -> YAMLError { YAMLError(line: line, reason: reason) }
}
