import Glibc
import Wire

/// Reads the files of a cgroup into the columns of its row.
///
/// Holds the tables of keyed files, which remember the order of lines, and the scratch space of one
/// read. Allocates nothing once every kind of file has been seen.
final class CgroupReader {
    let files: HostFiles
    private var cpuStatV1 = CPUStat.v1
    private var cpuStatV2 = CPUStat.v2
    private var cpuacctStat = CPUStat.accountingV1
    private var memoryStatV1 = MemoryStat.hierarchicalV1
    private var memoryStatFlatV1 = MemoryStat.flatV1
    private var memoryStatV2 = MemoryStat.v2
    private var memoryEventsV2 = MemoryEvents.v2
    private var oomControlV1 = MemoryEvents.oomControlV1
    /// Raw values of one keyed file.
    private let values: UnsafeMutablePointer<Int64>
    private static let valueCapacity = 64

    /// What a cgroup's files say of each other while its row is filled.
    struct Context {
        var usage: Int64 = 0
        /// Memory limit, -1 for none; `nil` where the settings were not read this time.
        var memoryLimit: Int64?
        /// CPU quota, -1 for none; `nil` where the settings were not read this time.
        var quota: Int64?
        /// `nil` where the file was not read this time.
        var oomKills: Int64?
        var threads: Int64 = -1
    }

    /// I/O by device, of the cgroup read last.
    private(set) var deviceIO: [DeviceIO] = []

    init(files: HostFiles) {
        self.files = files
        values = .allocate(capacity: Self.valueCapacity)
        values.initialize(repeating: 0, count: Self.valueCapacity)
        deviceIO.reserveCapacity(64)
    }

    deinit { values.deallocate() }

    /// The way in which the file hands out its bytes.
    static func extent(of source: CgroupSource) -> HostFiles.Extent {
        switch source {
        // Printed device by device, but in one go, as all cgroup files but the lists of processes.
        case .processes: .records
        default: .single
        }
    }

    /// The metrics of a file with these bytes; the columns that `read` will write.
    ///
    /// - Returns: the fields and, for a keyed file, the keys that made them.
    func fields(
        of source: CgroupSource, _ text: KernelText
    ) throws(KernelTextError) -> (fields: [SchemaField], found: FlatKeyedFile.Found) {
        func keyed(
            _ table: inout KeyedMetrics, _ before: [SchemaField] = []
        ) throws(KernelTextError) -> (fields: [SchemaField], found: FlatKeyedFile.Found) {
            let found = try table.parse(text, into: values)
            return (before + table.fields(of: found), found)
        }
        let workingSet = [SchemaField(.memoryWorkingSet, granularity: 4_096)]
        switch source {
        case .cpuStatV1: return try keyed(&cpuStatV1)
        case .cpuStatV2: return try keyed(&cpuStatV2)
        case .cpuacctStat: return try keyed(&cpuacctStat)
        case .memoryStatV1: return try keyed(&memoryStatV1, workingSet)
        case .memoryStatFlatV1: return try keyed(&memoryStatFlatV1, workingSet)
        case .memoryStatV2: return try keyed(&memoryStatV2, workingSet)
        case .memoryEventsV2: return try keyed(&memoryEventsV2)
        case .oomControlV1: return try keyed(&oomControlV1)
        default: return (source.description.fields, 0)
        }
    }

    /// Forgets the I/O of the cgroup read before.
    func begin() { deviceIO.removeAll(keepingCapacity: true) }

    /// Parses a file into its columns.
    ///
    /// - Parameter found: the keys that made the columns; a file that has others is `malformed`, so
    ///   that a kernel that changed its mind is not misread.
    func read(
        _ source: CgroupSource, _ text: KernelText, found: FlatKeyedFile.Found,
        _ context: inout Context, into columns: UnsafeMutablePointer<Int64>
    ) throws(KernelTextError) {
        switch source {
        case .pidsCurrent:
            context.threads = try SingleValue.parse(text)
            columns[0] = context.threads
        case .cpuacctUsage, .memoryMaxUsageV1, .memoryFailcntV1, .memoryKernelV1,
            .memorySwapV2, .memoryPeakV2, .cpuSharesV1:
            columns[0] = try SingleValue.parse(text)
        case .memoryUsageV1, .memoryCurrentV2:
            context.usage = try SingleValue.parse(text)
            columns[0] = context.usage
        case .memoryStatV1:
            try check(memoryStatV1.parse(text, into: values), found)
            workingSet(MemoryStat.inactiveFileRowV1, context, columns)
            _ = memoryStatV1.write(values, found: found, to: columns + 1)
        case .memoryStatFlatV1:
            try check(memoryStatFlatV1.parse(text, into: values), found)
            workingSet(MemoryStat.inactiveFileRowV1, context, columns)
            _ = memoryStatFlatV1.write(values, found: found, to: columns + 1)
        case .memoryStatV2:
            try check(memoryStatV2.parse(text, into: values), found)
            workingSet(MemoryStat.inactiveFileRowV2, context, columns)
            _ = memoryStatV2.write(values, found: found, to: columns + 1)
        case .cpuacctStat:
            try check(cpuacctStat.parse(text, into: values), found)
            _ = cpuacctStat.write(values, found: found, to: columns)
        case .cpuStatV1:
            try check(cpuStatV1.parse(text, into: values), found)
            _ = cpuStatV1.write(values, found: found, to: columns)
        case .cpuStatV2:
            try check(cpuStatV2.parse(text, into: values), found)
            _ = cpuStatV2.write(values, found: found, to: columns)
        case .memoryEventsV2:
            try check(memoryEventsV2.parse(text, into: values), found)
            _ = memoryEventsV2.write(values, found: found, to: columns)
        case .oomControlV1:
            try check(oomControlV1.parse(text, into: values), found)
            if found != 0 {
                context.oomKills = values[0]
                columns[0] = values[0]
            }
        case .pressureCPU, .pressureMemory, .pressureIO:
            let pressure = try PressureStall(parsing: text)
            columns[0] = pressure.someNanoseconds
            columns[1] = pressure.fullNanoseconds
        case .processes: columns[0] = CgroupProcs.count(text)
        case .blkioBytesV1: try BlkioStat.parse(text) { add(bytes: $2, $1, of: $0) }
        case .blkioOperationsV1: try BlkioStat.parse(text) { add(operations: $2, $1, of: $0) }
        case .ioStatV2: try IOStat.parse(text) { deviceIO.append($0) }
        default: try readSetting(source, text, &context, into: columns)
        }
    }

    private func readSetting(
        _ source: CgroupSource, _ text: KernelText, _ context: inout Context,
        into columns: UnsafeMutablePointer<Int64>
    ) throws(KernelTextError) {
        switch source {
        case .cpuQuotaV1:
            let quota = try SingleValue.parse(text)
            columns[0] = quota < 0 ? -1 : quota &* 1_000
            context.quota = columns[0]
        case .cpuPeriodV1: columns[0] = try SingleValue.parse(text) &* 1_000
        case .cpuMaxV2:
            let limit = try CPUMax(parsing: text)
            columns[0] = limit.quotaNanoseconds
            columns[1] = limit.periodNanoseconds
        case .cpuWeightV2: columns[0] = CPUWeight.shares(ofWeight: try SingleValue.parse(text))
        case .cpusetV1, .cpusetV2: columns[0] = try CPUList.count(text)
        case .memoryLimitV1:
            let limit = try SingleValue.parseLimit(text)
            context.memoryLimit = limit
            columns[0] = limit
        case .memorySwapLimitV1:
            // v1 limits memory and swap together; swap alone is what is left.
            let both = try SingleValue.parseLimit(text)
            let memory = context.memoryLimit ?? -1
            columns[0] = both < 0 || memory < 0 ? -1 : max(0, both - memory)
        default: columns[0] = try SingleValue.parseLimit(text)
        }
    }

    @inline(__always)
    private func check(
        _ actual: FlatKeyedFile.Found, _ expected: FlatKeyedFile.Found
    ) throws(KernelTextError) {
        guard actual == expected else { throw .missing("key that it had before") }
    }

    @inline(__always)
    private func workingSet(
        _ inactiveFileRow: Int, _ context: Context, _ columns: UnsafeMutablePointer<Int64>
    ) {
        columns[0] = max(0, context.usage - values[inactiveFileRow])
    }

    private func index(of device: DeviceNumber) -> Int {
        if let index = deviceIO.firstIndex(where: { $0.device == device }) { return index }
        deviceIO.append(DeviceIO(device: device))
        return deviceIO.count - 1
    }

    private func add(
        bytes: Int64, _ operation: BlkioStat.Operation, of device: DeviceNumber
    ) {
        let index = index(of: device)
        switch operation {
        case .read: deviceIO[index].readBytes = bytes
        case .write: deviceIO[index].writeBytes = bytes
        case .discard: deviceIO[index].discardBytes = bytes
        }
    }

    private func add(
        operations: Int64, _ operation: BlkioStat.Operation, of device: DeviceNumber
    ) {
        let index = index(of: device)
        switch operation {
        case .read: deviceIO[index].reads = operations
        case .write: deviceIO[index].writes = operations
        case .discard: deviceIO[index].discards = operations
        }
    }
}
