/// The node's CPU time by state and what the kernel counts beside it, from `/proc/stat`.
///
/// Source: <https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat>.
/// Times are nanoseconds, multiples of the 10 ms clock tick.
struct ProcStat: Equatable, Sendable {
    /// user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice in the file's
    /// order. Counters; old kernels print fewer, then the rest are 0.
    var cpuNanoseconds = CPUTimes()
    var interrupts: Int64 = 0
    var contextSwitches: Int64 = 0
    /// Seconds since the Unix epoch; moves when the clock is set.
    var bootTimeSeconds: Int64 = 0
    var forks: Int64 = 0
    var processesRunning: Int64 = 0
    var processesBlocked: Int64 = 0

    /// CPU time by state; `guest` is contained in `user`, `guestNice` in `nice`.
    struct CPUTimes: Equatable, Sendable {
        var user: Int64 = 0
        var nice: Int64 = 0
        var system: Int64 = 0
        var idle: Int64 = 0
        var ioWait: Int64 = 0
        var irq: Int64 = 0
        var softIRQ: Int64 = 0
        var steal: Int64 = 0
        var guest: Int64 = 0
        var guestNice: Int64 = 0

        /// All time in which a CPU worked for this machine: what a root cgroup's usage is.
        /// Guests are in user and nice already; steal is not ours.
        var usage: Int64 { user &+ nice &+ system &+ irq &+ softIRQ }
    }

    /// - Throws: `missing` without the `cpu` line or the `btime` line.
    init(parsing text: KernelText) throws(KernelTextError) {
        var scanner = try KernelScanner(text)
        guard scanner.consume("cpu ") else { throw .missing("cpu") }
        cpuNanoseconds = try Self.times(&scanner)
        var hasBootTime = false
        while !scanner.isAtEnd {
            if scanner.consume("intr ") {
                // The total comes first; the thousands of per-line counts are not wanted.
                interrupts = try scanner.decimal()
            } else if scanner.consume("ctxt ") {
                contextSwitches = try scanner.decimal()
            } else if scanner.consume("btime ") {
                bootTimeSeconds = try scanner.decimal()
                hasBootTime = true
            } else if scanner.consume("processes ") {
                forks = try scanner.decimal()
            } else if scanner.consume("procs_running ") {
                processesRunning = try scanner.decimal()
            } else if scanner.consume("procs_blocked ") {
                processesBlocked = try scanner.decimal()
            }
            try scanner.skipLine()
        }
        guard hasBootTime else { throw .missing("btime") }
    }

    private static func times(_ scanner: inout KernelScanner) throws(KernelTextError) -> CPUTimes {
        var times = CPUTimes()
        var column = 0
        while scanner.next != Ascii.newline {
            let time = try scanner.firstColumn() &* CPUStat.clockTickNanoseconds
            switch column {
            case 0: times.user = time
            case 1: times.nice = time
            case 2: times.system = time
            case 3: times.idle = time
            case 4: times.ioWait = time
            case 5: times.irq = time
            case 6: times.softIRQ = time
            case 7: times.steal = time
            case 8: times.guest = time
            case 9: times.guestNice = time
            default: break
            }
            column += 1
        }
        try scanner.expectNewline()
        guard column >= 4 else { throw .malformed(what: "cpu line", offset: scanner.offset) }
        return times
    }
}
