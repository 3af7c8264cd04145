import Wire

/// A cgroup that is sampled: its subject, its files, its place in the tree.
struct CgroupEntry {
    let path: String
    let kind: SubjectKind
    let slot: Slot
    /// The pod's slot for a container, the node's otherwise.
    let parent: Slot
    var sources: [SourceFile]
    /// Sources that the cgroup should have and that could not be opened; looked for again.
    var missing: [CgroupSource]
    /// Whether one of the missing failed for another reason than absence or denial.
    var hasFailedSource: Bool
    /// What holds for this cgroup between steps: its settings, and what cannot be told.
    var conditions: ReadingConditions
    /// Devices on which the cgroup has done I/O.
    var devices: [Device] = []
    /// What tells that a setting was written; empty where nothing does.
    let settingsWatches: [Int32]
    /// Steps until the settings are read again.
    var stepsToSettings = 0
    /// Reads of the settings so far, up to `earlySettingsReads`.
    var settingsReadCount = 0
    /// Threads at the last reading of the list of processes.
    var threads: Int64 = -1
    /// Steps until the list of processes is read even if the number of threads is the same.
    var stepsToProcesses = 0
    /// Of the last file with I/O that was taken over.
    var ioDigest: UInt64 = 0
    /// The source after which the I/O of a step is complete.
    let lastIOSource: CgroupSource?
    /// The last number of processes killed for lack of memory (v1).
    var oomKills: Int64 = 0
    /// The same of containers that are gone, for a pod (v1).
    var oomKillsOfRemoved: Int64 = 0
    /// The column of the kills (v1); -1 for none.
    let killsColumn: Int
    /// Steps in which each file is timed by itself, because the whole took long.
    var timedSteps = 0

    /// One file with its columns.
    struct SourceFile {
        let source: CgroupSource
        /// First column in the row.
        let column: UInt16
        /// -1 where the file is opened for each read.
        var descriptor: Int32
        let found: FlatKeyedFile.Found
        /// What must hold for it to be read at a step; `nil` for settings.
        let needs: ReadingConditions?
        /// Steps since it was last needed, up to `idleStepLimit`.
        var idleSteps: UInt8 = 0
        /// Readings that failed one after the other.
        var failures: UInt8 = 0
        var pace = ReadingPace()

        init(_ source: CgroupSource, column: Int, descriptor: Int32, found: FlatKeyedFile.Found) {
            self.source = source
            self.column = UInt16(column)
            self.descriptor = descriptor
            self.found = found
            switch source.description.cadence {
            case .step: needs = []
            case .when(let conditions): needs = conditions
            case .settings: needs = nil
            }
        }
    }

    /// One block device of the cgroup: a subject of its own.
    struct Device {
        let device: DeviceNumber
        let slot: Slot
    }

    init(
        path: String, kind: SubjectKind, slot: Slot, parent: Slot, sources: [SourceFile],
        missing: [CgroupSource], hasFailedSource: Bool, settingsWatches: [Int32]
    ) {
        self.path = path
        self.kind = kind
        self.slot = slot
        self.parent = parent
        self.sources = sources
        self.missing = missing
        self.hasFailedSource = hasFailedSource
        self.settingsWatches = settingsWatches
        func has(_ source: CgroupSource) -> Bool { sources.contains { $0.source == source } }
        conditions = []
        // What nothing tells of has to be taken as changed.
        if !has(.pidsCurrent) { conditions.insert(.threadsChanged) }
        if !has(.blkioOperationsV1) { conditions.insert(.didIO) }
        if !has(.memoryLimitV1) { conditions.insert(.memoryLimit) }
        if !has(.cpuQuotaV1) { conditions.insert(.quota) }
        lastIOSource = [.ioStatV2, .blkioBytesV1, .blkioOperationsV1].first(where: has)
        killsColumn =
            sources.first { $0.source == .oomControlV1 && $0.found != 0 }.map { Int($0.column) }
            ?? -1
    }
}
