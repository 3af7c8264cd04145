import Glibc
import Wire

/// What a step does with the cgroups that there are.
extension CgroupSampler {
    /// What a step tells of the node, for all its cgroups.
    struct Step {
        var clock: SampleClock
        /// The monotonic clock when the step began.
        var start: Int64
        var stepsPerSettings: Int
        /// The same where the kernel tells when one is written.
        var stepsPerWatchedSettings: Int
        var stepsPerProcesses: Int
        var conditions: ReadingConditions
    }

    /// Settings are read in the first steps of a cgroup's life, for a runtime writes them
    /// after it made the cgroup, then when somebody writes to a file of the cgroup, and otherwise every ten
    /// minutes; where the kernel does not tell of writing, about once a minute.
    static let earlySettingsReads = 3
    /// A file that is read only under conditions loses its descriptor after so many steps without
    /// them.
    private static let idleStepLimit: UInt8 = 30
    /// A file that cannot be read so many times in a row has no metrics until it can.
    private static let failureLimit: UInt8 = 3
    /// Steps for which the files of a slow cgroup are timed one by one.
    private static let timedStepCount = 8

    /// Reads every cgroup into its row.
    ///
    /// Cgroups that vanish while they are read end up in `gone`, devices that are new or no
    /// longer there wait for `settleDevices`.
    func sample(into encoder: FrameEncoder, _ step: Step) {
        gone.removeAll(keepingCapacity: true)
        failing.removeAll(keepingCapacity: true)
        noteWrittenSettings()
        timedEntry = timedEntry + 1 < entries.count ? timedEntry + 1 : 0
        var now = step.clock.monotonicNanoseconds()
        for index in entries.indices {
            sample(index, into: encoder, step, offset: (now - step.start) / 1_000_000)
            let end = step.clock.monotonicNanoseconds()
            if entryTimes.learn(Int(entries[index].kind.rawValue), end - now) {
                entries[index].timedSteps = Self.timedStepCount
            }
            now = end
        }
        if killsChanged { addKillsToPods(encoder) }
    }

    /// Reads one cgroup, right after it was added.
    func sampleNew(_ path: String, into encoder: FrameEncoder, _ step: Step, offset: Int64) {
        guard let index = indexOfPath[path] else { return }
        sample(index, into: encoder, step, offset: offset)
        if killsChanged { addKillsToPods(encoder) }
    }

    private func sample(_ index: Int, into encoder: FrameEncoder, _ step: Step, offset: Int64) {
        let row = encoder.row(of: entries[index].slot)
        guard let columns = row.baseAddress else { return }
        let readsSettings = entries[index].stepsToSettings <= 0
        let isTimed = index == timedEntry || entries[index].timedSteps > 0
        var conditions = entries[index].conditions.union(step.conditions)
        if entries[index].stepsToProcesses <= 0 { conditions.insert(.threadsChanged) }
        var context = CgroupReader.Context()
        reader.begin()
        var isIOComplete = false
        var ioDigest = entries[index].ioDigest
        for file in entries[index].sources.indices {
            var source = entries[index].sources[file]
            guard prepare(&source, index, file, conditions, readsSettings) else { continue }
            let begin = isTimed ? step.clock.monotonicNanoseconds() : 0
            let count = readBytes(source, entries[index].path)
            if isTimed { note(step.clock.monotonicNanoseconds() - begin, index, file) }
            if count < 0 {
                if note(Int32(-count), index, file) { return }
                continue
            }
            entries[index].sources[file].failures = 0
            let text = files.bytes(count)
            if source.source == .blkioOperationsV1 || source.source == .ioStatV2 {
                ioDigest = text.digest
                if ioDigest == entries[index].ioDigest, !readsSettings { continue }
                conditions.insert(.didIO)
            }
            precondition(
                Int(source.column) + source.source.description.fields.count <= row.count,
                "row of \(row.count) for column \(source.column)")
            do throws(KernelTextError) {
                try reader.read(
                    source.source, text, found: source.found, &context,
                    into: columns + Int(source.column))
                isIOComplete = isIOComplete || source.source == entries[index].lastIOSource
                tookOver(source.source, index, context, &conditions, step)
            } catch {
                files.note(
                    source.source.description.fileName, in: entries[index].path, malformed: error)
            }
        }
        columns[0] = offset
        if entries[index].timedSteps > 0 { entries[index].timedSteps -= 1 }
        entries[index].stepsToProcesses -= 1
        if readsSettings {
            settingsWereRead(
                index, context,
                entries[index].settingsWatches.isEmpty
                    ? step.stepsPerSettings : step.stepsPerWatchedSettings)
        } else {
            entries[index].stepsToSettings -= 1
        }
        if isIOComplete {
            entries[index].ioDigest = ioDigest
            writeDevices(index, encoder, offset)
        } else {
            for device in entries[index].devices {
                encoder.row(of: device.slot).baseAddress?.pointee = offset
            }
        }
    }

    /// Decides whether a file is read in this step, and sees to its descriptor.
    @inline(__always)
    private func prepare(
        _ source: inout CgroupEntry.SourceFile, _ index: Int, _ file: Int,
        _ conditions: ReadingConditions, _ readsSettings: Bool
    ) -> Bool {
        if source.pace.isReduced, entries[index].sources[file].pace.skips() {
            skippedReadCount += 1
            return false
        }
        guard let needs = source.needs else { return readsSettings }
        if needs.isEmpty { return true }
        let isNeeded = needs.isSubset(of: conditions)
        if isNeeded {
            if source.idleSteps > 0 { entries[index].sources[file].idleSteps = 0 }
            if source.descriptor < 0, isWorthKeeping(source) {
                keep(index, file)
                source.descriptor = entries[index].sources[file].descriptor
            }
        } else if source.descriptor >= 0 {
            entries[index].sources[file].idleSteps += 1
            if entries[index].sources[file].idleSteps >= Self.idleStepLimit {
                files.closeKept(source.descriptor)
                entries[index].sources[file].descriptor = -1
                source.descriptor = -1
            }
        }
        return isNeeded || readsSettings
    }

    /// v1 gives a kept descriptor its old list of processes again when it is asked twice within a
    /// second (kernel/cgroup/cgroup-v1.c, `cgroup_pidlist_start`). Kills are rare.
    private func isWorthKeeping(_ source: CgroupEntry.SourceFile) -> Bool {
        switch source.source {
        case .processes: hierarchies.version == 2
        case .oomControlV1: false
        default: true
        }
    }

    private func keep(_ index: Int, _ file: Int) {
        let source = entries[index].sources[file].source
        guard let directory = directory(of: source) else { return }
        let descriptor = files.keep(
            directory, entries[index].path, source.description.fileName)
        entries[index].sources[file].descriptor = max(-1, descriptor)
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

    /// What a file says that decides on others.
    @inline(__always)
    private func tookOver(
        _ source: CgroupSource, _ index: Int, _ context: CgroupReader.Context,
        _ conditions: inout ReadingConditions, _ step: Step
    ) {
        switch source {
        case .pidsCurrent:
            if context.threads != entries[index].threads { conditions.insert(.threadsChanged) }
        case .processes:
            entries[index].threads = context.threads
            // Spread by slot, so that a step reads the lists of its share of the cgroups.
            let period = max(1, step.stepsPerProcesses)
            entries[index].stepsToProcesses =
                entries[index].settingsReadCount == 0
                ? 1 + Int(entries[index].slot) % period : period
        case .oomControlV1:
            if let kills = context.oomKills, entries[index].killsColumn >= 0 {
                // Written anew without those of the containers.
                killsChanged =
                    killsChanged || kills > 0 || entries[index].oomKillsOfRemoved > 0
                    || entries[index].kind == .pod
                entries[index].oomKills = kills
            }
        default: break
        }
    }

    /// Takes note of a reading that failed.
    ///
    /// - Returns: whether the cgroup is not to be read any further.
    private func note(_ code: Int32, _ index: Int, _ file: Int) -> Bool {
        if code == ENODEV || code == ENOENT {
            gone.append(entries[index].path)
            return true
        }
        let source = entries[index].sources[file].source
        files.noteFailure(of: source.description.fileName, in: entries[index].path, code)
        entries[index].sources[file].failures += 1
        guard entries[index].sources[file].failures >= Self.failureLimit else { return false }
        failing.append(entries[index].path)
        return true
    }

    /// Takes note of how long a file took.
    private func note(_ nanoseconds: Int64, _ index: Int, _ file: Int) {
        let source = entries[index].sources[file].source
        let isSlow = fileTimes.learn(Int(source.rawValue), nanoseconds)
        let wasReduced = entries[index].sources[file].pace.isReduced
        let isNew = entries[index].sources[file].pace.took(isSlow: isSlow)
        let isReduced = entries[index].sources[file].pace.isReduced
        slowFileCount += (isReduced ? 1 : 0) - (wasReduced ? 1 : 0)
        // Timed until it is quick again.
        if isReduced {
            entries[index].timedSteps = max(
                entries[index].timedSteps, entries[index].sources[file].pace.period + 1)
        }
        guard isNew else { return }
        files.notice(
            "\(entries[index].path)/\(source.description.fileName) takes "
                + "\(nanoseconds / 1_000) us, others of its kind "
                + "\(fileTimes.median(Int(source.rawValue)) / 1_000): it is read less often, every "
                + "64th step at the least, until it is quicker")
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
        if let quota = context.quota { set(.quota, quota > 0, index) }
        if let limit = context.memoryLimit { set(.memoryLimit, limit >= 0, index) }
    }

    private func set(_ condition: ReadingConditions, _ isOn: Bool, _ index: Int) {
        if isOn {
            entries[index].conditions.insert(condition)
        } else {
            entries[index].conditions.remove(condition)
        }
    }

    /// v1 counts a kill in the container's cgroup only: its pod gets the sum, with those of
    /// containers that are gone.
    private func addKillsToPods(_ encoder: FrameEncoder) {
        killsChanged = false
        guard hierarchies.version == 1 else { return }
        for entry in entries where entry.killsColumn >= 0 {
            encoder.row(of: entry.slot)[entry.killsColumn] =
                entry.oomKills + entry.oomKillsOfRemoved
        }
        for entry in entries where entry.oomKills > 0 && entry.kind == .container {
            guard let pod = entries.first(where: { $0.slot == entry.parent && $0.kind == .pod }),
                pod.killsColumn >= 0
            else { continue }
            encoder.row(of: pod.slot)[pod.killsColumn] += entry.oomKills
        }
    }
}
