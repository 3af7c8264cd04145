/// One block device's counters, from `/proc/diskstats`.
struct DiskCounters: Equatable, Sendable {
    var device: DeviceNumber
    var reads: Int64 = 0
    var readsMerged: Int64 = 0
    var readBytes: Int64 = 0
    var readMilliseconds: Int64 = 0
    var writes: Int64 = 0
    var writesMerged: Int64 = 0
    var writeBytes: Int64 = 0
    var writeMilliseconds: Int64 = 0
    /// Gauge.
    var inFlight: Int64 = 0
    var busyMilliseconds: Int64 = 0
    var weightedMilliseconds: Int64 = 0
    /// Kernel 4.18 and later, 0 before.
    var discards: Int64 = 0
    var discardBytes: Int64 = 0
}

/// The block devices of the machine, partitions among them.
///
/// Source: <https://docs.kernel.org/admin-guide/iostats.html>. Sectors are 512 bytes whatever
/// the device's own sector size is.
enum DiskStats {
    /// Calls `body` with every device's name and counters, in the file's order.
    ///
    /// - Throws: `malformed` at the first line with fewer than the eleven columns of kernel 2.6.
    @inline(__always)
    static func parse(
        _ text: KernelText, _ body: (KernelText, DiskCounters) -> Void
    ) throws(KernelTextError) {
        guard !text.isEmpty else { return }
        var scanner = try KernelScanner(text)
        while !scanner.isAtEnd {
            let major = try scanner.firstColumn()
            let minor = try scanner.column()
            scanner.skipBlanks()
            let name = scanner.word()
            guard !name.isEmpty, major <= Int64(UInt32.max), minor <= Int64(UInt32.max) else {
                throw .malformed(what: "device", offset: scanner.offset)
            }
            var disk = DiskCounters(
                device: DeviceNumber(major: UInt32(major), minor: UInt32(minor)))
            try columns(&scanner, &disk)
            try scanner.skipLine()
            body(name, disk)
        }
    }

    private static let sectorBytes: Int64 = 512

    @inline(__always)
    private static func columns(
        _ scanner: inout KernelScanner, _ disk: inout DiskCounters
    ) throws(KernelTextError) {
        disk.reads = try scanner.column()
        disk.readsMerged = try scanner.column()
        disk.readBytes = try scanner.column() &* sectorBytes
        disk.readMilliseconds = try scanner.column()
        disk.writes = try scanner.column()
        disk.writesMerged = try scanner.column()
        disk.writeBytes = try scanner.column() &* sectorBytes
        disk.writeMilliseconds = try scanner.column()
        disk.inFlight = try scanner.column()
        disk.busyMilliseconds = try scanner.column()
        disk.weightedMilliseconds = try scanner.column()
        if scanner.next == Ascii.newline { return }
        disk.discards = try scanner.column()
        // Discards merged.
        _ = try scanner.column()
        disk.discardBytes = try scanner.column() &* sectorBytes
    }
}
