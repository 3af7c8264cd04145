import Glibc

/// Reads a flat keyed file (`memory.stat`, `cpu.stat`, `/proc/vmstat`, `/proc/meminfo`): one
/// `key value` per line, of which some keys are wanted.
///
/// Source: <https://docs.kernel.org/admin-guide/cgroup-v2.html#format>; `/proc/meminfo` differs by a
/// colon that belongs to the key, more blanks and a ` kB` after some values. Unknown keys are
/// skipped, because every kernel release adds some.
///
/// The order of the lines never changes while a kernel runs, so the reader remembers which line
/// holds which key: a wanted line's key is compared, other lines are only skipped. A file that
/// does not fit what is remembered is read by comparing keys, and remembered from then on.
struct FlatKeyedFile {
    /// The wanted keys; a key's index is its value's index.
    let keys: [StaticString]
    private var lines: [Line] = []

    private struct Line {
        /// Index of the wanted key; -1 for a line that is skipped.
        var key: Int16
        var keyByteCount: Int16
    }

    /// A file's keys that were found, one bit each.
    typealias Found = UInt64

    init(keys: [StaticString]) {
        precondition(keys.count <= 64, "a bit per key: \(keys.count)")
        self.keys = keys
    }

    /// Writes the value of every wanted key to `values` at the key's index and says which there
    /// were; the others are left alone. Allocates only when the order of lines is new.
    ///
    /// - Throws: `truncated` or `malformed` with the offset of the first line that is no
    ///   `key value`, the cut-off last line of a file included.
    mutating func parse(
        _ text: KernelText, into values: UnsafeMutablePointer<Int64>
    ) throws(KernelTextError) -> Found {
        if let found = try parseRemembered(text, into: values) { return found }
        return try parseByKey(text, into: values)
    }

    /// - Returns: `nil` where the file does not have the remembered lines.
    private func parseRemembered(
        _ text: KernelText, into values: UnsafeMutablePointer<Int64>
    ) throws(KernelTextError) -> Found? {
        guard !lines.isEmpty else { return nil }
        var scanner = try KernelScanner(text)
        var found: Found = 0
        for line in lines {
            let keyByteCount = Int(line.keyByteCount)
            guard scanner.remainingByteCount > keyByteCount,
                scanner.cursor[keyByteCount] == Ascii.space
            else { return nil }
            if line.key >= 0 {
                guard memcmp(scanner.cursor, keys[Int(line.key)].utf8Start, keyByteCount) == 0
                else { return nil }
                scanner.advance(keyByteCount + 1)
                values[Int(line.key)] = try Self.value(&scanner)
                found |= 1 << Found(line.key)
            } else {
                scanner.advance(keyByteCount + 1)
                try scanner.skipLine()
            }
        }
        return scanner.isAtEnd ? found : nil
    }

    private mutating func parseByKey(
        _ text: KernelText, into values: UnsafeMutablePointer<Int64>
    ) throws(KernelTextError) -> Found {
        var scanner = try KernelScanner(text)
        var found: Found = 0
        var seen: [Line] = []
        while !scanner.isAtEnd {
            let key = scanner.word()
            guard !key.isEmpty, key.count < Int(Int16.max) else {
                throw .malformed(what: "key", offset: scanner.offset)
            }
            try scanner.expect(Ascii.space, "key")
            let index = keys.firstIndex { key.equals($0) }
            seen.append(Line(key: Int16(index ?? -1), keyByteCount: Int16(key.count)))
            let value = try Self.value(&scanner)
            if let index {
                values[index] = value
                found |= 1 << Found(index)
            }
        }
        lines = seen
        return found
    }

    /// A value with the blanks before it and what may follow it up to the end of the line.
    @inline(__always)
    private static func value(_ scanner: inout KernelScanner) throws(KernelTextError) -> Int64 {
        scanner.skipBlanks()
        let value = try scanner.decimal()
        if scanner.next == Ascii.space, !scanner.consume(" kB") {
            throw .malformed(what: "unit", offset: scanner.offset)
        }
        try scanner.expectNewline()
        return value
    }
}
