/// A file that holds one number and nothing else: `memory.current`, `cpuacct.usage`, `pids.max`.
enum SingleValue {
    /// A number without a limit's meaning.
    @inline(__always)
    static func parse(_ text: KernelText) throws(KernelTextError) -> Int64 {
        var scanner = try KernelScanner(text)
        let value = try scanner.signedDecimal()
        try scanner.expectNewline()
        guard scanner.isAtEnd else { throw .malformed(what: "number", offset: scanner.offset) }
        return value
    }

    /// A limit: -1 for none, which is `max` in cgroup v2 and a number near 2^63 in v1's memory
    /// files (`PAGE_COUNTER_MAX` pages).
    static func parseLimit(_ text: KernelText) throws(KernelTextError) -> Int64 {
        var scanner = try KernelScanner(text)
        if scanner.consume("max\n") {
            guard scanner.isAtEnd else { throw .malformed(what: "limit", offset: scanner.offset) }
            return -1
        }
        let value = try parse(text)
        return value < 0 || value > 1 << 62 ? -1 : value
    }
}

/// v2's `cpu.max`: quota and period in microseconds, `max` for no quota.
struct CPUMax: Equatable, Sendable {
    /// Nanoseconds of CPU per period; -1 for no limit.
    var quotaNanoseconds: Int64
    var periodNanoseconds: Int64

    init(parsing text: KernelText) throws(KernelTextError) {
        var scanner = try KernelScanner(text)
        quotaNanoseconds = scanner.consume("max") ? -1 : try scanner.decimal() &* 1_000
        try scanner.expect(Ascii.space, "cpu.max")
        periodNanoseconds = try scanner.decimal() &* 1_000
        try scanner.expectNewline()
    }
}

/// The scale of v1's `cpu.shares` from v2's `cpu.weight`, as runc and the kubelet convert it.
enum CPUWeight {
    static func shares(ofWeight weight: Int64) -> Int64 {
        guard weight > 0 else { return 0 }
        return 2 + ((min(weight, 10_000) - 1) * 262_142) / 9_999
    }
}

/// A list of CPUs as `cpuset.cpus` and `/sys/devices/system/cpu/online` print it: `0-3,8`.
enum CPUList {
    /// The number of CPUs in the list; 0 for an empty line.
    static func count(_ text: KernelText) throws(KernelTextError) -> Int64 {
        var scanner = try KernelScanner(text)
        var count: Int64 = 0
        while scanner.next != Ascii.newline {
            let first = try scanner.decimal()
            var last = first
            if scanner.next == Ascii.minus {
                scanner.advance(1)
                last = try scanner.decimal()
            }
            guard last >= first, last < 1 << 20 else {
                throw .malformed(what: "CPU list", offset: scanner.offset)
            }
            count += last - first + 1
            if scanner.next == Ascii.comma { scanner.advance(1) } else { break }
        }
        try scanner.expectNewline()
        return count
    }
}
