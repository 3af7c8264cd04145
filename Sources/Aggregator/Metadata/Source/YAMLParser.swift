/// Reads `YAMLValue`s. Depth, size and number of values are limited; never traps.
struct YAMLParser {
    private struct Line {
        let number: Int
        let indent: Int
        /// Without indentation and comment; not empty.
        var text: Substring
    }

    static let depthLimit = 32
    static let byteLimit = 1 << 20
    private static let valueLimit = 50_000

    private var lines: [Line] = []
    /// All lines as written, for block scalars.
    private var raw: [Substring] = []
    private var position = 0
    private var valueCount = 0

    static func parse(_ bytes: [UInt8]) throws(YAMLError) -> YAMLValue {
        guard bytes.count <= byteLimit else {
            throw YAMLError(line: 1, reason: "the text is longer than \(byteLimit) bytes")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw YAMLError(line: 1, reason: "the text is not UTF-8")
        }
        var parser = YAMLParser()
        try parser.split(text)
        guard !parser.lines.isEmpty else { return .null }
        if parser.lines[0].text.first == "{" {
            // JSON, over many lines: read at once.
            let whole = parser.lines.map { String($0.text) }.joined(separator: " ")
            var flow = YAMLFlow(whole, line: parser.lines[0].number)
            guard let value = try flow.value(depth: 0, isTop: true) else {
                throw YAMLError(line: parser.lines[0].number, reason: "the value does not end")
            }
            try flow.end()
            return value
        }
        let value = try parser.block(indent: parser.lines[0].indent, depth: 0)
        if parser.position < parser.lines.count {
            throw YAMLError(
                line: parser.lines[parser.position].number, reason: "unexpected indentation")
        }
        return value
    }

    // MARK: Lines

    private mutating func split(_ text: String) throws(YAMLError) {
        raw = text.split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.last == "\r" ? $0.dropLast() : $0
        }
        // "\r\n" is one Character in Swift: such lines were not split above.
        if text.utf8.contains(0x0D) {
            raw = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        }
        var blockIndent: Int?
        var documents = 0
        for (index, line) in raw.enumerated() {
            let indent = line.utf8.prefix { $0 == 0x20 }.count
            let body = line.dropFirst(indent)
            if let limit = blockIndent {
                // Inside a block scalar nothing is a comment or key.
                if body.allSatisfy({ $0 == " " || $0 == "\t" }) || indent > limit { continue }
                blockIndent = nil
            }
            if body.first == "\t" {
                throw YAMLError(line: index + 1, reason: "a tab in the indentation")
            }
            let stripped = Self.withoutComment(body)
            if stripped.isEmpty || stripped.hasPrefix("%") { continue }
            if indent == 0, stripped == "---" || stripped == "..." {
                documents += lines.isEmpty ? 0 : 1
                continue
            }
            guard documents == 0 else {
                throw YAMLError(line: index + 1, reason: "more than one document")
            }
            lines.append(Line(number: index + 1, indent: indent, text: stripped))
            if Self.opensBlockScalar(stripped) { blockIndent = Self.blockParent(indent, stripped) }
        }
    }

    /// Cuts ` # …` outside quotes, and blanks at the end.
    private static func withoutComment(_ text: Substring) -> Substring {
        var quote: Character?
        var previous: Character = " "
        var index = text.startIndex
        while index < text.endIndex {
            let character = text[index]
            if let open = quote {
                if character == "\\", open == "\"" {
                    index = text.index(after: index)
                    if index == text.endIndex { break }
                } else if character == open {
                    quote = nil
                }
            } else if character == "\"" || character == "'" {
                // An apostrophe inside a word opens nothing.
                if " [{,:-".contains(previous) { quote = character }
            } else if character == "#", previous == " " || previous == "\t" {
                return trimmed(text[..<index])
            }
            previous = character
            index = text.index(after: index)
        }
        return trimmed(text)
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }

    private static func opensBlockScalar(_ text: Substring) -> Bool {
        guard let last = text.split(separator: " ").last, let first = last.first else {
            return false
        }
        let isHeader =
            (first == "|" || first == ">") && last.dropFirst().allSatisfy { "+-".contains($0) }
        return isHeader
            && (text.count == last.count || ":- ".contains(text.dropLast(last.count).last ?? " "))
            && (text.count == last.count
                || trimmed(text.dropLast(last.count)).last.map { ":-".contains($0) } == true)
    }

    /// The indentation that the lines of a block scalar are deeper than: that of its key, which may
    /// stand behind dashes.
    private static func blockParent(_ indent: Int, _ text: Substring) -> Int {
        var (column, rest) = (indent, text)
        while rest.hasPrefix("- ") {
            let inner = rest.dropFirst(2).drop { $0 == " " }
            // `- |`: the block belongs to the dash.
            guard inner.contains(":") else { break }
            column += rest.count - inner.count
            rest = inner
        }
        return column
    }

    // MARK: Blocks

    private mutating func count(_ line: Int, _ depth: Int) throws(YAMLError) {
        valueCount += 1
        guard valueCount <= Self.valueLimit else {
            throw YAMLError(line: line, reason: "more than \(Self.valueLimit) values")
        }
        guard depth <= Self.depthLimit else {
            throw YAMLError(line: line, reason: "nested deeper than \(Self.depthLimit) levels")
        }
    }

    /// The value whose lines begin at `indent`.
    private mutating func block(indent: Int, depth: Int) throws(YAMLError) -> YAMLValue {
        let line = lines[position]
        try count(line.number, depth)
        if line.text == "-" || line.text.hasPrefix("- ") {
            return try sequence(indent: indent, depth: depth)
        }
        if line.text.first != "{", line.text.first != "[",
            try Self.key(line.text, line.number) != nil
        {
            return try mapping(indent: indent, depth: depth)
        }
        position += 1
        return try inline(line.text, line, depth: depth)
    }

    private mutating func sequence(indent: Int, depth: Int) throws(YAMLError) -> YAMLValue {
        var elements: [YAMLValue] = []
        while position < lines.count, lines[position].indent == indent,
            lines[position].text == "-" || lines[position].text.hasPrefix("- ")
        {
            let line = lines[position]
            let rest = line.text.dropFirst().drop { $0 == " " }
            if rest.isEmpty {
                position += 1
                elements.append(try nested(deeperThan: indent, depth: depth))
            } else if Self.isBlockHeader(rest) {
                position += 1
                elements.append(try blockScalar(rest, line, parent: indent))
            } else {
                // The rest is a block of its own that begins behind the dash.
                let column = indent + (line.text.count - rest.count)
                lines[position] = Line(number: line.number, indent: column, text: rest)
                elements.append(try block(indent: column, depth: depth + 1))
            }
        }
        try requireEnd(indent)
        return .sequence(elements)
    }

    private mutating func mapping(indent: Int, depth: Int) throws(YAMLError) -> YAMLValue {
        var members: [YAMLValue.Member] = []
        while position < lines.count, lines[position].indent == indent {
            let line = lines[position]
            if line.text == "-" || line.text.hasPrefix("- ") { break }
            guard let (key, rest) = try Self.key(line.text, line.number) else {
                throw YAMLError(line: line.number, reason: "there is no \"key:\"")
            }
            guard key != "<<", !members.contains(where: { $0.key == key }) else {
                throw YAMLError(line: line.number, reason: "the key \(key) is repeated or special")
            }
            position += 1
            let value: YAMLValue
            if rest.isEmpty {
                // A sequence may stand at its key's own indentation.
                let isDashed =
                    position < lines.count && lines[position].indent == indent
                    && (lines[position].text == "-" || lines[position].text.hasPrefix("- "))
                value =
                    isDashed
                    ? try block(indent: indent, depth: depth + 1)
                    : try nested(deeperThan: indent, depth: depth)
            } else if Self.isBlockHeader(rest) {
                value = try blockScalar(rest, line, parent: indent)
            } else {
                value = try inline(rest, line, depth: depth + 1)
            }
            members.append(.init(key: key, value: value))
        }
        try requireEnd(indent)
        return .mapping(members)
    }

    private mutating func nested(deeperThan indent: Int, depth: Int) throws(YAMLError) -> YAMLValue
    {
        guard position < lines.count, lines[position].indent > indent else { return .null }
        return try block(indent: lines[position].indent, depth: depth + 1)
    }

    private func requireEnd(_ indent: Int) throws(YAMLError) {
        if position < lines.count, lines[position].indent > indent {
            throw YAMLError(line: lines[position].number, reason: "unexpected indentation")
        }
    }

    // MARK: Scalars

    private static func isBlockHeader(_ text: Substring) -> Bool {
        guard let first = text.first, first == "|" || first == ">" else { return false }
        return text.dropFirst().allSatisfy { "+-".contains($0) }
    }

    private mutating func blockScalar(
        _ header: Substring, _ line: Line, parent: Int
    ) throws(YAMLError) -> YAMLValue {
        try count(line.number, 0)
        var body: [Substring] = []
        var indent: Int?
        for text in raw[line.number...] {
            let own = text.utf8.prefix { $0 == 0x20 }.count
            if own == text.utf8.count {
                body.append("")
                continue
            }
            if own <= parent { break }
            let base = indent ?? own
            indent = base
            guard own >= base else { break }
            body.append(text.dropFirst(base))
        }
        while body.last == "" { body.removeLast() }
        var result = body.joined(separator: header.first == ">" ? " " : "\n")
        if !header.contains("-"), !body.isEmpty { result += "\n" }
        return .scalar(result)
    }

    /// A value on one line: quoted, plain or flow. Flow values and quoted texts may go on over lines.
    private mutating func inline(
        _ text: Substring, _ line: Line, depth: Int
    ) throws(YAMLError) -> YAMLValue {
        var whole = String(text)
        while true {
            var flow = YAMLFlow(whole, line: line.number)
            let value = try flow.value(depth: depth, isTop: true)
            if let value {
                try flow.end()
                valueCount += flow.valueCount
                try count(line.number, depth)
                return value
            }
            // Unfinished: it goes on in the next line.
            guard position < lines.count, whole.utf8.count <= Self.byteLimit else {
                throw YAMLError(line: line.number, reason: "the value does not end")
            }
            whole += " " + lines[position].text
            position += 1
        }
    }

    /// Splits `key: rest`; `nil` if the line is no such thing.
    private static func key(
        _ text: Substring, _ line: Int
    ) throws(YAMLError) -> (String, Substring)? {
        if let quote = text.first, quote == "\"" || quote == "'" {
            var flow = YAMLFlow(String(text), line: line)
            guard case .scalar(let key)? = try flow.value(depth: 0, isTop: false) else {
                return nil
            }
            let rest = trimmed(Substring(flow.remainder))
            guard rest == ":" || rest.hasPrefix(": ") else { return nil }
            return (key, trimmed(Substring(rest.dropFirst())))
        }
        var index = text.startIndex
        while let colon = text[index...].firstIndex(of: ":") {
            let next = text.index(after: colon)
            if next == text.endIndex || text[next] == " " || text[next] == "\t" {
                return (String(trimmed(text[..<colon])), trimmed(text[next...]))
            }
            index = next
        }
        return nil
    }
}
