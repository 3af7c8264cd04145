import Glibc
import Wire

/// Samples all cgroups: keeps an entry with open files for each, and reads them all in a step.
final class CgroupSampler {
    let hierarchies: CgroupHierarchies
    let files: HostFiles
    let reader: CgroupReader
    private let sources: [CgroupSource]
    /// `nil` where settings are read by the clock alone.
    private let settingsWatcher: SettingsWatcher?
    /// Whether `total_` keys are to be read: everywhere but on kernels before 5.11 that have it off.
    private let usesHierarchyEverywhere: Bool

    var entries: [CgroupEntry] = []
    private(set) var indexOfPath: [String: Int] = [:]
    /// Paths whose files vanished in the last step, to be removed.
    var gone: [String] = []
    /// Paths with a file that fails again and again: to be made anew without it.
    var failing: [String] = []
    /// Kills in containers that are gone, of pods that come back in a moment.
    private var keptKills: [String: Int64] = [:]
    /// Devices seen in the last step that are no subjects yet.
    var newDevices: [(path: String, io: DeviceIO)] = []
    var goneDevices: [(path: String, device: DeviceNumber)] = []
    /// How long files and whole cgroups take, by source and by kind of subject.
    var fileTimes = ReadingTimes(kinds: CgroupSource.allCases.count)
    var entryTimes = ReadingTimes(kinds: 256)
    /// The entry whose files are timed in this step, for the medians.
    var timedEntry = 0
    /// Files that are read less often than asked for, because they are slow.
    var slowFileCount: Int64 = 0
    /// Readings that were left out for it; never reset.
    var skippedReadCount: Int64 = 0
    /// Whether the kills of containers are to be added to their pods' once more.
    var killsChanged = false

    init(
        hierarchies: CgroupHierarchies, files: HostFiles, groups: SampleGroups,
        settingsWatcher: SettingsWatcher?
    ) {
        self.settingsWatcher = settingsWatcher
        self.hierarchies = hierarchies
        self.files = files
        reader = CgroupReader(files: files)
        sources = CgroupSource.all(version: hierarchies.version).filter {
            groups.contains($0.description.group)
        }
        usesHierarchyEverywhere =
            hierarchies.directory(of: .memory).map {
                files.line($0 + "/memory.use_hierarchy") != "0"
            } ?? true
        gone.reserveCapacity(16)
    }

    deinit {
        for entry in entries { close(entry) }
    }

    /// The entry of a cgroup; `nil` where it is not sampled.
    func entry(of path: String) -> CgroupEntry? { indexOfPath[path].map { entries[$0] } }

    // MARK: Coming and going

    /// Opens a cgroup's files and makes it a subject with the metrics that they have.
    ///
    /// - Returns: the slot; `nil` where the cgroup has no file that is sampled, or is gone again,
    ///   or the wire allows no more subjects.
    func add(
        _ path: String, _ subject: Subject, parent: Slot, registry: inout SubjectRegistry
    ) -> Slot? {
        precondition(indexOfPath[path] == nil, "\(path) is sampled already")
        var fields = [SchemaField(.readOffset)]
        var sourceFiles: [CgroupEntry.SourceFile] = []
        var missing: [CgroupSource] = []
        var hasFailed = false
        for source in sources where isWanted(source, subject.kind, path) {
            guard let file = open(source, path, column: fields.count, &hasFailed) else {
                missing.append(source)
                continue
            }
            // Working set is made of usage: without it there is nothing to say.
            if file.fields.first?.metric == MetricID.memoryWorkingSet.rawValue,
                !fields.contains(where: { $0.metric == MetricID.memoryUsage.rawValue })
            {
                files.closeKept(file.file.descriptor)
                continue
            }
            fields += file.fields
            sourceFiles.append(file.file)
        }
        // One that is removed meanwhile would be a subject of the files that were opened in time, with a schema
        // of its own for ever.
        let isGone = !missing.isEmpty && hasVanished(path)
        guard !sourceFiles.isEmpty, !isGone, let slot = registry.add(subject, fields: fields) else {
            for file in sourceFiles { files.closeKept(file.descriptor) }
            return nil
        }
        indexOfPath[path] = entries.count
        var entry = CgroupEntry(
            path: path, kind: subject.kind, slot: slot, parent: parent, sources: sourceFiles,
            missing: missing, hasFailedSource: hasFailed,
            settingsWatches: watches(path, sourceFiles))
        if let kills = keptKills.removeValue(forKey: path) { entry.oomKillsOfRemoved = kills }
        entries.append(entry)
        return slot
    }

    /// Watches the directories with settings that the cgroup has.
    private func watches(_ path: String, _ sources: [CgroupEntry.SourceFile]) -> [Int32] {
        guard let settingsWatcher else { return [] }
        let settings = sources.filter { $0.source.description.cadence == .settings }
        let directories = Set(settings.compactMap { directory(of: $0.source) })
        return settingsWatcher.add(path, in: directories.sorted()) ?? []
    }

    private func hasVanished(_ path: String) -> Bool {
        hierarchies.treeDirectories.allSatisfy { files.look(at: $0 + "/" + path) == .absent }
    }

    /// What is read of which kind of cgroup.
    private func isWanted(_ source: CgroupSource, _ kind: SubjectKind, _ path: String) -> Bool {
        switch source {
        case .memoryStatV1: usesHierarchy(path)
        case .memoryStatFlatV1: !usesHierarchy(path)
        // A pod has no processes of its own, and in v1 each kept file has its price: what a pod has
        // beyond its containers' is not in these.
        case .processes: kind != .pod
        case .memoryMaxUsageV1, .memoryFailcntV1, .memoryKernelV1: kind != .pod
        // A group of pods has no processes that could be killed in it; v1 does not add them up.
        case .oomControlV1: PodCgroupPath(path) != .podGroup
        default: true
        }
    }

    private func usesHierarchy(_ path: String) -> Bool {
        guard !usesHierarchyEverywhere, let memory = hierarchies.directory(of: .memory) else {
            return true
        }
        return files.line("\(memory)/\(path)/memory.use_hierarchy") != "0"
    }

    /// Opens a source and asks what metrics it has.
    ///
    /// - Parameter hasFailed: becomes `true` where the file may be there next time.
    private func open(
        _ source: CgroupSource, _ path: String, column: Int, _ hasFailed: inout Bool
    ) -> (file: CgroupEntry.SourceFile, fields: [SchemaField])? {
        let description = source.description
        guard let directory = directory(of: source) else { return nil }
        var isKept = description.cadence == .step
        var descriptor = isKept ? files.keep(directory, path, description.fileName) : -EMFILE
        if descriptor == -EMFILE {
            isKept = false
            descriptor = files.open(directory, path, description.fileName)
        }
        guard descriptor >= 0 else {
            files.noteFailure(of: description.fileName, in: path, -descriptor)
            hasFailed = hasFailed || KernelFileError.mayPass(-descriptor)
            return nil
        }
        let count = files.read(descriptor, CgroupReader.extent(of: source))
        if count >= 0 {
            do throws(KernelTextError) {
                let (fields, found) = try reader.fields(of: source, files.bytes(count))
                if !isKept { files.closeTransient(descriptor) }
                let file = CgroupEntry.SourceFile(
                    source, column: column, descriptor: isKept ? descriptor : -1, found: found)
                return (file, fields)
            } catch {
                files.note(description.fileName, in: path, malformed: error)
            }
        } else {
            files.noteFailure(of: description.fileName, in: path, Int32(-count))
            hasFailed = hasFailed || KernelFileError.mayPass(Int32(-count))
        }
        if isKept { files.closeKept(descriptor) } else { files.closeTransient(descriptor) }
        return nil
    }

    /// Cgroups that lack a file which is there by now: a controller was turned on, or what
    /// failed works again.
    ///
    /// - Parameter onlyFailed: passes over files that were absent or denied.
    func recovered(onlyFailed: Bool) -> [String] {
        entries.filter { entry in
            if onlyFailed, !entry.hasFailedSource { return false }
            return entry.missing.contains { isReadable($0, entry.path) }
        }.map(\.path)
    }

    private func isReadable(_ source: CgroupSource, _ path: String) -> Bool {
        guard let directory = directory(of: source) else { return false }
        let descriptor = files.open(directory, path, source.description.fileName)
        guard descriptor >= 0 else { return false }
        defer { files.closeTransient(descriptor) }
        return files.read(descriptor, CgroupReader.extent(of: source)) >= 0
    }

    var hasFailedSources: Bool { entries.contains(where: \.hasFailedSource) }

    func directory(of source: CgroupSource) -> String? {
        let controller = source.description.controller
        if let directory = hierarchies.directory(of: controller) { return directory }
        // A list of processes is in every hierarchy.
        return source == .processes ? hierarchies.directory(of: .cpuacct) : nil
    }

    /// Has the settings read of every cgroup of which one was written, and of those that it reaches.
    func noteWrittenSettings() {
        guard let settingsWatcher else { return }
        let hasLost = settingsWatcher.drain { path, reachesBelow in
            guard let index = indexOfPath[path] else { return }
            entries[index].stepsToSettings = 0
            guard reachesBelow, entries[index].kind != .container else { return }
            for below in entries.indices where entries[below].path.hasPrefix(path + "/") {
                entries[below].stepsToSettings = 0
            }
        }
        guard hasLost else { return }
        for index in entries.indices { entries[index].stepsToSettings = 0 }
    }

    /// Forgets a cgroup and its devices.
    ///
    /// - Parameter isComingBack: the cgroup is still there and is added again at once.
    func remove(_ path: String, isComingBack: Bool, registry: inout SubjectRegistry) {
        guard let index = indexOfPath.removeValue(forKey: path) else { return }
        let entry = entries[index]
        entries.swapAt(index, entries.count - 1)
        entries.removeLast()
        if index < entries.count { indexOfPath[entries[index].path] = index }
        close(entry)
        for device in entry.devices { registry.remove(device.slot) }
        registry.remove(entry.slot)
        slowFileCount -= Int64(entry.sources.count { $0.pace.isReduced })
        if isComingBack {
            if entry.oomKillsOfRemoved > 0 { keptKills[path] = entry.oomKillsOfRemoved }
            return
        }
        // Kills that a pod's containers took along would make its count fall.
        if entry.oomKills > 0, let pod = indexOfPath[CgroupTree.parent(of: path)],
            entries[pod].kind == .pod
        {
            entries[pod].oomKillsOfRemoved += entry.oomKills
            killsChanged = true
        }
    }

    private func close(_ entry: CgroupEntry) {
        settingsWatcher?.remove(entry.settingsWatches)
        for file in entry.sources { files.closeKept(file.descriptor) }
    }
}
