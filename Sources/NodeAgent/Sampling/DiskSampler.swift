import Wire

/// Samples the node's block devices: whole disks of every kind, found by what `/proc/diskstats`
/// lists, not by a list of names (cAdvisor misses nvme and mmcblk).
final class DiskSampler {
    private static let fields: [SchemaField] = [
        SchemaField(.readOffset), SchemaField(.diskReadBytes, granularity: 512),
        SchemaField(.diskWriteBytes, granularity: 512), SchemaField(.diskReads),
        SchemaField(.diskWrites), SchemaField(.diskDiscardBytes, granularity: 512),
        SchemaField(.diskDiscards), SchemaField(.diskReadsMerged),
        SchemaField(.diskWritesMerged), SchemaField(.diskReadTime),
        SchemaField(.diskWriteTime), SchemaField(.diskInFlight), SchemaField(.diskIOTime),
        SchemaField(.diskIOTimeWeighted),
    ]

    private struct Disk {
        let device: DeviceNumber
        let slot: Slot
        var isSeen = true
    }

    private let files: HostFiles
    private let file: NodeFile
    private let node: Slot
    /// `false` where only the names of devices are wanted, for the I/O of cgroups.
    private let makesSubjects: Bool
    private var disks: [Disk] = []
    private var lineCount = -1
    private(set) var hasChanges = true
    /// Names of all devices, partitions and loops too, for the I/O of cgroups.
    private var names: [DeviceNumber: String] = [:]

    /// - Returns: `nil` where the kernel shows no block devices.
    init?(proc: String, node: Slot, files: HostFiles, makesSubjects: Bool) {
        guard let file = NodeFile(proc + "/diskstats", files, extent: .records) else { return nil }
        self.file = file
        self.files = files
        self.node = node
        self.makesSubjects = makesSubjects
    }

    deinit { file.close(files) }

    /// The name of a device, its number as text where it has none; `nil` where the list of devices
    /// cannot be read this time.
    func name(of device: DeviceNumber) -> String? {
        if let name = names[device] { return name }
        return readNames() ? names[device] ?? device.description : nil
    }

    func sample(into encoder: FrameEncoder, offset: Int64) {
        guard makesSubjects, let text = file.read(files) else { return }
        for index in disks.indices { disks[index].isSeen = false }
        var lines = 0
        do {
            try DiskStats.parse(text) { _, counters in
                lines += 1
                guard let index = disks.firstIndex(where: { $0.device == counters.device }) else {
                    return
                }
                disks[index].isSeen = true
                Self.write(counters, offset: offset, to: encoder.row(of: disks[index].slot))
            }
        } catch {
            files.note(.malformed(path: file.path, error))
            return
        }
        // A device came or went; partitions and loops count, for which is a disk depends on them.
        if lines != lineCount || !disks.allSatisfy(\.isSeen) {
            lineCount = lines
            hasChanges = true
        }
    }

    private static func write(
        _ disk: DiskCounters, offset: Int64, to row: UnsafeMutableBufferPointer<Int64>
    ) {
        guard row.count == fields.count else { return }
        row[0] = offset
        row[1] = disk.readBytes
        row[2] = disk.writeBytes
        row[3] = disk.reads
        row[4] = disk.writes
        row[5] = disk.discardBytes
        row[6] = disk.discards
        row[7] = disk.readsMerged
        row[8] = disk.writesMerged
        row[9] = disk.readMilliseconds
        row[10] = disk.writeMilliseconds
        row[11] = disk.inFlight
        row[12] = disk.busyMilliseconds
        row[13] = disk.weightedMilliseconds
    }

    /// Makes subjects of new disks and forgets those that are gone.
    ///
    /// - Returns: whether there are new ones, whose rows are still to be filled.
    func settle(registry: inout SubjectRegistry) -> Bool {
        guard hasChanges, makesSubjects else { return false }
        // Without the list it is not known what came or went: the next step looks again.
        guard readNames() else { return false }
        hasChanges = false
        let wanted = names.filter { Self.isDisk($0.value, among: Set(names.values)) }
        for index in disks.indices.reversed() where wanted[disks[index].device] == nil {
            registry.remove(disks.remove(at: index).slot)
        }
        var hasNew = false
        for (device, name) in wanted.sorted(by: { $0.value < $1.value })
        where !disks.contains(where: { $0.device == device }) {
            let subject = Subject(
                kind: .blockDevice, parent: node,
                attributes: [.name: name, .deviceNumber: device.description])
            guard let slot = registry.add(subject, fields: Self.fields) else { continue }
            disks.append(Disk(device: device, slot: slot))
            hasNew = true
        }
        return hasNew
    }

    /// - Returns: whether the list of devices could be read.
    private func readNames() -> Bool {
        guard let text = file.read(files) else { return false }
        var found: [DeviceNumber: String] = [:]
        do {
            try DiskStats.parse(text) { name, counters in found[counters.device] = name.string }
        } catch {
            files.note(.malformed(path: file.path, error))
            return false
        }
        names = found
        lineCount = found.count
        return true
    }

    /// Whether a device is a whole disk: not a partition of another one in the list, not a loop,
    /// memory disk, floppy or CD-ROM. `sda1`, `nvme0n1p1` and `mmcblk0p1` are partitions, an
    /// `xvda1` without an `xvda` is not.
    static func isDisk(_ name: String, among names: Set<String>) -> Bool {
        for prefix in ["loop", "ram", "zram", "fd", "sr"]
        where name.hasPrefix(prefix) && name.dropFirst(prefix.utf8.count).allSatisfy(\.isNumber) {
            return false
        }
        let stem = name.reversed().drop { $0.isNumber }
        guard stem.count < name.count else { return true }
        let base = String(stem.reversed())
        if names.contains(base) { return false }
        guard base.hasSuffix("p") else { return true }
        let parent = String(base.dropLast())
        return !(parent.last?.isNumber == true && names.contains(parent))
    }
}
