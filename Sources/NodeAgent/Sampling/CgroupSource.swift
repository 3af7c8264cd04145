import Wire

/// What must hold for a file to be worth reading at a step.
struct ReadingConditions: OptionSet, Sendable {
    let rawValue: UInt8

    /// The cgroup has a CPU quota; without one nothing is throttled.
    static let quota = ReadingConditions(rawValue: 1 << 0)
    /// The cgroup has a memory limit; without one there is nothing to fail at.
    static let memoryLimit = ReadingConditions(rawValue: 1 << 1)
    /// The kernel killed for lack of memory: `oom_kill` in `/proc/vmstat` counts every kill that any
    /// cgroup counts (mm/oom_kill.c, `__oom_kill_process`).
    static let killed = ReadingConditions(rawValue: 1 << 2)
    /// The number of I/O operations changed; bytes never move without it (block/blk-throttle.c).
    static let didIO = ReadingConditions(rawValue: 1 << 3)
    /// The number of threads changed, or was not looked at for ten seconds.
    static let threadsChanged = ReadingConditions(rawValue: 1 << 4)
    /// The node has swap.
    static let hasSwap = ReadingConditions(rawValue: 1 << 5)
}

/// A file of a cgroup that metrics come from.
///
/// The order is the order of a row's columns and of reading: memory usage comes before
/// `memory.stat`, which makes the working set of both, and what tells of a change comes before what
/// is read only then.
enum CgroupSource: UInt8, CaseIterable, Sendable {
    // cgroup v1.
    case cpuacctUsage, cpuacctStat, cpuStatV1, cpuSharesV1, cpuQuotaV1, cpuPeriodV1, cpusetV1
    case memoryUsageV1, memoryStatV1, memoryStatFlatV1
    case memoryMaxUsageV1, memoryFailcntV1, memoryKernelV1, oomControlV1
    case memoryLimitV1, memorySwapLimitV1, memorySoftLimitV1
    case blkioOperationsV1, blkioBytesV1
    // cgroup v2.
    case cpuStatV2, cpuWeightV2, cpuMaxV2, cpusetV2
    case memoryCurrentV2, memoryStatV2, memorySwapV2, memoryPeakV2, memoryEventsV2
    case memoryMaxV2, memorySwapMaxV2, memoryMinV2
    case ioStatV2
    // Both.
    case pressureCPU, pressureMemory, pressureIO
    case pidsCurrent, pidsMax, processes

    /// How often the file is read.
    enum Cadence: Equatable, Sendable {
        /// At every step, from a kept descriptor.
        case step
        /// Settings: right after the cgroup was made, then every minute.
        case settings
        /// At every step in which these hold, and with the settings: otherwise the file is known to
        /// say what it said before.
        case when(ReadingConditions)
    }

    struct Description: Sendable {
        let controller: CgroupController
        let fileName: String
        let group: SampleGroups
        let cadence: Cadence
        /// The columns; none for keyed files, whose keys decide, and for I/O, which has subjects
        /// of its own.
        let fields: [SchemaField]
    }

    var description: Description { Self.descriptions[Int(rawValue)] }

    /// The sources that a cgroup may have in this version, in the order of columns.
    static func all(version: Int) -> [CgroupSource] {
        allCases.filter { source in
            switch source.rawValue {
            case ...CgroupSource.blkioBytesV1.rawValue: version == 1
            case ...CgroupSource.ioStatV2.rawValue: version == 2
            default: true
            }
        }
    }

    private static let descriptions: [Description] = allCases.map(\.makeDescription)

    private var makeDescription: Description {
        if rawValue <= CgroupSource.blkioBytesV1.rawValue { return descriptionV1 }
        if rawValue <= CgroupSource.ioStatV2.rawValue { return descriptionV2 }
        return descriptionOfBoth
    }

    private var descriptionV1: Description {
        let page: UInt32 = 4_096
        switch self {
        case .cpuacctUsage:
            return .init(.cpuacct, "cpuacct.usage", .cpu, .step, [.init(.cpuUsage)])
        case .cpuacctStat: return .init(.cpuacct, "cpuacct.stat", .cpu, .step, [])
        case .cpuStatV1: return .init(.cpu, "cpu.stat", .cpu, .when(.quota), [])
        case .cpuSharesV1:
            return .init(.cpu, "cpu.shares", .cpu, .settings, [.init(.cpuShares)])
        case .cpuQuotaV1:
            return .init(.cpu, "cpu.cfs_quota_us", .cpu, .settings, [.init(.cpuCfsQuota)])
        case .cpuPeriodV1:
            return .init(.cpu, "cpu.cfs_period_us", .cpu, .settings, [.init(.cpuCfsPeriod)])
        case .cpusetV1:
            return .init(
                .cpuset, "cpuset.effective_cpus", .cpu, .settings, [.init(.cpuSetCores)])
        case .memoryUsageV1:
            return .init(
                .memory, "memory.usage_in_bytes", .memory, .step,
                [.init(.memoryUsage, granularity: page)])
        case .memoryStatV1, .memoryStatFlatV1:
            return .init(.memory, "memory.stat", .memoryStat, .step, [])
        case .memoryMaxUsageV1:
            return .init(
                .memory, "memory.max_usage_in_bytes", .memory, .step,
                [.init(.memoryMaxUsage, granularity: page)])
        case .memoryFailcntV1:
            return .init(
                .memory, "memory.failcnt", .memory, .when(.memoryLimit), [.init(.memoryFailcnt)])
        case .memoryKernelV1:
            return .init(
                .memory, "memory.kmem.usage_in_bytes", .memory, .step,
                [.init(.memoryKernel, granularity: page)])
        case .oomControlV1: return .init(.memory, "memory.oom_control", .memory, .when(.killed), [])
        case .memoryLimitV1:
            return .init(
                .memory, "memory.limit_in_bytes", .memory, .settings, [.init(.memoryCgroupLimit)])
        case .memorySwapLimitV1:
            return .init(
                .memory, "memory.memsw.limit_in_bytes", .memory, .settings,
                [.init(.memorySwapLimit)])
        case .memorySoftLimitV1:
            return .init(
                .memory, "memory.soft_limit_in_bytes", .memory, .settings,
                [.init(.memoryReservation)])
        case .blkioOperationsV1:
            return .init(.blkio, "blkio.throttle.io_serviced_recursive", .io, .step, [])
        default:
            return .init(
                .blkio, "blkio.throttle.io_service_bytes_recursive", .io, .when(.didIO), [])
        }
    }

    private var descriptionV2: Description {
        let page: UInt32 = 4_096
        switch self {
        case .cpuStatV2: return .init(.unified, "cpu.stat", .cpu, .step, [])
        case .cpuWeightV2:
            return .init(.unified, "cpu.weight", .cpu, .settings, [.init(.cpuShares)])
        case .cpuMaxV2:
            return .init(
                .unified, "cpu.max", .cpu, .settings, [.init(.cpuCfsQuota), .init(.cpuCfsPeriod)])
        case .cpusetV2:
            return .init(
                .unified, "cpuset.cpus.effective", .cpu, .settings, [.init(.cpuSetCores)])
        case .memoryCurrentV2:
            return .init(
                .unified, "memory.current", .memory, .step,
                [.init(.memoryUsage, granularity: page)])
        case .memoryStatV2: return .init(.unified, "memory.stat", .memoryStat, .step, [])
        case .memorySwapV2:
            return .init(
                .unified, "memory.swap.current", .memory, .when(.hasSwap),
                [.init(.memorySwap, granularity: page)])
        case .memoryPeakV2:
            return .init(
                .unified, "memory.peak", .memory, .step,
                [.init(.memoryMaxUsage, granularity: page)])
        case .memoryEventsV2: return .init(.unified, "memory.events", .memory, .step, [])
        case .memoryMaxV2:
            return .init(.unified, "memory.max", .memory, .settings, [.init(.memoryCgroupLimit)])
        case .memorySwapMaxV2:
            return .init(.unified, "memory.swap.max", .memory, .settings, [.init(.memorySwapLimit)])
        case .memoryMinV2:
            return .init(.unified, "memory.min", .memory, .settings, [.init(.memoryReservation)])
        default: return .init(.unified, "io.stat", .io, .step, [])
        }
    }

    private var descriptionOfBoth: Description {
        let microsecond: UInt32 = 1_000
        switch self {
        case .pressureCPU:
            return .init(
                .unified, "cpu.pressure", .psi, .step,
                [
                    .init(.pressureCPUSome, granularity: microsecond),
                    .init(.pressureCPUFull, granularity: microsecond),
                ])
        case .pressureMemory:
            return .init(
                .unified, "memory.pressure", .psi, .step,
                [
                    .init(.pressureMemorySome, granularity: microsecond),
                    .init(.pressureMemoryFull, granularity: microsecond),
                ])
        case .pressureIO:
            return .init(
                .unified, "io.pressure", .psi, .step,
                [
                    .init(.pressureIOSome, granularity: microsecond),
                    .init(.pressureIOFull, granularity: microsecond),
                ])
        case .pidsCurrent:
            return .init(.pids, "pids.current", .threads, .step, [.init(.processThreads)])
        case .pidsMax:
            return .init(.pids, "pids.max", .threads, .settings, [.init(.processThreadsLimit)])
        default:
            return .init(
                .memory, "cgroup.procs", .processes, .when(.threadsChanged), [.init(.processCount)])
        }
    }
}

extension CgroupSource.Description {
    fileprivate init(
        _ controller: CgroupController, _ fileName: String, _ group: SampleGroups,
        _ cadence: CgroupSource.Cadence, _ fields: [SchemaField]
    ) {
        self.init(
            controller: controller, fileName: fileName, group: group, cadence: cadence,
            fields: fields)
    }
}
