import Glibc
import Wire

/// Samples all cgroups: keeps an entry with open files for each, and reads them all in a step.
final class CgroupSampler {
    private let hierarchies: CgroupHierarchies
    private let files: HostFiles
    private let reader: CgroupReader
    private let groups: SampleGroups
    private let sources: [CgroupSource]
    /// Whether `total_` keys are to be read: everywhere but on kernels before 5.11 that have it off.
    private let usesHierarchyEverywhere: Bool

    private(set) var entries: [CgroupEntry] = []
    private var indexOfPath: [String: Int] = [:]
    /// Paths whose files vanished in the last step, to be removed.
    private(set) var gone: [String] = []
    /// Devices seen in the last step that are no subjects yet.
    private var newDevices: [(path: String, io: DeviceIO)] = []
    private var goneDevices: [(path: String, device: DeviceNumber)] = []

    /// Settings are read in the first steps of a cgroup's life, for a runtime writes them
    /// after it made the cgroup, and then about once a minute.
    static let earlySettingsReads = 3

    init(hierarchies: CgroupHierarchies, files: HostFiles, groups: SampleGroups) {
        self.hierarchies = hierarchies
        self.files = files
        self.groups = groups
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
        for source in sources where isWanted(source, subject.kind, path) {
            guard let file = open(source, path, column: fields.count) else { continue }
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
        guard !sourceFiles.isEmpty, let slot = registry.add(subject, fields: fields) else {
            for file in sourceFiles { files.closeKept(file.descriptor) }
            return nil
        }
        indexOfPath[path] = entries.count
        entries.append(
            CgroupEntry(
                path: path, kind: subject.kind, slot: slot, parent: parent, sources: sourceFiles))
        return slot
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
    private func open(
        _ source: CgroupSource, _ path: String, column: Int
    ) -> (file: CgroupEntry.SourceFile, fields: [SchemaField])? {
        let description = source.description
        guard let directory = directory(of: source) else { return nil }
        let isKept = description.cadence == .step
        var descriptor = isKept ? files.keep(directory, path, description.fileName) : -EMFILE
        let hasNoBudget = descriptor == -EMFILE
        if hasNoBudget { descriptor = files.open(directory, path, description.fileName) }
        guard descriptor >= 0 else {
            if KernelFileError.isDenial(-descriptor) {
                files.noteDenial(of: description.fileName, -descriptor)
            } else if !KernelFileError.isAbsence(-descriptor) {
                files.countFailure()
            }
            return nil
        }
        defer { if hasNoBudget { files.closeTransient(descriptor) } }
        let count = files.read(descriptor, CgroupReader.extent(of: source))
        if count >= 0 {
            do {
                let (fields, found) = try reader.fields(of: source, files.bytes(count))
                let file = CgroupEntry.SourceFile(
                    source: source, column: UInt16(column),
                    descriptor: hasNoBudget ? -1 : descriptor, found: found,
                    isEveryStep: description.cadence == .step)
                return (file, fields)
            } catch {
                files.countFailure()
            }
        } else if !KernelFileError.isAbsence(Int32(-count)) {
            files.countFailure()
        }
        if !hasNoBudget { files.closeKept(descriptor) }
        return nil
    }

    private func directory(of source: CgroupSource) -> String? {
        let controller = source.description.controller
        if let directory = hierarchies.directory(of: controller) { return directory }
        // A list of processes is in every hierarchy.
        return source == .processes ? hierarchies.directory(of: .cpuacct) : nil
    }

    /// Forgets a cgroup and its devices.
    func remove(_ path: String, registry: inout SubjectRegistry) {
        guard let index = indexOfPath.removeValue(forKey: path) else { return }
        let entry = entries[index]
        entries.swapAt(index, entries.count - 1)
        entries.removeLast()
        if index < entries.count { indexOfPath[entries[index].path] = index }
        close(entry)
        for device in entry.devices { registry.remove(device.slot) }
        registry.remove(entry.slot)
        // Kills that a pod's containers took along would make its count fall.
        if entry.oomKills > 0, let pod = indexOfPath[CgroupTree.parent(of: path)],
            entries[pod].kind == .pod
        {
            entries[pod].oomKillsOfRemoved += entry.oomKills
        }
    }

    private func close(_ entry: CgroupEntry) {
        for file in entry.sources { files.closeKept(file.descriptor) }
    }

    // MARK: Sampling

    /// Reads every cgroup into its row.
    ///
    /// Cgroups that vanish while they are read end up in `gone`, devices that are new or no
    /// longer there wait for `settleDevices`.
    func sample(
        into encoder: FrameEncoder, clock: SampleClock, start: Int64, stepsPerSettings: Int
    ) {
        gone.removeAll(keepingCapacity: true)
        for index in entries.indices {
            let offset = (clock.monotonicNanoseconds() - start) / 1_000_000
            sample(index, into: encoder, offset: offset, stepsPerSettings: stepsPerSettings)
        }
        addKillsToPods(encoder)
    }

    /// Reads one cgroup, right after it was added.
    func sampleNew(_ path: String, into encoder: FrameEncoder, offset: Int64) {
        guard let index = indexOfPath[path] else { return }
        sample(index, into: encoder, offset: offset, stepsPerSettings: 1)
    }

    private func sample(
        _ index: Int, into encoder: FrameEncoder, offset: Int64, stepsPerSettings: Int
    ) {
        let row = encoder.row(of: entries[index].slot)
        guard let columns = row.baseAddress else { return }
        let readsSettings = entries[index].stepsToSettings <= 0
        var context = CgroupReader.Context()
        reader.begin()
        var ioCount = 0
        for file in entries[index].sources.indices {
            let source = entries[index].sources[file]
            guard source.isEveryStep || readsSettings else { continue }
            let count = readBytes(source, entries[index].path)
            if count < 0 {
                if note(Int32(-count), index, source) { return }
                continue
            }
            precondition(
                Int(source.column) + source.source.description.fields.count <= row.count,
                "row of \(row.count) for column \(source.column)")
            do {
                try reader.read(
                    source.source, files.bytes(count), found: source.found, &context,
                    into: columns + Int(source.column))
                if source.source == .ioStatV2 || source.source == .blkioOperationsV1 {
                    ioCount += 1
                }
            } catch {
                files.countFailure()
            }
        }
        columns[0] = offset
        entries[index].oomKills = context.oomKills
        if readsSettings {
            settingsWereRead(index, context, stepsPerSettings)
        } else {
            entries[index].stepsToSettings -= 1
        }
        if ioCount > 0 { writeDevices(index, encoder, offset) }
    }

    private func readBytes(_ source: CgroupEntry.SourceFile, _ path: String) -> Int {
        let extent = CgroupReader.extent(of: source.source)
        if source.descriptor >= 0 { return files.read(source.descriptor, extent) }
        guard let directory = directory(of: source.source) else { return -Int(ENOENT) }
        let descriptor = files.open(directory, path, source.source.description.fileName)
        guard descriptor >= 0 else { return Int(descriptor) }
        defer { files.closeTransient(descriptor) }
        return files.read(descriptor, extent)
    }

    /// - Returns: whether the cgroup is gone.
    private func note(_ code: Int32, _ index: Int, _ source: CgroupEntry.SourceFile) -> Bool {
        if code == ENODEV || code == ENOENT {
            gone.append(entries[index].path)
            return true
        }
        if !KernelFileError.isAbsence(code) { files.countFailure() }
        return false
    }

    private func settingsWereRead(
        _ index: Int, _ context: CgroupReader.Context, _ stepsPerSettings: Int
    ) {
        let isEarly = entries[index].settingsReadCount < Self.earlySettingsReads
        if isEarly { entries[index].settingsReadCount += 1 }
        // Spread by slot, so that a step reads the settings of its share of the cgroups.
        let period = max(1, stepsPerSettings)
        entries[index].stepsToSettings =
            entries[index].settingsReadCount < Self.earlySettingsReads
            ? 0 : isEarly ? Int(entries[index].slot) % period : period - 1
        if let quota = context.quota { setThrottling(index, isOn: quota > 0) }
    }

    /// Without a quota the throttling counters stand still, and their file need not be kept open.
    private func setThrottling(_ index: Int, isOn: Bool) {
        guard entries[index].hasQuota != isOn else { return }
        entries[index].hasQuota = isOn
        guard let file = entries[index].sources.firstIndex(where: { $0.source == .cpuStatV1 }),
            let directory = directory(of: .cpuStatV1)
        else { return }
        entries[index].sources[file].isEveryStep = isOn
        if isOn {
            let descriptor = files.keep(directory, entries[index].path, "cpu.stat")
            entries[index].sources[file].descriptor = max(-1, descriptor)
        } else {
            files.closeKept(entries[index].sources[file].descriptor)
            entries[index].sources[file].descriptor = -1
        }
    }

    // MARK: Devices

    /// Writes the I/O that the reader holds to the rows of the cgroup's devices.
    private func writeDevices(_ index: Int, _ encoder: FrameEncoder, _ offset: Int64) {
        var writtenCount = 0
        for io in reader.deviceIO {
            if let known = entries[index].devices.first(where: { $0.device == io.device }) {
                Self.write(io, offset: offset, to: encoder.row(of: known.slot))
                writtenCount += 1
            } else {
                newDevices.append((entries[index].path, io))
            }
        }
        // A device that left the machine leaves the file.
        guard writtenCount < entries[index].devices.count else { return }
        for known in entries[index].devices
        where !reader.deviceIO.contains(where: { $0.device == known.device }) {
            goneDevices.append((entries[index].path, known.device))
        }
    }

    var hasUnsettledDevices: Bool { !newDevices.isEmpty || !goneDevices.isEmpty }

    /// Makes subjects of the devices that the last step saw for the first time.
    ///
    /// - Returns: the new subjects' slots and first values, to be written once the encoder knows
    ///   them.
    func settleDevices(
        registry: inout SubjectRegistry, nameOf: (DeviceNumber) -> String
    ) -> [(slot: Slot, io: DeviceIO)] {
        for (path, device) in goneDevices {
            guard let index = indexOfPath[path],
                let known = entries[index].devices.firstIndex(where: { $0.device == device })
            else { continue }
            registry.remove(entries[index].devices.remove(at: known).slot)
        }
        goneDevices.removeAll(keepingCapacity: true)
        var added: [(slot: Slot, io: DeviceIO)] = []
        for (path, io) in newDevices {
            guard let index = indexOfPath[path],
                !entries[index].devices.contains(where: { $0.device == io.device })
            else { continue }
            let subject = Subject(
                kind: .blockDevice, parent: entries[index].slot,
                attributes: [.name: nameOf(io.device), .deviceNumber: io.device.description])
            guard let slot = registry.add(subject, fields: Self.deviceFields) else { continue }
            entries[index].devices.append(CgroupEntry.Device(device: io.device, slot: slot))
            added.append((slot, io))
        }
        newDevices.removeAll(keepingCapacity: true)
        return added
    }

    // MARK: Kills

    /// v1 counts a kill in the container's cgroup only: its pod gets the sum, with those of
    /// containers that are gone.
    private func addKillsToPods(_ encoder: FrameEncoder) {
        guard hierarchies.version == 1 else { return }
        for entry in entries {
            if entry.oomKillsOfRemoved > 0, let column = entry.column(of: .oomControlV1) {
                encoder.row(of: entry.slot)[column] += entry.oomKillsOfRemoved
            }
            guard entry.oomKills > 0, entry.kind == .container,
                let pod = entries.first(where: { $0.slot == entry.parent && $0.kind == .pod }),
                let column = pod.column(of: .oomControlV1)
            else { continue }
            encoder.row(of: pod.slot)[column] += entry.oomKills
        }
    }
}
