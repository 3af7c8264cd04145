import Wire

/// What a container does, and its cgroup's figures as they follow from it.
///
/// Kinds, their shares and how often which figure moves are those of a recorded node with 34
/// containers, of whose figures 13 % change from one second to the next.
struct ContainerActivity {
    enum Kind {
        case idle, ticking, server, throttled, database, fileWriter, forking, cron, managed
    }

    /// As many of each kind as there were among the 34.
    static let kinds: [Kind] =
        Array(repeating: .idle, count: 8) + Array(repeating: .ticking, count: 4)
        + Array(repeating: .server, count: 7) + Array(repeating: .throttled, count: 3)
        + Array(repeating: .database, count: 3) + Array(repeating: .fileWriter, count: 2)
        + Array(repeating: .forking, count: 2) + Array(repeating: .cron, count: 3)
        + Array(repeating: .managed, count: 2)

    private let kind: Kind
    private let size: Double
    private let phase: Double
    private var seconds = 0.0
    private(set) var cpu: Int64 = 0
    private var userNanoseconds: Int64 = 0
    private var systemNanoseconds: Int64 = 0
    private var periods: Int64 = 0
    private var throttledPeriods: Int64 = 0
    private var throttledTime: Int64 = 0
    /// In pages of 4,096 bytes.
    private(set) var rss: Int64
    private(set) var cache: Int64
    private var inactiveFile: Int64
    private var kernel: Int64
    private var dirty: Int64 = 0
    private var maxUsage: Int64 = 0
    private(set) var pageFaults: Int64 = 2_000
    private(set) var majorPageFaults: Int64 = 4
    private(set) var threads: Int64
    private(set) var receivedBytes: Int64 = 0
    private(set) var receivedPackets: Int64 = 0
    private(set) var sentBytes: Int64 = 0
    private(set) var sentPackets: Int64 = 0
    private var writtenBytes: Int64 = 0
    private var writes: Int64 = 0
    private let limit: Int64

    init(_ kind: Kind, random: inout SplitMix) {
        self.kind = kind
        size = 0.3 + 2 * random.unit() * random.unit()
        phase = random.unit() * 6.28
        rss = 2_000 + random.around(20_000)
        cache = 100 + random.around(8_000)
        inactiveFile = cache * 2 / 3
        kernel = 60 + random.around(60)
        threads = kind == .server || kind == .managed ? 8 + random.around(16) : 1
        limit = (Int64(1) << 20) * 256 * (1 + random.around(4))
    }

    /// Pages in use.
    var usage: Int64 { rss + cache + kernel }
    var workingSet: Int64 { usage - inactiveFile }

    // MARK: What happens

    /// Lets so many seconds pass.
    mutating func pass(seconds duration: Double, _ random: inout SplitMix) {
        seconds += duration
        switch kind {
        case .idle:
            if random.happens(often(0.015, duration)) { touchFile(1, &random) }
        case .ticking:
            work(3.5e5 * duration, system: 0.5, &random)
        case .server: serve(duration, &random)
        case .throttled:
            work(5.7e7 * duration, system: 0.1, &random)
            periods += Int64(10 * duration)
            if random.happens(0.7) {
                throttledPeriods += random.around(2 * duration)
                throttledTime += random.around(1.2e8 * duration)
            }
        case .database:
            work(2e6 * size * duration, system: 0.6, &random)
            if random.happens(often(0.45, duration)) {
                touchFile(random.around(12 * duration), &random)
                write(random.around(60_000 * duration), &random)
                fault(random.around(8 * duration))
            }
            if random.happens(often(0.3, duration)) { grow(random.around(4) - 4, &random) }
        case .fileWriter:
            if random.happens(often(0.45, duration)) {
                work(1e7 * size, system: 0.8, &random)
                touchFile(random.around(500) - 480, &random)
                write(random.around(1_000_000), &random)
            }
        case .forking:
            if random.happens(often(0.85, duration)) {
                work(3e6 * duration, system: 0.7, &random)
                fault(random.around(180 * duration))
                kernel = max(20, kernel + random.around(6) - 6)
            }
        case .cron:
            if random.happens(often(0.075, duration)) {
                work(1.5e8 * size, system: 0.2, &random)
                touchFile(random.around(3), &random)
            }
        case .managed:
            work(3e6 * size * duration, system: 0.2, &random)
            periods += Int64(10 * duration)
            if random.happens(often(0.72, duration)) {
                grow(random.around(60) - 60, &random)
                fault(random.around(40 * duration))
            }
        }
        maxUsage = max(maxUsage, usage)
    }

    /// A server under a load that comes in waves.
    private mutating func serve(_ duration: Double, _ random: inout SplitMix) {
        let load = size * max(0, 0.6 + 0.5 * wave(seconds / 40 + phase))
        guard random.happens(often(min(1, 0.5 + load), duration)) else { return }
        work(2.2e7 * load * duration, system: 0.35, &random)
        if load > 0.1 { periods += Int64(10 * duration) }
        let requests = random.around(70 * load * duration)
        receivedBytes += requests * 1_100 + random.around(300)
        receivedPackets += requests
        sentBytes += requests * 4_300 + random.around(300)
        sentPackets += requests * 3
        if random.happens(often(0.5, duration)) {
            grow(random.around(12) - 12, &random)
            fault(random.around(10 * duration))
        }
        if random.happens(often(0.4, duration)) { kernel = max(40, kernel + random.around(8) - 8) }
    }

    /// A triangle between -1 and 1 of the period of a sine.
    private func wave(_ angle: Double) -> Double {
        let turn = angle / 6.283
        let part = turn - turn.rounded(.down)
        return part < 0.5 ? 4 * part - 1 : 3 - 4 * part
    }

    /// The probability in a longer time of what happens so often in a second.
    private func often(_ perSecond: Double, _ duration: Double) -> Double {
        if duration == 1 { return perSecond }
        var rest = 1.0
        for _ in 0..<max(1, Int(duration)) { rest *= 1 - perSecond }
        return 1 - rest
    }

    private mutating func work(_ nanoseconds: Double, system: Double, _ random: inout SplitMix) {
        let used = random.around(nanoseconds)
        cpu += used
        let inKernel = Int64(Double(used) * system)
        systemNanoseconds += inKernel
        userNanoseconds += used - inKernel
    }

    private mutating func touchFile(_ pages: Int64, _ random: inout SplitMix) {
        cache = max(50, cache + pages)
        inactiveFile = max(20, min(cache - 10, inactiveFile + (random.happens(0.7) ? pages : 0)))
        if random.happens(0.2) { dirty = max(0, random.around(8) - 4) }
        // The kernel takes old cache back.
        if cache > 60_000 {
            cache /= 2
            inactiveFile /= 3
        }
    }

    private mutating func grow(_ pages: Int64, _ random: inout SplitMix) {
        rss = max(500, rss + pages)
    }

    private mutating func fault(_ count: Int64) { pageFaults += count }

    private mutating func write(_ bytes: Int64, _ random: inout SplitMix) {
        writtenBytes += bytes / 4_096 * 4_096
        writes += max(1, bytes / 32_768)
    }

    // MARK: What the agent reads

    private static let page: UInt32 = 4_096
    private static let tick: UInt32 = 10_000_000

    /// 38 figures of a container's cgroup; with its block device (4) and its half of a pod's
    /// interface (4) they are the 46 of a container.
    static let schema = Schema([
        .init(.readOffset), .init(.cpuUsage), .init(.cpuUser, granularity: tick),
        .init(.cpuSystem, granularity: tick), .init(.cpuCfsPeriods),
        .init(.cpuCfsThrottledPeriods), .init(.cpuCfsThrottledTime), .init(.cpuCfsBurstPeriods),
        .init(.cpuCfsBurstTime), .init(.cpuShares), .init(.cpuCfsQuota), .init(.cpuCfsPeriod),
        .init(.memoryUsage, granularity: page), .init(.memoryWorkingSet, granularity: page),
        .init(.memoryRSS, granularity: page), .init(.memoryCache, granularity: page),
        .init(.memoryMappedFile, granularity: page), .init(.memorySwap, granularity: page),
        .init(.memoryKernel, granularity: page), .init(.memoryActiveAnon, granularity: page),
        .init(.memoryInactiveAnon, granularity: page), .init(.memoryActiveFile, granularity: page),
        .init(.memoryInactiveFile, granularity: page),
        .init(.memoryUnevictable, granularity: page), .init(.memoryMaxUsage, granularity: page),
        .init(.memoryFailcnt), .init(.memoryDirty, granularity: page),
        .init(.memoryWriteback, granularity: page), .init(.memoryPageFaults),
        .init(.memoryMajorPageFaults), .init(.memoryCgroupLimit, granularity: page),
        .init(.memoryOOMKills), .init(.memoryShmem, granularity: page),
        .init(.memoryRefaultFile), .init(.memoryRefaultAnon),
        .init(.memoryAnonHuge, granularity: page), .init(.processThreads), .init(.processCount),
    ])

    static let blockDeviceSchema = Schema([
        .init(.diskReadBytes, granularity: page), .init(.diskWriteBytes, granularity: page),
        .init(.diskReads), .init(.diskWrites),
    ])

    func write(to row: UnsafeMutableBufferPointer<Int64>, readOffset: Int64) {
        let page = Int64(Self.page)
        let tick = Int64(Self.tick)
        let isLimited = kind == .throttled || kind == .server || kind == .managed
        let columns: [Int64] = [
            readOffset, cpu, userNanoseconds / tick * tick, systemNanoseconds / tick * tick,
            periods, throttledPeriods, throttledTime, 0,
            0, 102, isLimited ? 50_000_000 : -1, 100_000_000,
            usage * page, workingSet * page,
            rss * page, cache * page,
            cache / 4_096 * page, 0,
            kernel * page, 16 * page,
            (rss - 16) * page, (cache - inactiveFile) * page,
            inactiveFile * page,
            0, maxUsage * page,
            0, dirty * page,
            0, pageFaults,
            majorPageFaults, limit * page,
            0, 0,
            0, 0,
            0, threads, max(1, threads / 8),
        ]
        precondition(columns.count == row.count, "\(columns.count) figures, \(row.count) columns")
        for index in columns.indices { row[index] = columns[index] }
    }

    func writeBlockDevice(to row: UnsafeMutableBufferPointer<Int64>) {
        row[0] = 0
        row[1] = writtenBytes
        row[2] = 0
        row[3] = writes
    }
}
