import Wire

/// Samples the node itself: CPU by state, load, memory, pressure, sockets, file handles.
///
/// Memory follows the kubelet: usage is what is not free, page cache included; working set is
/// usage less inactive page cache. Both come from `/proc/meminfo`, never from a root
/// `memory.stat`.
final class NodeSampler {
    let slot: Slot
    private let files: HostFiles
    private let parts: [Part]
    private var memInfo = MemInfo.metrics
    private var vmStat = VMStat.metrics
    private let values: UnsafeMutablePointer<Int64>
    /// The clock's boot time as the kernel said it last, seconds since the epoch.
    private(set) var bootTimeSeconds: Int64 = 0
    /// Processes killed for lack of memory since boot; `nil` where the kernel does not say.
    private(set) var oomKills: Int64?
    /// Whether there is swap; taken for granted until `/proc/meminfo` says otherwise.
    private(set) var hasSwap = true

    /// A file, and the first column of its metrics.
    private struct Part {
        var source: Source
        var file: NodeFile
        var column: Int
        var found: FlatKeyedFile.Found
    }

    /// The node's files, in the order of columns.
    private enum Source: CaseIterable {
        case stat, loadAverage, memInfo, vmStat, uptime, fileHandles
        case pressureCPU, pressureMemory, pressureIO
        case sockStat, sockStat6
    }

    /// - Returns: `nil` where there is no `/proc/stat`, so no node to speak of.
    init?(
        roots: HostRoots, files: HostFiles, groups: SampleGroups, networkDirectory: String,
        hasNetwork: Bool, registry: inout SubjectRegistry
    ) {
        self.files = files
        values = .allocate(capacity: 64)
        values.initialize(repeating: 0, count: 64)
        var fields = [SchemaField(.readOffset)]
        var parts: [Part] = []
        for source in Source.allCases where groups.contains(Self.group(of: source)) {
            let path = Self.path(of: source, roots.proc, networkDirectory)
            guard let file = NodeFile(path, files) else { continue }
            guard let text = file.read(files) ?? file.read(files),
                let (sourceFields, found) = Self.fields(
                    of: source, text, path, files, &memInfo, &vmStat, values)
            else {
                file.close(files)
                continue
            }
            parts.append(Part(source: source, file: file, column: fields.count, found: found))
            fields += sourceFields
        }
        self.parts = parts
        networkColumn = hasNetwork ? fields.count : nil
        if hasNetwork { fields += NetworkSampler.counterFields }
        bootTimeSeconds = 0
        guard parts.contains(where: { $0.source == .stat }) || !groups.contains(.cpu),
            let slot = registry.add(Subject(kind: .node), fields: fields)
        else {
            for part in parts { part.file.close(files) }
            values.deallocate()
            return nil
        }
        self.slot = slot
    }

    /// Where the sum over the node's own interfaces goes.
    private let networkColumn: Int?

    deinit {
        for part in parts { part.file.close(files) }
        values.deallocate()
    }

    private static func group(of source: Source) -> SampleGroups {
        switch source {
        case .stat, .loadAverage, .uptime, .fileHandles: .cpu
        case .memInfo, .vmStat: .memory
        case .pressureCPU, .pressureMemory, .pressureIO: .psi
        case .sockStat, .sockStat6: .sockets
        }
    }

    private static func path(
        of source: Source, _ proc: String, _ networkDirectory: String
    ) -> String {
        switch source {
        case .stat: proc + "/stat"
        case .loadAverage: proc + "/loadavg"
        case .memInfo: proc + "/meminfo"
        case .vmStat: proc + "/vmstat"
        case .uptime: proc + "/uptime"
        case .fileHandles: proc + "/sys/fs/file-nr"
        case .pressureCPU: proc + "/pressure/cpu"
        case .pressureMemory: proc + "/pressure/memory"
        case .pressureIO: proc + "/pressure/io"
        case .sockStat: networkDirectory + "/sockstat"
        case .sockStat6: networkDirectory + "/sockstat6"
        }
    }

    private static func fields(
        of source: Source, _ text: KernelText, _ path: String, _ files: HostFiles,
        _ memInfo: inout KeyedMetrics, _ vmStat: inout KeyedMetrics,
        _ values: UnsafeMutablePointer<Int64>
    ) -> (fields: [SchemaField], found: FlatKeyedFile.Found)? {
        do {
            switch source {
            case .memInfo:
                let found = try memInfo.parse(text, into: values)
                return (memoryFields + memInfo.fields(of: found), found)
            case .vmStat:
                let found = try vmStat.parse(text, into: values)
                return (vmStat.fields(of: found), found)
            default: return (NodeSampler.fields[source] ?? [], 0)
            }
        } catch {
            files.note(.malformed(path: path, error))
            return nil
        }
    }

    private static let tick: UInt32 = 10_000_000
    private static let kB: UInt32 = 1_024
    private static let microsecond: UInt32 = 1_000
    private static let page: UInt32 = 4_096
    /// Before those of `/proc/meminfo` itself.
    private static let memoryFields: [SchemaField] = [
        .init(.memoryUsage, granularity: kB), .init(.memoryWorkingSet, granularity: kB),
        .init(.memorySwap, granularity: kB),
    ]

    private static let fields: [Source: [SchemaField]] = [
        .stat: [
            .init(.cpuUsage, granularity: tick), .init(.cpuUser, granularity: tick),
            .init(.cpuNice, granularity: tick), .init(.cpuSystem, granularity: tick),
            .init(.cpuIdle, granularity: tick), .init(.cpuIOWait, granularity: tick),
            .init(.cpuIRQ, granularity: tick), .init(.cpuSoftIRQ, granularity: tick),
            .init(.cpuSteal, granularity: tick), .init(.cpuGuest, granularity: tick),
            .init(.cpuGuestNice, granularity: tick), .init(.interrupts),
            .init(.contextSwitches), .init(.processForks), .init(.processesRunning),
            .init(.processesBlocked),
        ],
        .loadAverage: [
            .init(.load1, granularity: 10), .init(.load5, granularity: 10),
            .init(.load15, granularity: 10), .init(.cpuLoad, granularity: 1_000),
            .init(.processThreads),
        ],
        .uptime: [.init(.uptime, granularity: 10)],
        .fileHandles: [.init(.fileHandles), .init(.fileHandlesLimit)],
        .pressureCPU: [
            .init(.pressureCPUSome, granularity: microsecond),
            .init(.pressureCPUFull, granularity: microsecond),
        ],
        .pressureMemory: [
            .init(.pressureMemorySome, granularity: microsecond),
            .init(.pressureMemoryFull, granularity: microsecond),
        ],
        .pressureIO: [
            .init(.pressureIOSome, granularity: microsecond),
            .init(.pressureIOFull, granularity: microsecond),
        ],
        .sockStat: [
            .init(.socketsUsed), .init(.tcpInUse), .init(.tcpOrphan), .init(.tcpTimeWait),
            .init(.tcpAllocated), .init(.tcpMemory, granularity: page), .init(.udpInUse),
            .init(.udpMemory, granularity: page),
        ],
        .sockStat6: [.init(.tcp6InUse), .init(.udp6InUse)],
    ]

    /// Reads every file into the node's row; a file that cannot be read leaves its columns as they
    /// were.
    func sample(into encoder: FrameEncoder, offset: Int64) {
        let row = encoder.row(of: slot)
        guard let columns = row.baseAddress else { return }
        columns[0] = offset
        for part in parts { read(part, into: columns + part.column) }
    }

    /// Writes the sum over the node's own interfaces.
    func write(network sum: InterfaceCounters, into encoder: FrameEncoder) {
        guard let networkColumn, let columns = encoder.row(of: slot).baseAddress else { return }
        NetworkSampler.write(sum, to: columns + networkColumn)
    }

    private func read(_ part: Part, into columns: UnsafeMutablePointer<Int64>) {
        switch part.source {
        case .stat:
            guard let stat = part.file.parse(files, ProcStat.init(parsing:)) else { return }
            write(stat, to: columns)
        case .loadAverage:
            guard let load = part.file.parse(files, LoadAverage.init(parsing:)) else { return }
            columns[0] = load.oneMinute
            columns[1] = load.fiveMinutes
            columns[2] = load.fifteenMinutes
            columns[3] = load.runnableTasks &* 1_000
            columns[4] = load.tasks
        case .memInfo: readMemInfo(part, into: columns)
        case .vmStat: readVMStat(part, into: columns)
        case .uptime:
            if let uptime = part.file.parse(files, Uptime.milliseconds) { columns[0] = uptime }
        case .fileHandles:
            guard let handles = part.file.parse(files, FileHandles.init(parsing:)) else { return }
            columns[0] = handles.allocated
            columns[1] = handles.limit
        case .pressureCPU, .pressureMemory, .pressureIO:
            guard let pressure = part.file.parse(files, PressureStall.init(parsing:)) else {
                return
            }
            columns[0] = pressure.someNanoseconds
            columns[1] = pressure.fullNanoseconds
        case .sockStat:
            guard let sockets = part.file.parse(files, SockStat.init(parsing:)) else { return }
            write(sockets, to: columns)
        case .sockStat6:
            guard let sockets = part.file.parse(files, SockStat6.init(parsing:)) else { return }
            columns[0] = sockets.tcpInUse
            columns[1] = sockets.udpInUse
        }
    }

    private func write(_ stat: ProcStat, to columns: UnsafeMutablePointer<Int64>) {
        bootTimeSeconds = stat.bootTimeSeconds
        let times = stat.cpuNanoseconds
        columns[0] = times.usage
        columns[1] = times.user
        columns[2] = times.nice
        columns[3] = times.system
        columns[4] = times.idle
        columns[5] = times.ioWait
        columns[6] = times.irq
        columns[7] = times.softIRQ
        columns[8] = times.steal
        columns[9] = times.guest
        columns[10] = times.guestNice
        columns[11] = stat.interrupts
        columns[12] = stat.contextSwitches
        columns[13] = stat.forks
        columns[14] = stat.processesRunning
        columns[15] = stat.processesBlocked
    }

    private func write(_ sockets: SockStat, to columns: UnsafeMutablePointer<Int64>) {
        columns[0] = sockets.socketsUsed
        columns[1] = sockets.tcpInUse
        columns[2] = sockets.tcpOrphan
        columns[3] = sockets.tcpTimeWait
        columns[4] = sockets.tcpAllocated
        columns[5] = sockets.tcpMemoryPages &* Int64(Self.page)
        columns[6] = sockets.udpInUse
        columns[7] = sockets.udpMemoryPages &* Int64(Self.page)
    }

    private func readMemInfo(_ part: Part, into columns: UnsafeMutablePointer<Int64>) {
        guard let text = part.file.read(files) else { return }
        do throws(KernelTextError) {
            let found = try memInfo.parse(text, into: values)
            guard found == part.found else { throw .missing("key that it had before") }
        } catch {
            files.note(.malformed(path: part.file.path, error))
            return
        }
        let usage = values[MemInfo.Row.total] - values[MemInfo.Row.free]
        hasSwap = part.found & 1 << MemInfo.Row.swapTotal == 0 || values[MemInfo.Row.swapTotal] > 0
        columns[0] = usage &* MemInfo.kB
        columns[1] = max(0, usage - values[MemInfo.Row.inactiveFile]) &* MemInfo.kB
        columns[2] =
            (values[MemInfo.Row.swapTotal] - values[MemInfo.Row.swapFree]) &* MemInfo.kB
        _ = memInfo.write(values, found: part.found, to: columns + Self.memoryFields.count)
    }

    private func readVMStat(_ part: Part, into columns: UnsafeMutablePointer<Int64>) {
        guard let text = part.file.read(files) else { return }
        do throws(KernelTextError) {
            let found = try vmStat.parse(text, into: values)
            guard found == part.found else { throw .missing("key that it had before") }
        } catch {
            files.note(.malformed(path: part.file.path, error))
            return
        }
        oomKills = part.found & 1 << VMStat.Row.oomKills == 0 ? nil : values[VMStat.Row.oomKills]
        values[VMStat.Row.scansOfAnon] &+= values[VMStat.Row.scansOfFile]
        values[VMStat.Row.stealsOfAnon] &+= values[VMStat.Row.stealsOfFile]
        _ = vmStat.write(values, found: part.found, to: columns)
    }
}
