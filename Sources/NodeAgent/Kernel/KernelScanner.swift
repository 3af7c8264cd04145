import Glibc
import Wire

/// The bytes of one kernel file, valid only until the next read into the same buffer.
typealias KernelText = UnsafeBufferPointer<UInt8>

extension KernelText {
    /// Tells texts apart: the same bytes have the same digest, others all but never (FNV-1a).
    @inline(__always)
    var digest: UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in self { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        return hash
    }
}

/// Walks over the bytes of a kernel file. Allocates nothing and never reads past the end, so that
/// no parser needs bounds of its own.
struct KernelScanner {
    private let start: UnsafePointer<UInt8>
    private(set) var cursor: UnsafePointer<UInt8>
    private let end: UnsafePointer<UInt8>

    /// - Throws: `truncated` for no bytes at all: every file that is parsed has at least a line.
    @inline(__always)
    init(_ text: KernelText) throws(KernelTextError) {
        guard let base = text.baseAddress, !text.isEmpty else { throw .truncated(offset: 0) }
        self.init(base, text.count)
    }

    @inline(__always)
    init(_ base: UnsafePointer<UInt8>, _ byteCount: Int) {
        start = base
        cursor = base
        end = base + byteCount
    }

    /// Bytes from the start of the file to the cursor.
    var offset: Int { cursor - start }
    var isAtEnd: Bool { cursor >= end }
    /// Bytes from the cursor to the end of the file.
    var remainingByteCount: Int { end - cursor }
    /// The byte under the cursor; `nil` at the end.
    var next: UInt8? { cursor < end ? cursor.pointee : nil }

    @inline(__always)
    mutating func advance(_ byteCount: Int) {
        cursor += min(byteCount, end - cursor)
    }

    /// Skips spaces and tabs.
    @inline(__always)
    mutating func skipBlanks() {
        while cursor < end, cursor.pointee == Ascii.space || cursor.pointee == Ascii.tab {
            cursor += 1
        }
    }

    /// A decimal number without a sign. A number above `Int64.max`, which the kernel only prints
    /// for "no limit" and for counters gone wrong, becomes `Int64.max`.
    ///
    /// - Throws: `malformed` where there is no digit or there are more than twenty.
    @inline(__always)
    mutating func decimal() throws(KernelTextError) -> Int64 {
        var value: UInt64 = 0
        let first = cursor
        while cursor < end {
            let digit = cursor.pointee &- Ascii.zero
            if digit > 9 { break }
            value = value &* 10 &+ UInt64(digit)
            cursor += 1
        }
        let digitCount = cursor - first
        if digitCount - 1 < 18 && digitCount > 0 { return Int64(bitPattern: value) }
        guard digitCount > 0, digitCount <= 20 else {
            throw cursor >= end
                ? .truncated(offset: offset) : .malformed(what: "number", offset: offset)
        }
        // Nineteen digits fit 64 bits without a sign; twenty are more than Int64 in any case.
        if digitCount == 20 { return Int64.max }
        return Int64(clamping: value)
    }

    /// The next number of a table: blanks, then a decimal number, then a blank or the line's end.
    @inline(__always)
    mutating func column() throws(KernelTextError) -> Int64 {
        guard next == Ascii.space || next == Ascii.tab else {
            throw isAtEnd
                ? .truncated(offset: offset) : .malformed(what: "column", offset: offset)
        }
        return try firstColumn()
    }

    /// The same where no blank need come before.
    @inline(__always)
    mutating func firstColumn() throws(KernelTextError) -> Int64 {
        skipBlanks()
        let value = try decimal()
        guard cursor < end else { throw .truncated(offset: offset) }
        switch cursor.pointee {
        case Ascii.space, Ascii.tab, Ascii.newline: return value
        default: throw .malformed(what: "column", offset: offset)
        }
    }

    /// A decimal number that may have a minus sign: `-1` in cpu.cfs_quota_us.
    mutating func signedDecimal() throws(KernelTextError) -> Int64 {
        guard next == Ascii.minus else { return try decimal() }
        cursor += 1
        return -(try decimal())
    }

    /// A decimal fraction in thousandths: `13.85` is 13,850. Digits beyond the third are dropped.
    mutating func thousandths() throws(KernelTextError) -> Int64 {
        let whole = try decimal()
        var fraction: Int64 = 0
        var scale: Int64 = 1_000
        if next == Ascii.point {
            cursor += 1
            while let byte = next, byte &- Ascii.zero <= 9 {
                if scale > 1 {
                    scale /= 10
                    fraction += Int64(byte &- Ascii.zero) * scale
                }
                cursor += 1
            }
        }
        let (thousands, overflow) = whole.multipliedReportingOverflow(by: 1_000)
        guard !overflow, thousands <= Int64.max - fraction else {
            throw .malformed(what: "number", offset: offset)
        }
        return thousands + fraction
    }

    /// One byte that must be there.
    @inline(__always)
    mutating func expect(_ byte: UInt8, _ what: StaticText) throws(KernelTextError) {
        guard cursor < end else { throw .truncated(offset: offset) }
        guard cursor.pointee == byte else { throw .malformed(what: what, offset: offset) }
        cursor += 1
    }

    /// The end of a line, and nothing else before it.
    @inline(__always)
    mutating func expectNewline() throws(KernelTextError) {
        guard cursor < end else { throw .truncated(offset: offset) }
        guard cursor.pointee == Ascii.newline else {
            throw .malformed(what: "end of line", offset: offset)
        }
        cursor += 1
    }

    /// Everything up to and including the end of the line.
    @inline(__always)
    mutating func skipLine() throws(KernelTextError) {
        while cursor < end {
            let byte = cursor.pointee
            cursor += 1
            if byte == Ascii.newline { return }
        }
        throw .truncated(offset: offset)
    }

    /// The bytes up to the next blank, end of line or end of file; may be none.
    @inline(__always)
    mutating func word() -> KernelText {
        let first = cursor
        while cursor < end, cursor.pointee > Ascii.space { cursor += 1 }
        return KernelText(start: first, count: cursor - first)
    }

    /// The bytes up to `stop`, which is not consumed; stops at a line's end as well.
    mutating func word(until stop: UInt8) -> KernelText {
        let first = cursor
        while cursor < end, cursor.pointee != stop, cursor.pointee != Ascii.newline { cursor += 1 }
        return KernelText(start: first, count: cursor - first)
    }

    /// Consumes the literal where it comes next.
    @inline(__always)
    mutating func consume(_ literal: StaticString) -> Bool {
        let byteCount = literal.utf8CodeUnitCount
        guard end - cursor >= byteCount, memcmp(cursor, literal.utf8Start, byteCount) == 0 else {
            return false
        }
        cursor += byteCount
        return true
    }
}

/// The bytes that kernel files are made of.
enum Ascii {
    static let tab: UInt8 = 9
    static let newline: UInt8 = 10
    static let space: UInt8 = 32
    static let comma: UInt8 = 44
    static let minus: UInt8 = 45
    static let point: UInt8 = 46
    static let slash: UInt8 = 47
    static let zero: UInt8 = 48
    static let colon: UInt8 = 58
    static let equals: UInt8 = 61
    static let backslash: UInt8 = 92
}

extension KernelText {
    /// Whether these are exactly the literal's bytes.
    @inline(__always)
    func equals(_ literal: StaticString) -> Bool {
        guard count == literal.utf8CodeUnitCount, let baseAddress else { return false }
        return memcmp(baseAddress, literal.utf8Start, count) == 0
    }

    /// Whether these begin with the literal's bytes.
    func hasPrefix(_ literal: StaticString) -> Bool {
        guard count >= literal.utf8CodeUnitCount, let baseAddress else { return false }
        return memcmp(baseAddress, literal.utf8Start, literal.utf8CodeUnitCount) == 0
    }

    /// A copy as text; bytes that are not UTF-8 become the replacement character.
    var string: String { String(decoding: self, as: UTF8.self) }
}
