import Wire

/// A cgroup that is sampled: its subject, its files, its place in the tree.
struct CgroupEntry {
    let path: String
    let kind: SubjectKind
    let slot: Slot
    /// The pod's slot for a container, the node's otherwise.
    let parent: Slot
    var sources: [SourceFile] = []
    /// Devices on which the cgroup has done I/O.
    var devices: [Device] = []
    /// Steps until the settings are read again.
    var stepsToSettings = 0
    /// Reads of the settings so far, up to `earlySettingsReads`.
    var settingsReadCount = 0
    var hasQuota = false
    /// The last number of processes killed for lack of memory (v1).
    var oomKills: Int64 = 0
    /// The same of containers that are gone, for a pod (v1).
    var oomKillsOfRemoved: Int64 = 0

    /// One file with its columns.
    struct SourceFile {
        let source: CgroupSource
        /// First column in the row.
        let column: UInt16
        /// -1 where the file is opened for each read.
        var descriptor: Int32
        let found: FlatKeyedFile.Found
        /// Read at every step.
        var isEveryStep: Bool
    }

    /// One block device of the cgroup: a subject of its own.
    struct Device {
        let device: DeviceNumber
        let slot: Slot
    }

    /// The column of a source's first metric; `nil` where the cgroup lacks the file.
    func column(of source: CgroupSource) -> Int? {
        sources.first { $0.source == source }.map { Int($0.column) }
    }
}
