/// Load averages and the number of tasks, from `/proc/loadavg`: `1.06 1.11 1.67 4/219 4778`.
///
/// Source: <https://docs.kernel.org/filesystems/proc.html>. All gauges.
struct LoadAverage: Equatable, Sendable {
    /// Thousandths.
    var oneMinute: Int64
    var fiveMinutes: Int64
    var fifteenMinutes: Int64
    /// Runnable at this moment.
    var runnableTasks: Int64
    /// Processes and threads that exist.
    var tasks: Int64

    init(parsing text: KernelText) throws(KernelTextError) {
        var scanner = try KernelScanner(text)
        oneMinute = try scanner.thousandths()
        try scanner.expect(Ascii.space, "load average")
        fiveMinutes = try scanner.thousandths()
        try scanner.expect(Ascii.space, "load average")
        fifteenMinutes = try scanner.thousandths()
        try scanner.expect(Ascii.space, "load average")
        runnableTasks = try scanner.decimal()
        try scanner.expect(Ascii.slash, "tasks")
        tasks = try scanner.decimal()
        try scanner.skipLine()
    }
}

/// Time since boot, from `/proc/uptime`: `2167.37 2352.25`.
enum Uptime {
    /// Milliseconds, a multiple of 10; time in suspend included.
    static func milliseconds(_ text: KernelText) throws(KernelTextError) -> Int64 {
        var scanner = try KernelScanner(text)
        let milliseconds = try scanner.thousandths()
        try scanner.skipLine()
        return milliseconds
    }
}

/// Open file handles of the machine, from `/proc/sys/fs/file-nr`: allocated, unused, limit.
struct FileHandles: Equatable, Sendable {
    var allocated: Int64
    /// -1 where there is practically none.
    var limit: Int64

    init(parsing text: KernelText) throws(KernelTextError) {
        var scanner = try KernelScanner(text)
        let total = try scanner.decimal()
        scanner.skipBlanks()
        let unused = try scanner.decimal()
        scanner.skipBlanks()
        let limit = try scanner.decimal()
        try scanner.expectNewline()
        self.allocated = max(0, total - unused)
        self.limit = limit > 1 << 62 ? -1 : limit
    }
}
