/// v1's `blkio.throttle.io_service_bytes_recursive` and its relatives: `254:0 Read 4096` lines and a
/// last `Total 0`.
///
/// Source: <https://docs.kernel.org/admin-guide/cgroup-v1/blkio-controller.html>. Read and Write
/// are taken, Sync, Async and Total are other sums of the same; Discard is separate (5.x).
enum BlkioStat {
    enum Operation { case read, write, discard }

    /// Calls `body` for every line that counts, in the file's order.
    ///
    /// - Throws: `malformed` at the first line of another shape.
    @inline(__always)
    static func parse(
        _ text: KernelText, _ body: (DeviceNumber, Operation, Int64) -> Void
    ) throws(KernelTextError) {
        var scanner = try KernelScanner(text)
        while !scanner.isAtEnd {
            if scanner.consume("Total ") {
                _ = try scanner.decimal()
                try scanner.expectNewline()
                continue
            }
            let device = try DeviceNumber(&scanner)
            try scanner.expect(Ascii.space, "blkio line")
            let operation: Operation?
            if scanner.consume("Read ") {
                operation = .read
            } else if scanner.consume("Write ") {
                operation = .write
            } else if scanner.consume("Discard ") {
                operation = .discard
            } else {
                operation = nil
                guard !scanner.word().isEmpty else {
                    throw .malformed(what: "blkio line", offset: scanner.offset)
                }
                try scanner.expect(Ascii.space, "blkio line")
            }
            let value = try scanner.decimal()
            try scanner.expectNewline()
            if let operation { body(device, operation, value) }
        }
    }
}
