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
            scanner.skipBlanks()
            let major = try scanner.decimal()
            scanner.skipBlanks()
            let minor = try scanner.decimal()
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
        disk.reads = try column(&scanner)
        disk.readsMerged = try column(&scanner)
        disk.readBytes = try column(&scanner) &* sectorBytes
        disk.readMilliseconds = try column(&scanner)
        disk.writes = try column(&scanner)
        disk.writesMerged = try column(&scanner)
        disk.writeBytes = try column(&scanner) &* sectorBytes
        disk.writeMilliseconds = try column(&scanner)
        disk.inFlight = try column(&scanner)
        disk.busyMilliseconds = try column(&scanner)
        disk.weightedMilliseconds = try column(&scanner)
        if scanner.next == Ascii.newline { return }
        disk.discards = try column(&scanner)
        // Discards merged.
        _ = try column(&scanner)
        disk.discardBytes = try column(&scanner) &* sectorBytes
    }

    @inline(__always)
    private static func column(_ scanner: inout KernelScanner) throws(KernelTextError) -> Int64 {
        scanner.skipBlanks()
        return try scanner.decimal()
    }
}
