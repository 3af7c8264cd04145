/// What is wanted of `/proc/<pid>/stat`: `42 (name) S 1 … starttime …`.
///
/// Source: <https://docs.kernel.org/filesystems/proc.html>, table 1-4. The name is in parentheses
/// and may hold anything, parentheses too, so fields are counted from the last one.
struct PIDStat: Equatable, Sendable {
    /// Clock ticks of user and system mode. Counters.
    var userNanoseconds: Int64
    var systemNanoseconds: Int64
    /// Milliseconds between boot and the start of the process; a multiple of 10, never changes.
    var startMillisecondsAfterBoot: Int64
    /// Resident set, in pages.
    var residentPages: Int64

    init(parsing text: KernelText) throws(KernelTextError) {
        guard let close = text.lastIndex(of: UInt8(ascii: ")")) else {
            throw text.isEmpty ? .truncated(offset: 0) : .missing("process name")
        }
        var scanner = try KernelScanner(text)
        scanner.advance(close + 1)
        // Field 3 is the state; utime is 14, stime 15, starttime 22, rss 24.
        var values: (user: Int64, system: Int64, start: Int64, pages: Int64) = (0, 0, 0, 0)
        for field in 3...24 {
            try scanner.expect(Ascii.space, "process field")
            switch field {
            case 14: values.user = try scanner.decimal()
            case 15: values.system = try scanner.decimal()
            case 22: values.start = try scanner.decimal()
            case 24: values.pages = try scanner.decimal()
            default: _ = scanner.word()
            }
        }
        // A number cut short would be a wrong one; fields follow in every kernel.
        guard scanner.next == Ascii.space else { throw .truncated(offset: scanner.offset) }
        userNanoseconds = values.user &* CPUStat.clockTickNanoseconds
        systemNanoseconds = values.system &* CPUStat.clockTickNanoseconds
        startMillisecondsAfterBoot = values.start &* 10
        residentPages = values.pages
    }
}

extension PIDStat {
    /// Whether the process is one of the two that runc is before it becomes the container's first:
    /// `runc:[0:PARENT]` and `runc:[1:CHILD]` (libcontainer/nsenter/nsexec.c). They are gone in a moment,
    /// so whoever looks later sees another oldest process.
    static func isRuncStage(_ text: KernelText) -> Bool {
        guard let open = text.firstIndex(of: UInt8(ascii: "(")) else { return false }
        return ["(runc:[0:", "(runc:[1:"].contains { text[open...].starts(with: $0.utf8) }
    }
}

/// The processes of a cgroup, from its `cgroup.procs`: one process ID per line, in no order that
/// counts, 0 for a process that is outside the reader's PID namespace.
enum CgroupProcs {
    /// The number of processes.
    @inline(__always)
    static func count(_ text: KernelText) -> Int64 {
        var count: Int64 = 0
        for byte in text where byte == Ascii.newline { count += 1 }
        return count
    }

    /// Every process ID that is one here.
    static func processIDs(_ text: KernelText) throws(KernelTextError) -> [Int32] {
        var processIDs: [Int32] = []
        guard !text.isEmpty else { return processIDs }
        var scanner = try KernelScanner(text)
        while !scanner.isAtEnd {
            let value = try scanner.decimal()
            try scanner.expectNewline()
            if value > 0, let processID = Int32(exactly: value) { processIDs.append(processID) }
        }
        return processIDs
    }
}
