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
    /// Between two looks at a list of processes whose number of threads does not change.
    var processesIntervalMilliseconds: Int64 = 10_000
    /// Between two attempts at files that could not be read.
    var retryIntervalMilliseconds: Int64 = 10_000
    var resolutionMilliseconds: Int64 = 10_000
    /// `false` compares link counts instead of watching pods' directories.
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
    private(set) var driver: PodCgroupPath.Driver?

    private let node: NodeSampler
    let nodeSlot: Slot
    let cgroups: CgroupSampler?
    let tree: CgroupTree?
    let start: CgroupStart?
    let network: NetworkSampler?
    private let disks: DiskSampler?
    private let filesystems: FilesystemSampler?
    private let hugePages: HugePagesSampler?
    private let agent: AgentSelfSampler?

    /// Cgroups that have no process yet, and when they were first seen.
    private var pending: [String: Int64] = [:]
    /// Cgroups whose files vanished although the directory may still be there.
    private var lost: [String] = []
    private var podSlots: [String: Slot] = [:]
    /// Pods whose network namespace is to be looked for.
    var podsToResolve: Set<String> = []
    /// Pods of which no process could be asked; looked at again once a minute.
    var podsUnresolved: Set<String> = []
    private var lastRescan: Int64
    private var lastRetry: Int64 = 0
    private var lastOOMKills: Int64?
    private var killSteps = 0
    private var isFirstDiscovery = true
    /// Slots added since the last sample.
    private var newPaths: [String] = []
    /// Subjects that the encoder refused; never reset.
    private(set) var refusedCount: Int64 = 0
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
        guard
            let node = NodeSampler(
                roots: roots, files: files, groups: groups, networkDirectory: networkDirectory,
                hasNetwork: groups.contains(.network), registry: &registry)
        else {
            throw .cannotOpen(path: roots.proc + "/stat", errno: ENOENT)
        }
        self.node = node
        nodeSlot = node.slot
        network =
            groups.contains(.network)
            ? NetworkSampler(proc: roots.proc, nodeDirectory: networkDirectory, files: files) : nil
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
        cgroups = hierarchies.map { CgroupSampler(hierarchies: $0, files: files, groups: groups) }
        hugePages = hierarchies.flatMap {
            HugePagesSampler(hierarchies: $0, roots: roots, groups: groups, files: files)
        }
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
        if let network {
            node.write(
                network: network.sample(into: encoder, clock: clock, start: begin), into: encoder)
        }
        disks?.sample(into: encoder, offset: offset(since: begin))
        filesystems?.checkMounts()
        filesystems?.sample(into: encoder, clock: clock, start: begin)

        let late = settle(encoder, begin)
        if !late.isEmpty { changes += late }
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
                disks?.name(of: device) ?? device.description
            }
        }
        let hasNewInterfaces = network?.settle(registry: &registry) ?? false
        let hasNewDisks = disks?.settle(registry: &registry) ?? false
        let hasNewFilesystems =
            filesystems?.settle(registry: &registry, pods: podSlots) ?? false
        let changes = registry.takeChanges()
        if changes.isEmpty { return changes }
        apply(changes, to: encoder)
        for (slot, io) in newIO {
            CgroupSampler.write(io, offset: offset(since: begin), to: encoder.row(of: slot))
        }
        if hasNewInterfaces, let network {
            node.write(
                network: network.sample(into: encoder, clock: clock, start: begin), into: encoder)
        }
        if hasNewDisks { disks?.sample(into: encoder, offset: offset(since: begin)) }
        if hasNewFilesystems { filesystems?.sample(into: encoder, clock: clock, start: begin) }
        return changes
    }

    // MARK: Discovery

    /// Looks for cgroups that came and went.
    private func discover(_ begin: Int64) -> [SubjectChange] {
        guard let tree else { return registry.takeChanges() }
        let now = begin / 1_000_000
        var change = tree.update()
        if now - lastRescan >= configuration.rescanIntervalMilliseconds {
            lastRescan = now
            let more = tree.rescan()
            change.added += more.added
            change.removed += more.removed
            readMachine()
            readAnew(cgroups?.recovered(onlyFailed: false) ?? [])
            podsToResolve.formUnion(podsUnresolved)
            podsUnresolved.removeAll(keepingCapacity: true)
        } else if now - lastRetry >= configuration.retryIntervalMilliseconds {
            lastRetry = now
            if let cgroups, cgroups.hasFailedSources {
                readAnew(cgroups.recovered(onlyFailed: true))
            }
        }
        for path in change.removed { forget(path) }
        // A directory that outlived some of its files is sampled anew with what it has.
        for path in lost where tree.nodes[path] != nil && cgroups?.entry(of: path) == nil {
            if !change.added.contains(path) { change.added.append(path) }
        }
        lost.removeAll(keepingCapacity: true)
        if !change.added.isEmpty || !pending.isEmpty { admit(change.added, now) }
        if !podsToResolve.isEmpty { resolveNetworks() }
        isFirstDiscovery = false
        return registry.takeChanges()
    }

    /// Makes subjects of new cgroups as soon as they have a process, or have waited long enough.
    private func admit(_ added: [String], _ now: Int64) {
        guard let tree, let start else { return }
        var candidates = Set(pending.keys).union(added).filter { tree.nodes[$0] != nil }
        if !configuration.groups.contains(.system) {
            candidates = candidates.filter { Self.belongsToPods(tree.nodes[$0]?.identity) }
        }
        let bootTime = bootTimeSeconds()
        var starts: [String: Int64] = [:]
        // Deepest first, so that a pod's start is its oldest container's.
        let ordered = candidates.sorted { ($0.utf8.count, $0) < ($1.utf8.count, $1) }
        for path in ordered.reversed() {
            let own = start.time(of: start.processIDs(of: path), bootTimeSeconds: bootTime)
            if let first = [own, starts[path]].compactMap({ $0 }).min() {
                starts[path] = first
                let parent = CgroupTree.parent(of: path)
                starts[parent] = min(starts[parent] ?? first, first)
            }
        }
        pending = pending.filter { candidates.contains($0.key) }
        for path in ordered {
            let firstSeen = pending[path] ?? now
            let hasWaited = now - firstSeen >= configuration.emptyCgroupDelayMilliseconds
            guard starts[path] != nil || hasWaited || isFirstDiscovery else {
                pending[path] = firstSeen
                continue
            }
            pending[path] = nil
            let time =
                starts[path]
                ?? start.directoryTime(
                    of: path, bootTimeSeconds: bootTime, now: clock.realtimeMilliseconds)
            add(path, startTime: time)
        }
    }

    /// Makes cgroups' subjects anew, with the files that they have by now.
    private func readAnew(_ paths: [String]) {
        for path in paths {
            // A pod's subject may get another slot, and its containers name it as their parent.
            let children = cgroups?.entry(of: path)?.kind == .pod ? tree?.children(of: path) : nil
            for child in (children ?? []).map({ path + "/" + $0 }) + [path]
            where cgroups?.entry(of: child) != nil {
                forget(child, isComingBack: true)
                lost.append(child)
            }
        }
    }

    private static func belongsToPods(_ identity: PodCgroupPath?) -> Bool {
        switch identity {
        case .pod, .container, .podGroup: true
        default: false
        }
    }

    private func bootTimeSeconds() -> Int64 {
        if node.bootTimeSeconds > 0 { return node.bootTimeSeconds }
        return Int64(machine.bootTimeMilliseconds / 1_000)
    }

    private func add(_ path: String, startTime: Int64) {
        guard let cgroups, let identity = tree?.nodes[path]?.identity,
            cgroups.entry(of: path) == nil
        else { return }
        let parentPath = CgroupTree.parent(of: path)
        var parent = nodeSlot
        if case .container = identity, let pod = cgroups.entry(of: parentPath) { parent = pod.slot }
        let subject = self.subject(path, identity, parent, startTime)
        guard let slot = cgroups.add(path, subject, parent: parent, registry: &registry) else {
            return
        }
        newPaths.append(path)
        hugePages?.add(path, owner: slot, registry: &registry)
        switch identity {
        case .pod(let uid, _, let driver):
            podSlots[uid] = slot
            filesystems?.podsChanged()
            learn(driver)
        case .container: if parent != nodeSlot { podsToResolve.insert(parentPath) }
        case .insidePod, .podGroup, .other: break
        }
    }

    /// The driver shows in the first pod's path.
    private func learn(_ driver: PodCgroupPath.Driver) {
        guard self.driver == nil else { return }
        self.driver = driver
        machine.cgroupDriver = driver.rawValue
    }

    private func forget(_ path: String, isComingBack: Bool = false) {
        guard let cgroups, let entry = cgroups.entry(of: path) else {
            pending[path] = nil
            return
        }
        hugePages?.remove(path, registry: &registry)
        if entry.kind == .pod {
            network?.remove(entry.slot, registry: &registry)
            filesystems?.podsChanged()
            filesystems?.remove(ofPod: entry.slot, registry: &registry)
            podSlots = podSlots.filter { $0.value != entry.slot }
        } else if entry.kind == .container {
            podsToResolve.insert(CgroupTree.parent(of: path))
        }
        cgroups.remove(path, isComingBack: isComingBack, registry: &registry)
    }
}
