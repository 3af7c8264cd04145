/// A cgroup's I/O on one device since the cgroup was made. All counters.
struct DeviceIO: Equatable, Sendable {
    var device: DeviceNumber
    var readBytes: Int64 = 0
    var writeBytes: Int64 = 0
    var reads: Int64 = 0
    var writes: Int64 = 0
    var discardBytes: Int64 = 0
    var discards: Int64 = 0
}

/// v2's `io.stat`: a nested keyed file, one line per device with I/O.
///
/// Source: <https://docs.kernel.org/admin-guide/cgroup-v2.html#io-interface-files>. Keys of I/O
/// cost and latency controllers follow on the same line and are skipped, as is a line that has a
/// device and nothing else.
enum IOStat {
    /// Calls `body` for every device, in the file's order.
    ///
    /// - Throws: `malformed` at the first field that is no `key=value`. Lines before it have been
    ///   handed over by then.
    @inline(__always)
    static func parse(
        _ text: KernelText, _ body: (DeviceIO) -> Void
    ) throws(KernelTextError) {
        guard !text.isEmpty else { return }
        var scanner = try KernelScanner(text)
        while !scanner.isAtEnd {
            // A device whose name the kernel could not find is printed as nothing at all.
            if scanner.next == Ascii.newline {
                scanner.advance(1)
                continue
            }
            var io = DeviceIO(device: try DeviceNumber(&scanner))
            var hasValue = false
            while scanner.next == Ascii.space {
                scanner.advance(1)
                if scanner.next == Ascii.newline { break }
                try field(&scanner, &io)
                hasValue = true
            }
            try scanner.expectNewline()
            if hasValue { body(io) }
        }
    }

    @inline(__always)
    private static func field(
        _ scanner: inout KernelScanner, _ io: inout DeviceIO
    ) throws(KernelTextError) {
        if scanner.consume("rbytes=") {
            io.readBytes = try scanner.decimal()
        } else if scanner.consume("wbytes=") {
            io.writeBytes = try scanner.decimal()
        } else if scanner.consume("rios=") {
            io.reads = try scanner.decimal()
        } else if scanner.consume("wios=") {
            io.writes = try scanner.decimal()
        } else if scanner.consume("dbytes=") {
            io.discardBytes = try scanner.decimal()
        } else if scanner.consume("dios=") {
            io.discards = try scanner.decimal()
        } else if scanner.word().isEmpty {
            throw .malformed(what: "io.stat field", offset: scanner.offset)
        }
    }
}
