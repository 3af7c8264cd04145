/// Reads one JSON document from front to back, strictly by RFC 8259, without making values of it.
///
/// A pull scanner: the caller walks objects and arrays, takes the values it wants and skips the
/// rest. Never reads outside the bytes, never traps, does not recurse; depth is limited. Strings must
/// be UTF-8. Repeated keys are passed on as they come. Skipping checks as strictly as reading does.
///
///     try json.beginObject()
///     while let key = try json.nextKey() {
///         switch key {
///         case "name": name = try json.string().string
///         default: try json.skip()
///         }
///     }
///
/// A caller that leaves a value unread gets `unexpected` from its next call. For text in pieces see
/// `JSONSplitter`.
struct JSONScanner {
    /// Objects of Kubernetes reach about 20 levels (managed fields).
    static let depthLimit = 128

    let bytes: UnsafeRawBufferPointer
    /// Of the next byte that was not read.
    private(set) var position = 0
    /// What is added to the offsets of errors: where these bytes stand in a larger document.
    let baseOffset: Int
    private var depth = 0
    /// Whether the innermost object or array was just entered.
    private var isFirst = false

    /// The bytes must outlive the scanner.
    init(_ bytes: UnsafeRawBufferPointer, baseOffset: Int = 0) {
        self.bytes = bytes
        self.baseOffset = baseOffset
    }

    // MARK: Containers

    mutating func beginObject() throws(JSONError) {
        try begin(UInt8(ascii: "{"), .object)
    }

    mutating func beginArray() throws(JSONError) {
        try begin(UInt8(ascii: "["), .array)
    }

    /// The next key of the object that was entered last; `nil` at its end.
    mutating func nextKey() throws(JSONError) -> JSONText? {
        var next = try significantByte()
        let wasFirst = isFirst
        isFirst = false
        if next == UInt8(ascii: "}") {
            leave()
            return nil
        }
        if !wasFirst {
            guard next == UInt8(ascii: ",") else { throw unexpected(next, .commaOrClosingBrace) }
            position &+= 1
            next = try significantByte()
        }
        guard next == UInt8(ascii: "\"") else { throw unexpected(next, .key) }
        let key = try scanString()
        try colon()
        return key
    }

    /// Whether the array that was entered last has another element; leaves it if not.
    mutating func nextElement() throws(JSONError) -> Bool {
        let next = try significantByte()
        let wasFirst = isFirst
        isFirst = false
        if next == UInt8(ascii: "]") {
            leave()
            return false
        }
        if wasFirst { return true }
        guard next == UInt8(ascii: ",") else { throw unexpected(next, .commaOrClosingBracket) }
        position &+= 1
        // A closing bracket here is a trailing comma: the value's reader reports it.
        return true
    }

    /// Throws unless only white space follows.
    mutating func end() throws(JSONError) {
        skipWhitespace()
        guard position >= bytes.count else { throw unexpected(bytes[position], .endOfDocument) }
    }

    // MARK: Values

    mutating func string() throws(JSONError) -> JSONText {
        let next = try significantByte()
        guard next == UInt8(ascii: "\"") else { throw unexpected(next, .string) }
        return try scanString()
    }

    mutating func number() throws(JSONError) -> JSONNumber {
        let next = try significantByte()
        guard next == UInt8(ascii: "-") || next &- UInt8(ascii: "0") < 10 else {
            throw unexpected(next, .number)
        }
        let start = position
        try scanNumber()
        return JSONNumber(raw: UnsafeRawBufferPointer(rebasing: bytes[start..<position]))
    }

    mutating func integer() throws(JSONError) -> Int64 {
        let next = try significantByte()
        let start = position
        guard let value = try number().int64 else {
            throw .unexpected(byte: next, expected: .integer, offset: baseOffset &+ start)
        }
        return value
    }

    mutating func boolean() throws(JSONError) -> Bool {
        let next = try significantByte()
        guard next == UInt8(ascii: "t") || next == UInt8(ascii: "f") else {
            throw unexpected(next, .boolean)
        }
        try scanLiteral(next)
        return next == UInt8(ascii: "t")
    }

    /// Reads a `null` if there is one. Go's `nil` slices and maps are written so.
    mutating func takeNull() throws(JSONError) -> Bool {
        guard try significantByte() == UInt8(ascii: "n") else { return false }
        try scanLiteral(UInt8(ascii: "n"))
        return true
    }

    /// The first byte of the next value, not read: tells its type.
    mutating func peek() throws(JSONError) -> UInt8 { try significantByte() }

    /// Reads over the next value, whatever it is, and checks it.
    mutating func skip() throws(JSONError) {
        // One bit for each level that was entered here, the innermost lowest: an object or not.
        var objects: UInt128 = 0
        var level = 0
        var next = try significantByte()
        while true {
            var isComplete = true
            switch next {
            case UInt8(ascii: "\""):
                _ = try scanString()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard depth &+ level < Self.depthLimit else { throw tooDeep() }
                position &+= 1
                level &+= 1
                objects = objects << 1 | (next == UInt8(ascii: "{") ? 1 : 0)
                isComplete = try isEmptyContainer(closing: next &+ 2)
                if isComplete {
                    objects >>= 1
                    level &-= 1
                }
            case UInt8(ascii: "t"), UInt8(ascii: "f"), UInt8(ascii: "n"):
                try scanLiteral(next)
            default:
                guard next == UInt8(ascii: "-") || next &- UInt8(ascii: "0") < 10 else {
                    throw unexpected(next, .value)
                }
                try scanNumber()
            }
            if isComplete { try closeContainers(&objects, &level) }
            if level == 0 { return }
            if objects & 1 == 1 { try keyAndColon() }
            next = try significantByte()
        }
    }

    /// After a value: reads closing brackets and the comma before the next value.
    @inline(__always)
    private mutating func closeContainers(
        _ objects: inout UInt128, _ level: inout Int
    ) throws(JSONError) {
        while level > 0 {
            let next = try significantByte()
            let isObject = objects & 1 == 1
            if next == UInt8(ascii: ",") {
                position &+= 1
                return
            }
            guard next == (isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")) else {
                throw unexpected(next, isObject ? .commaOrClosingBrace : .commaOrClosingBracket)
            }
            position &+= 1
            objects >>= 1
            level &-= 1
        }
    }

    @inline(__always)
    private mutating func isEmptyContainer(closing: UInt8) throws(JSONError) -> Bool {
        guard try significantByte() == closing else { return false }
        position &+= 1
        return true
    }

    @inline(__always)
    private mutating func keyAndColon() throws(JSONError) {
        let next = try significantByte()
        guard next == UInt8(ascii: "\"") else { throw unexpected(next, .key) }
        _ = try scanString()
        try colon()
    }

    // MARK: Tokens

    private mutating func begin(
        _ opening: UInt8, _ expectation: JSONError.Expectation
    ) throws(JSONError) {
        let next = try significantByte()
        guard next == opening else { throw unexpected(next, expectation) }
        guard depth < Self.depthLimit else { throw tooDeep() }
        position &+= 1
        depth &+= 1
        isFirst = true
    }

    private mutating func leave() {
        position &+= 1
        depth &-= 1
    }

    @inline(__always)
    private mutating func colon() throws(JSONError) {
        let next = try significantByte()
        guard next == UInt8(ascii: ":") else { throw unexpected(next, .colon) }
        position &+= 1
    }

    /// The next byte that is not white space, not read.
    @inline(__always)
    private mutating func significantByte() throws(JSONError) -> UInt8 {
        if position < bytes.count, bytes[position] > 0x20 { return bytes[position] }
        skipWhitespace()
        guard position < bytes.count else { throw truncated() }
        return bytes[position]
    }

    private mutating func skipWhitespace() {
        var index = position
        while index < bytes.count {
            switch bytes[index] {
            case 0x20:
                index &+= 1
                // Indented text: eight at once.
                while index &+ 8 <= bytes.count,
                    bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                        == 0x2020_2020_2020_2020
                {
                    index &+= 8
                }
            case 0x0A, 0x0D, 0x09: index &+= 1
            default:
                position = index
                return
            }
        }
        position = index
    }

    /// At the opening quote. Leaves the position behind the closing one.
    @inline(__always)
    private mutating func scanString() throws(JSONError) -> JSONText {
        let start = position &+ 1
        let index = bytes.firstStringDelimiter(from: start)
        if index < bytes.count, bytes[index] == UInt8(ascii: "\"") {
            position = index &+ 1
            return JSONText(
                raw: UnsafeRawBufferPointer(rebasing: bytes[start..<index]), isEscaped: false)
        }
        return try scanDifficultString(start: start, from: index)
    }

    @inline(never)
    private mutating func scanDifficultString(
        start: Int, from first: Int
    ) throws(JSONError) -> JSONText {
        var index = first
        var isEscaped = false
        while index < bytes.count {
            switch bytes[index] {
            case UInt8(ascii: "\""):
                position = index &+ 1
                return JSONText(
                    raw: UnsafeRawBufferPointer(rebasing: bytes[start..<index]),
                    isEscaped: isEscaped)
            case UInt8(ascii: "\\"):
                isEscaped = true
                index = try endOfEscape(at: index)
            case 0..<0x20:
                throw .controlCharacter(offset: baseOffset &+ index)
            default:
                guard let next = bytes.endOfMultiByteScalar(at: index) else {
                    if bytes.count &- index < 4 { try truncatedIfIncomplete(at: index) }
                    throw .invalidUTF8(offset: baseOffset &+ index)
                }
                index = next
            }
            index = bytes.firstStringDelimiter(from: index)
        }
        position = bytes.count
        throw truncated()
    }

    /// Text cut inside a character is truncated, not wrong: the same as a cut anywhere else.
    private func truncatedIfIncomplete(at index: Int) throws(JSONError) {
        if bytes[index..<bytes.count].dropFirst().allSatisfy({ $0 & 0xC0 == 0x80 }),
            bytes[index] >= 0xC2, bytes[index] <= 0xF4
        {
            throw .truncated(offset: baseOffset &+ bytes.count)
        }
    }

    private func endOfEscape(at index: Int) throws(JSONError) -> Int {
        guard index &+ 1 < bytes.count else {
            throw .truncated(offset: baseOffset &+ bytes.count)
        }
        switch bytes[index &+ 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
            UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return index &+ 2
        case UInt8(ascii: "u"):
            for position in index &+ 2..<index &+ 6 {
                guard position < bytes.count else {
                    throw .truncated(offset: baseOffset &+ bytes.count)
                }
                guard bytes[position].isHexadecimalDigit else {
                    throw .unexpected(
                        byte: bytes[position], expected: .hexadecimalDigit,
                        offset: baseOffset &+ position)
                }
            }
            return index &+ 6
        case let other:
            throw .unexpected(byte: other, expected: .escape, offset: baseOffset &+ index &+ 1)
        }
    }

    /// At the minus sign or first digit. Leaves the position behind the number.
    @inline(__always)
    private mutating func scanNumber() throws(JSONError) {
        if bytes[position] == UInt8(ascii: "-") { position &+= 1 }
        if position < bytes.count, bytes[position] == UInt8(ascii: "0") {
            position &+= 1
        } else {
            try digits()
        }
        if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
            position &+= 1
            try digits()
        }
        guard position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") else { return }
        position &+= 1
        if position < bytes.count,
            bytes[position] == UInt8(ascii: "-") || bytes[position] == UInt8(ascii: "+")
        {
            position &+= 1
        }
        try digits()
    }

    private mutating func digits() throws(JSONError) {
        guard position < bytes.count else { throw truncated() }
        guard bytes[position] &- UInt8(ascii: "0") < 10 else {
            throw unexpected(bytes[position], .digit)
        }
        repeat {
            position &+= 1
        } while position < bytes.count
            && bytes[position] &- UInt8(ascii: "0") < 10
    }

    private mutating func scanLiteral(_ first: UInt8) throws(JSONError) {
        let literal: StaticString =
            switch first {
            case UInt8(ascii: "t"): "true"
            case UInt8(ascii: "f"): "false"
            default: "null"
            }
        for index in 0..<literal.utf8CodeUnitCount {
            guard position < bytes.count else { throw truncated() }
            guard bytes[position] == literal.utf8Start[index] else {
                throw unexpected(bytes[position], .literal)
            }
            position &+= 1
        }
    }

    // MARK: Errors

    private func unexpected(_ byte: UInt8, _ expected: JSONError.Expectation) -> JSONError {
        .unexpected(byte: byte, expected: expected, offset: baseOffset &+ position)
    }

    private func truncated() -> JSONError { .truncated(offset: baseOffset &+ bytes.count) }

    private func tooDeep() -> JSONError {
        .tooDeep(limit: Self.depthLimit, offset: baseOffset &+ position)
    }
}
