/// Pressure stall information: how long tasks waited for a resource, since boot.
///
/// Source: `/proc/pressure/*` and a v2 cgroup's `cpu.pressure`, `memory.pressure`, `io.pressure`,
/// <https://docs.kernel.org/accounting/psi.html>. The averages are not read: rates of the totals
/// say the same over any window.
struct PressureStall: Equatable, Sendable {
    /// Some task waited. Counter.
    var someNanoseconds: Int64
    /// Every task waited. Counter; 0 where the kernel prints no such line (cpu before 5.13).
    var fullNanoseconds: Int64

    /// - Throws: `missing` without the `some` line.
    init(parsing text: KernelText) throws(KernelTextError) {
        var scanner = try KernelScanner(text)
        guard scanner.consume("some ") else { throw .missing("some") }
        someNanoseconds = try Self.total(&scanner) &* 1_000
        fullNanoseconds = 0
        if scanner.isAtEnd { return }
        guard scanner.consume("full ") else {
            throw .malformed(what: "pressure line", offset: scanner.offset)
        }
        fullNanoseconds = try Self.total(&scanner) &* 1_000
    }

    /// The last field of a line: `total=601051711`.
    @inline(__always)
    private static func total(_ scanner: inout KernelScanner) throws(KernelTextError) -> Int64 {
        // avg10, avg60 and avg300 come first; `total=` is the only field that begins with a t.
        while let byte = scanner.next, byte != UInt8(ascii: "t"), byte != Ascii.newline {
            scanner.advance(1)
        }
        guard scanner.consume("total=") else {
            throw scanner.remainingByteCount < 6
                ? .truncated(offset: scanner.offset)
                : .malformed(what: "pressure total", offset: scanner.offset)
        }
        let total = try scanner.decimal()
        try scanner.expectNewline()
        return total
    }
}
