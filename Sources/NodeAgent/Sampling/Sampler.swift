import Glibc
import Wire

/// What the sampler is told at its start.
struct SamplerConfiguration: Sendable {
    var roots = HostRoots()
    var groups = SampleGroups.standard
    /// How long a new cgroup may stay without a process before it is shown all the same.
    var emptyCgroupDelayMilliseconds: Int64 = 500
    /// Between two looks at everything that no event tells of.
    var rescanIntervalMilliseconds: Int64 = 60_000
    /// Between two reads of a cgroup's settings.
    var settingsIntervalMilliseconds: Int64 = 60_000
    /// The same where the kernel tells of every change.
    var watchedSettingsIntervalMilliseconds: Int64 = 600_000
    /// Between two looks at a list of processes whose number of threads does not change.
    var processesIntervalMilliseconds: Int64 = 10_000
    /// Between two attempts at files that could not be read.
    var retryIntervalMilliseconds: Int64 = 10_000
    var resolutionMilliseconds: Int64 = 10_000
    /// Files and directories a second that a thread of its own looks at to measure what containers keep on
    /// disk; 0 for no such thread.
    var walkRate = 0
    /// From one walk of a directory to the next.
    var walkIntervalMilliseconds: Int64 = 300_000
    /// `false` compares link counts instead of watching pods' directories, and reads settings once a minute
    /// instead of when they are written.
    var watchesPods = true
}

/// The sampling half of the agent: finds the subjects of the node and reads them into an encoder.
///
/// In a step: `step(into:)`, which looks for what came and went, applies the changes to the encoder,
/// reads everything into its rows and returns the changes in the order in which the other end must
/// hear of them, before the frame. When `watchDescriptor` becomes readable between steps:
/// `stepNew(into:)`, which reads only what is new.
///
/// One thread. Allocates nothing in a step in which nothing comes or goes.
final class Sampler {
    private(set) var configuration: SamplerConfiguration
    let files: HostFiles
    let clock: SampleClock
    let hierarchies: CgroupHierarchies?
    var registry: SubjectRegistry
    var machine: MachineFacts
    var driver: PodCgroupPath.Driver?

    let node: NodeSampler
    let nodeSlot: Slot
    let cgroups: CgroupSampler?
    let tree: CgroupTree?
    let start: CgroupStart?
    let network: NetworkSampler?
    private let disks: DiskSampler?
    let filesystems: FilesystemSampler?
    let hugePages: HugePagesSampler?
    let storage: StorageSampler?
    private let agent: AgentSelfSampler?

    /// Cgroups that have no process yet, and when they were first seen.
    var pending: [String: Int64] = [:]
    /// Pods and containers that had no process when they were added, and since when: their start is
    /// their directory's time until there is a process.
    var unstarted: [String: Int64] = [:]
    /// Cgroups whose files vanished although the directory may still be there.
    var lost: [String] = []
    var podSlots: [String: Slot] = [:]
    /// Pods whose network namespace is to be looked for.
    var podsToResolve: Set<String> = []
    /// Pods of which no process could be asked; looked at again once a minute.
    var podsUnresolved: Set<String> = []
    var lastRescan: Int64
    var lastRetry: Int64 = 0
    private var lastOOMKills: Int64?
    private var killSteps = 0
    var isFirstDiscovery = true
    /// Called between the parts of a rescan, whose code has little in common.
    var betweenParts: () -> Void = {}
    /// Slots added since the last sample.
    var newPaths: [String] = []
    /// Subjects that the encoder refused; never reset.
    private(set) var refusedCount: Int64 = 0
    private var hasSaidRefusal = false
    /// How long the last step took.
    private(set) var lastStepNanoseconds: Int64 = 0

    /// - Throws: `cannotOpen` where there is no `/proc` to read.
    init(
        _ configuration: SamplerConfiguration, files: HostFiles, clock: SampleClock = .system
    ) throws(KernelFileError) {
        self.configuration = configuration
        self.files = files
        self.clock = clock
        let (roots, groups) = (configuration.roots, configuration.groups)
        var registry = SubjectRegistry()
        hierarchies = Self.hierarchies(roots, files)
        let networkDirectory = NetworkSampler.nodeDirectory(proc: roots.proc, files: files)
        network =
            groups.contains(.network)
            ? NetworkSampler(proc: roots.proc, nodeDirectory: networkDirectory, files: files) : nil
        guard
            let node = NodeSampler(
                roots: roots, files: files, groups: groups, networkDirectory: networkDirectory,
                hasNetwork: network?.readsNode == true, registry: &registry)
        else {
            throw .cannotOpen(path: roots.proc + "/stat", errno: ENOENT)
        }
        self.node = node
        nodeSlot = node.slot
        network?.addNode(node.slot)
        disks =
            groups.contains(.disk) || groups.contains(.io)
            ? DiskSampler(
                proc: roots.proc, node: node.slot, files: files,
                makesSubjects: groups.contains(.disk)) : nil
        filesystems =
            groups.isDisjoint(with: [.filesystem, .volumes])
            ? nil : FilesystemSampler(roots: roots, groups: groups, node: node.slot, files: files)
        agent =
            groups.contains(.agent)
            ? AgentSelfSampler(node: node.slot, files: files, registry: &registry) : nil
        cgroups = hierarchies.map {
            CgroupSampler(
                hierarchies: $0, files: files, groups: groups,
                settingsWatcher: configuration.watchesPods ? SettingsWatcher() : nil)
        }
        hugePages = hierarchies.flatMap {
            HugePagesSampler(hierarchies: $0, roots: roots, groups: groups, files: files)
        }
        storage =
            groups.contains(.ephemeral) && hierarchies != nil
            ? StorageSampler(
                places: StoragePlaces(roots: roots, files: files), files: files,
                walker: Self.walker(configuration, files)) : nil
        tree = hierarchies.map {
            CgroupTree(
                hierarchies: $0, files: files,
                watcher: configuration.watchesPods ? CgroupWatcher() : nil)
        }
        start = hierarchies.map { CgroupStart(hierarchies: $0, proc: roots.proc, files: files) }
        machine = MachineReader(roots: roots, files: files).read(
            cgroupVersion: hierarchies?.version ?? 0, driver: nil)
        lastRescan = clock.monotonicNanoseconds() / 1_000_000
        self.registry = registry
    }

    private static func walker(
        _ configuration: SamplerConfiguration, _ files: HostFiles
    ) -> DirectoryWalker? {
        guard configuration.walkRate > 0 else { return nil }
        do throws(TransportError) {
            return try DirectoryWalker(
                entriesPerSecond: configuration.walkRate,
                intervalMilliseconds: configuration.walkIntervalMilliseconds)
        } catch {
            files.notice("directories are not walked: \(error)")
            return nil
        }
    }

    private static func hierarchies(_ roots: HostRoots, _ files: HostFiles) -> CgroupHierarchies? {
        do {
            // This process's own mounts, for it is this process that opens the files.
            let mounts = try files.parse("/proc/self/mountinfo", MountInfo.parse)
            if let found = CgroupHierarchies(mounts: mounts, root: roots.cgroup) { return found }
        } catch {
            files.note(error)
        }
        return CgroupHierarchies(layoutOf: roots.cgroup, files: files)
            ?? CgroupHierarchies(layoutOf: roots.cgroup, files: files)
    }

    // MARK: Steps

    /// Steps come at another distance from now on.
    func setResolution(milliseconds: Int64) { configuration.resolutionMilliseconds = milliseconds }

    /// Becomes readable when a pod or container comes or goes; `nil` where nothing is watched.
    var watchDescriptor: Int32? { tree?.watchDescriptor }

    /// Whether there are cgroups that wait for their first process: `stepNew` wants to be called
    /// again in some ten milliseconds.
    var hasPending: Bool { !pending.isEmpty }

    /// Files that are read less often than asked for because they are slow, and the readings that
    /// were left out for it so far.
    var slowFileCount: Int64 { cgroups?.slowFileCount ?? 0 }
    var skippedReadCount: Int64 { cgroups?.skippedReadCount ?? 0 }

    /// Whether `rescan` would be due at a step that comes in so many milliseconds.
    func isRescanDue(inMilliseconds wait: Int64) -> Bool {
        let now = clock.monotonicNanoseconds() / 1_000_000
        return isFirstDiscovery
            || now + wait - lastRescan >= configuration.rescanIntervalMilliseconds
    }

    /// Looks at everything that no event tells of, ahead of the step that would do it otherwise: the step is
    /// shorter, and what both need is not in memory at the same time. The step tells the changes.
    func rescan() {
        let now = clock.monotonicNanoseconds() / 1_000_000
        look(now, isRescan: !isFirstDiscovery)
        isFirstDiscovery = false
        lastRescan = now
    }

    /// Takes a sample of everything; see the type's own description.
    ///
    /// The encoder must have been given exactly the changes returned so far.
    func step(into encoder: FrameEncoder, state: AgentState = AgentState()) -> [SubjectChange] {
        let begin = clock.monotonicNanoseconds()
        var changes = discover(begin)
        apply(changes, to: encoder)
        newPaths.removeAll(keepingCapacity: true)

        // The node comes first: its count of kills says whether cgroups' are to be looked at.
        node.sample(into: encoder, offset: offset(since: begin))
        cgroups?.sample(into: encoder, cgroupStep(begin))
        hugePages?.sample(into: encoder, clock: clock, start: begin)
        sampleNetwork(encoder, begin)
        disks?.sample(into: encoder, offset: offset(since: begin))
        storage?.sample(into: encoder, offset: offset(since: begin))
        filesystems?.checkMounts()
        filesystems?.sample(into: encoder, clock: clock, start: begin)

        let late = settle(encoder, begin)
        if !late.isEmpty { changes += late }
        if registry.refusedCount > 0, !hasSaidRefusal {
            hasSaidRefusal = true
            files.notice("more is on this node than the wire takes: some of it is not sampled")
        }
        lastStepNanoseconds = clock.monotonicNanoseconds() - begin
        agent?.sample(
            into: encoder, state: state, subjectCount: registry.subjectCount,
            sampleNanoseconds: lastStepNanoseconds)
        return changes
    }

    /// Takes a sample of what is new since the last step and leaves all other rows as they are.
    ///
    /// - Returns: the changes; empty where nothing came or went, and then no frame is due.
    func stepNew(into encoder: FrameEncoder) -> [SubjectChange] {
        let begin = clock.monotonicNanoseconds()
        var changes = discover(begin)
        guard !changes.isEmpty else { return changes }
        apply(changes, to: encoder)
        for path in newPaths {
            cgroups?.sampleNew(
                path, into: encoder, cgroupStep(begin), offset: offset(since: begin))
        }
        newPaths.removeAll(keepingCapacity: true)
        if let network {
            // A pod that came brought its interfaces; the others are read along with them.
            _ = network.sample(into: encoder, clock: clock, start: begin)
        }
        let late = settle(encoder, begin)
        if !late.isEmpty { changes += late }
        return changes
    }

    private func sampleNetwork(_ encoder: FrameEncoder, _ begin: Int64) {
        guard let network,
            let sum = network.sample(into: encoder, clock: clock, start: begin)
        else { return }
        node.write(network: sum, into: encoder)
    }

    private func offset(since begin: Int64) -> Int64 {
        (clock.monotonicNanoseconds() - begin) / 1_000_000
    }

    private func cgroupStep(_ begin: Int64) -> CgroupSampler.Step {
        var conditions: ReadingConditions = node.hasSwap ? [.hasSwap] : []
        // The kernel counts a kill for the node before it counts it for the cgroup, so the step
        // after is one of looking too.
        if node.oomKills != lastOOMKills || node.oomKills == nil { killSteps = 2 }
        lastOOMKills = node.oomKills
        if killSteps > 0 {
            killSteps -= 1
            conditions.insert(.killed)
        }
        let resolution = configuration.resolutionMilliseconds
        return CgroupSampler.Step(
            clock: clock, start: begin,
            stepsPerSettings: Int(configuration.settingsIntervalMilliseconds / resolution),
            stepsPerWatchedSettings: Int(
                configuration.watchedSettingsIntervalMilliseconds / resolution),
            stepsPerProcesses: Int(configuration.processesIntervalMilliseconds / resolution),
            conditions: conditions)
    }

    private func apply(_ changes: [SubjectChange], to encoder: FrameEncoder) {
        for change in changes {
            do {
                try encoder.apply(change)
            } catch {
                // The registry keeps the same limits, so this is one of ours; the row is
                // empty then and nothing is written to it.
                refusedCount += 1
                Diagnostics.error("the encoder refused a subject: \(error)")
            }
        }
    }

    /// Deals with what the reading itself found: cgroups that are gone, devices, interfaces and
    /// filesystems that came or went. New subjects' rows are filled.
    private func settle(_ encoder: FrameEncoder, _ begin: Int64) -> [SubjectChange] {
        if let cgroups {
            for path in cgroups.gone {
                forget(path)
                lost.append(path)
                tree?.suspect(path)
            }
            readAnew(cgroups.failing)
        }
        var newIO: [(slot: Slot, io: DeviceIO)] = []
        if let cgroups, cgroups.hasUnsettledDevices {
            newIO = cgroups.settleDevices(registry: &registry) { device in
                disks.map { $0.name(of: device) } ?? device.description
            }
        }
        let hasNewInterfaces = network?.settle(registry: &registry) ?? false
        let hasNewDisks = disks?.settle(registry: &registry) ?? false
        let hasNewFilesystems =
            filesystems?.settle(registry: &registry, pods: podSlots) ?? false
        let hasNewStorage = storage?.settle(registry: &registry) ?? false
        let changes = registry.takeChanges()
        if changes.isEmpty { return changes }
        apply(changes, to: encoder)
        for (slot, io) in newIO {
            CgroupSampler.write(io, offset: offset(since: begin), to: encoder.row(of: slot))
        }
        if hasNewInterfaces { sampleNetwork(encoder, begin) }
        if hasNewDisks { disks?.sample(into: encoder, offset: offset(since: begin)) }
        if hasNewStorage { storage?.sample(into: encoder, offset: offset(since: begin)) }
        if hasNewFilesystems { filesystems?.sample(into: encoder, clock: clock, start: begin) }
        return changes
    }
}
