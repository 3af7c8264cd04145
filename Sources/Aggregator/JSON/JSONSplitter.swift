/// Cuts JSON that arrives in pieces of any size into whole values, so that `JSONScanner` can read
/// each from memory: the elements of a list's `items`, or the documents of a watch.
///
///     in envelope ──"items":[──> between items ──{──> in an item ──}──> between items ──]──> in envelope
///
/// It only balances brackets outside strings; what it hands out is not checked otherwise, and
/// wrong brackets come out as an item that the scanner then rejects. Memory is bounded: an item that spans
/// pieces and the envelope (everything but the items) are kept up to a limit each, whole items
/// inside a piece are not copied.
struct JSONSplitter: ~Copyable {
    enum Mode: Sendable {
        /// The elements of the array `items` of the outermost object; each must be an object.
        case items
        /// Objects that follow each other with white space between, as a watch sends them.
        case documents
    }

    /// One whole value. Its bytes are valid until the next call of the splitter.
    struct Item {
        let bytes: UnsafeRawBufferPointer
        /// Of its first byte in the whole text.
        let offset: Int
    }

    private enum State {
        case envelope
        case beforeFirstItem
        case beforeItem
        case afterItem
        case item
    }

    private let mode: Mode
    private let itemLimit: Int
    private let envelopeLimit: Int
    private var state: State
    /// Brackets open in the envelope or in the item.
    private var depth = 0
    private var isInString = false
    /// Whether the byte before was a backslash in a string.
    private var isAfterBackslash = false
    /// Bytes of earlier pieces, and of this one up to where the current call begins.
    private var consumed = 0
    private var itemOffset = 0
    private var partialItem = GrowingBytes()
    private var envelopeBytes = GrowingBytes()
    private var sawItems = false

    /// Limits in bytes. An object in etcd is at most 1.5 MiB by default.
    init(_ mode: Mode, itemLimit: Int = 8 << 20, envelopeLimit: Int = 1 << 20) {
        self.mode = mode
        self.itemLimit = itemLimit
        self.envelopeLimit = envelopeLimit
        state = mode == .items ? .envelope : .beforeFirstItem
    }

    /// The next item that ends in `piece` at or after `index`, which moves behind it; `nil` when the
    /// piece is used up: the rest of an unfinished item is kept and the next piece continues it.
    mutating func next(
        in piece: UnsafeRawBufferPointer, at index: inout Int
    ) throws(JSONError) -> Item? {
        if state == .afterItem || state == .beforeFirstItem { partialItem.removeAll() }
        while index < piece.count {
            switch state {
            case .envelope:
                try readEnvelope(piece, &index)
            case .beforeFirstItem, .beforeItem, .afterItem:
                try readSeparator(piece, &index)
            case .item:
                if let item = try readItem(piece, &index) { return item }
            }
        }
        consumed &+= piece.count
        return nil
    }

    /// To be called behind the last piece. The envelope, with the items left out: `{…,"items":[],…}`;
    /// empty for documents. Valid until the splitter goes.
    mutating func finish() throws(JSONError) -> UnsafeRawBufferPointer {
        switch mode {
        case .items:
            guard state == .envelope, depth == 0, !isInString else {
                throw .truncated(offset: consumed)
            }
        case .documents:
            guard state != .item else { throw .truncated(offset: consumed) }
        }
        return envelopeBytes.bytes
    }

    // MARK: Envelope

    private mutating func readEnvelope(
        _ piece: UnsafeRawBufferPointer, _ index: inout Int
    ) throws(JSONError) {
        var start = index
        while index < piece.count {
            let bracket = scanBrackets(piece, &index)
            guard bracket == UInt8(ascii: "["), depth == 2, !sawItems else { continue }
            try keepEnvelope(piece, start, index)
            start = index
            if envelopeEndsWithItemsKey() {
                sawItems = true
                state = .beforeFirstItem
                partialItem.removeAll()
                return
            }
        }
        try keepEnvelope(piece, start, index)
    }

    /// Whether the bracket at the envelope's end opens the value of the outermost object's key `items`.
    /// Looks backwards: outside strings `"items"` behind a brace or comma can only be a key.
    private func envelopeEndsWithItemsKey() -> Bool {
        var rest = envelopeBytes.bytes.dropLast()
        func trim() {
            while let last = rest.last, last <= 0x20 { rest.removeLast() }
        }
        trim()
        guard rest.popLast() == UInt8(ascii: ":") else { return false }
        trim()
        for expected in "\"items\"".utf8.reversed() where rest.popLast() != expected {
            return false
        }
        trim()
        return rest.last == UInt8(ascii: "{") || rest.last == UInt8(ascii: ",")
    }

    private mutating func keepEnvelope(
        _ piece: UnsafeRawBufferPointer, _ start: Int, _ end: Int
    ) throws(JSONError) {
        envelopeBytes.append(UnsafeRawBufferPointer(rebasing: piece[start..<end]))
        guard envelopeBytes.count <= envelopeLimit else {
            throw .tooLarge(
                what: "the list around its items", limit: envelopeLimit, offset: consumed &+ start)
        }
    }

    // MARK: Items

    /// Reads white space and commas between items up to an item's brace or the closing bracket.
    private mutating func readSeparator(
        _ piece: UnsafeRawBufferPointer, _ index: inout Int
    ) throws(JSONError) {
        while index < piece.count {
            let byte = piece[index]
            switch byte {
            case 0x20, 0x0A, 0x0D, 0x09:
                index &+= 1
            case UInt8(ascii: "{") where state != .afterItem || mode == .documents:
                state = .item
                itemOffset = consumed &+ index
                depth = 0
                return
            case UInt8(ascii: ",") where state == .afterItem && mode == .items:
                index &+= 1
                state = .beforeItem
            case UInt8(ascii: "]") where state != .beforeItem && mode == .items:
                // The envelope goes on with this bracket.
                state = .envelope
                depth = 2
                return
            default:
                throw .unexpected(
                    byte: byte,
                    expected: state == .afterItem && mode == .items
                        ? .commaOrClosingBracket : .object,
                    offset: consumed &+ index)
            }
        }
    }

    private mutating func readItem(
        _ piece: UnsafeRawBufferPointer, _ index: inout Int
    ) throws(JSONError) -> Item? {
        let start = index
        while index < piece.count {
            guard scanBrackets(piece, &index) != nil, depth == 0 else { continue }
            let tail = UnsafeRawBufferPointer(rebasing: piece[start..<index])
            state = .afterItem
            guard partialItem.count > 0 else {
                try checkItemSize(tail.count)
                return Item(bytes: tail, offset: itemOffset)
            }
            try checkItemSize(partialItem.count &+ tail.count)
            partialItem.append(tail)
            return Item(bytes: partialItem.bytes, offset: itemOffset)
        }
        try checkItemSize(partialItem.count &+ index &- start)
        partialItem.append(UnsafeRawBufferPointer(rebasing: piece[start..<index]))
        return nil
    }

    private func checkItemSize(_ byteCount: Int) throws(JSONError) {
        guard byteCount <= itemLimit else {
            throw .tooLarge(what: "an object", limit: itemLimit, offset: itemOffset)
        }
    }

    // MARK: Brackets

    /// Reads up to and with the next bracket outside strings, which it returns and counts in
    /// `depth`; `nil` at the piece's end.
    @inline(__always)
    private mutating func scanBrackets(
        _ piece: UnsafeRawBufferPointer, _ index: inout Int
    ) -> UInt8? {
        var position = index
        defer { index = position }
        while position < piece.count {
            if isInString {
                if isAfterBackslash {
                    isAfterBackslash = false
                    position &+= 1
                    continue
                }
                position = piece.firstQuoteOrBackslash(from: position)
                guard position < piece.count else { return nil }
                if piece[position] == UInt8(ascii: "\"") {
                    isInString = false
                } else {
                    isAfterBackslash = true
                }
                position &+= 1
                continue
            }
            let byte = piece[position]
            position &+= 1
            switch byte {
            case UInt8(ascii: "\""):
                isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth &+= 1
                return byte
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth &-= 1
                return byte
            default:
                break
            }
        }
        return nil
    }
}

/// Bytes that grow at the end and stay where they are until they grow again.
private struct GrowingBytes: ~Copyable {
    private var memory = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    private(set) var count = 0

    /// Valid until the next `append`.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    /// Memory is kept for the next use.
    mutating func removeAll() { count = 0 }

    mutating func append(_ new: UnsafeRawBufferPointer) {
        guard !new.isEmpty else { return }
        if count + new.count > memory.count {
            let larger = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(4_096, 2 * (count + new.count)), alignment: 8)
            larger.copyMemory(from: bytes)
            memory.deallocate()
            memory = larger
        }
        UnsafeMutableRawBufferPointer(rebasing: memory[count...]).copyMemory(from: new)
        count += new.count
    }

    deinit { memory.deallocate() }
}
