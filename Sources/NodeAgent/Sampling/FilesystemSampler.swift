import CLinux
import Glibc
import Wire

/// Samples filesystems: the node's real ones, each once however often it is mounted, and the
/// volumes of pods that are mounts of their own below the kubelet's directory.
///
/// One `statfs` each. Network and FUSE filesystems of the node are left out: their `statfs` can
/// block for ever. The mount table is read again only when the kernel says that it changed.
final class FilesystemSampler {
    static let fields: [SchemaField] = [
        SchemaField(.readOffset), SchemaField(.filesystemUsage, granularity: 4_096),
        SchemaField(.filesystemLimit, granularity: 4_096),
        SchemaField(.filesystemAvailable, granularity: 4_096), SchemaField(.filesystemInodes),
        SchemaField(.filesystemInodesFree),
    ]
    /// Filesystems with blocks of their own on a local device.
    private static let realTypes: Set<String> = [
        "ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "vfat", "exfat", "zfs",
        "bcachefs", "ntfs", "ntfs3", "nilfs2", "erofs",
    ]
    /// Volume types whose `statfs` may block on a server that does not answer.
    private static let remoteTypes: Set<String> = [
        "nfs", "nfs4", "cifs", "smb3", "ceph", "glusterfs", "9p", "afs",
    ]

    private struct Filesystem {
        let key: String
        let path: String
        let slot: Slot
        let owner: Slot
        var isGone = false
    }

    private let roots: HostRoots
    private let files: HostFiles
    private let groups: SampleGroups
    private let node: Slot
    private let mountFile: NodeFile?
    private var filesystems: [Filesystem] = []
    private var mounts: [Mount] = []
    private(set) var hasChanges = true

    init(roots: HostRoots, groups: SampleGroups, node: Slot, files: HostFiles) {
        self.roots = roots
        self.groups = groups
        self.node = node
        self.files = files
        let own = roots.proc + "/self/mountinfo"
        let host = roots.proc + "/1/mountinfo"
        // Without the host's root directory mount points are looked up in this process's own.
        mountFile = NodeFile(
            files.exists(host) ? host : own, files, extent: .records)
    }

    deinit { mountFile?.close(files) }

    /// Whether the kernel says that mounts came or went since the last call.
    ///
    /// proc(5): a mount table becomes readable for priority data at a change.
    func checkMounts() {
        guard let mountFile, mountFile.descriptor >= 0 else { return }
        var descriptor = pollfd(fd: mountFile.descriptor, events: Int16(POLLPRI), revents: 0)
        if poll(&descriptor, 1, 0) > 0, descriptor.revents & Int16(POLLPRI | POLLERR) != 0 {
            hasChanges = true
        }
    }

    /// The pods' mounts count as changed too when a pod comes or goes.
    func podsChanged() { if groups.contains(.volumes) { hasChanges = true } }

    func sample(into encoder: FrameEncoder, clock: SampleClock, start: Int64) {
        for index in filesystems.indices {
            var status = statfs()
            guard filesystems[index].path.withCString({ statfs($0, &status) }) == 0 else {
                let code = errno
                files.note(.cannotRead(path: filesystems[index].path, errno: code))
                filesystems[index].isGone = true
                hasChanges = true
                continue
            }
            let row = encoder.row(of: filesystems[index].slot)
            guard row.count == Self.fields.count else { continue }
            row[0] = (clock.monotonicNanoseconds() - start) / 1_000_000
            Self.write(StorageFigures(status), to: row)
        }
    }

    static func write(_ figures: StorageFigures, to row: UnsafeMutableBufferPointer<Int64>) {
        row[1] = figures.usageBytes
        row[2] = figures.limitBytes
        row[3] = figures.availableBytes
        row[4] = figures.inodes
        row[5] = figures.inodesFree
    }

    // MARK: Mounts that come and go

    /// Makes subjects of new filesystems and forgets those that are gone.
    ///
    /// - Parameter pods: the slots of pods by UID.
    /// - Returns: whether there are new ones, whose rows are still to be filled.
    func settle(registry: inout SubjectRegistry, pods: [String: Slot]) -> Bool {
        guard hasChanges else { return false }
        hasChanges = false
        guard let mountFile, let text = mountFile.read(files) else { return false }
        do {
            mounts = try MountInfo.parse(text)
        } catch {
            files.note(.malformed(path: mountFile.path, error))
            return false
        }
        var wanted: [String: (path: String, subject: Subject)] = [:]
        if groups.contains(.filesystem) { addNodeFilesystems(to: &wanted) }
        if groups.contains(.volumes) { addVolumes(to: &wanted, pods) }
        for index in filesystems.indices.reversed() {
            let known = filesystems[index]
            if known.isGone || wanted[known.key] == nil {
                registry.remove(filesystems.remove(at: index).slot)
            }
        }
        return add(wanted, registry: &registry)
    }

    /// Forgets the volumes of a pod.
    func remove(ofPod pod: Slot, registry: inout SubjectRegistry) {
        for index in filesystems.indices.reversed() where filesystems[index].owner == pod {
            registry.remove(filesystems.remove(at: index).slot)
        }
    }

    private func add(
        _ wanted: [String: (path: String, subject: Subject)], registry: inout SubjectRegistry
    ) -> Bool {
        var hasNew = false
        let known = Set(filesystems.map(\.key))
        for (key, filesystem) in wanted.sorted(by: { $0.key < $1.key }) where !known.contains(key) {
            var status = statfs()
            guard filesystem.path.withCString({ statfs($0, &status) }) == 0 else {
                let code = errno
                if KernelFileError.isDenial(code) {
                    files.noteDenial(of: "filesystems below \(roots.rootfs)/", code)
                }
                continue
            }
            guard status.f_blocks > 0,
                let slot = registry.add(filesystem.subject, fields: Self.fields)
            else { continue }
            filesystems.append(
                Filesystem(
                    key: key, path: filesystem.path, slot: slot,
                    owner: filesystem.subject.parent ?? node))
            hasNew = true
        }
        return hasNew
    }

    /// Real filesystems by device; of several mounts of one the shortest path stands for it.
    private func addNodeFilesystems(to wanted: inout [String: (path: String, subject: Subject)]) {
        var best: [DeviceNumber: Mount] = [:]
        for mount in mounts {
            let isOverlayRoot = mount.filesystemType == "overlay" && mount.mountPoint == "/"
            guard Self.realTypes.contains(mount.filesystemType) || isOverlayRoot else { continue }
            if mount.mountPoint.hasPrefix(roots.kubelet + "/pods/") { continue }
            let length = mount.mountPoint.utf8.count
            if let known = best[mount.device], known.mountPoint.utf8.count <= length { continue }
            best[mount.device] = mount
        }
        let kubeletDevice = device(holding: roots.kubelet)
        for (device, mount) in best {
            var subject = Subject(
                kind: .filesystem, parent: node,
                attributes: [
                    .name: mount.mountPoint, .device: mount.source,
                    .filesystemType: mount.filesystemType, .deviceNumber: device.description,
                ])
            if device == kubeletDevice { subject.attributes[.role] = "nodefs" }
            wanted["node:\(device)"] = (roots.path(onHost: mount.mountPoint), subject)
        }
    }

    /// What is mounted where a path of the host is or would be.
    private func device(holding path: String) -> DeviceNumber? {
        var best: Mount?
        for mount in mounts {
            let isAbove =
                mount.mountPoint == "/" || path == mount.mountPoint
                || path.hasPrefix(mount.mountPoint + "/")
            // A later mount at the same place hides an earlier one.
            guard isAbove, mount.mountPoint.utf8.count >= best?.mountPoint.utf8.count ?? 0
            else { continue }
            best = mount
        }
        return best?.device
    }

    /// `<kubelet>/pods/<uid>/volumes/<plugin>/<name>`, mounts of any local type, tmpfs among them.
    /// A directory of the node's own filesystem (an emptyDir on disk) is no mount and not here.
    private func addVolumes(
        to wanted: inout [String: (path: String, subject: Subject)], _ pods: [String: Slot]
    ) {
        let prefix = roots.kubelet + "/pods/"
        for mount in mounts where mount.mountPoint.hasPrefix(prefix) {
            if Self.remoteTypes.contains(mount.filesystemType) { continue }
            let parts = mount.mountPoint.dropFirst(prefix.utf8.count).split(separator: "/")
            guard parts.count >= 4, parts[1] == "volumes", let pod = pods[String(parts[0])] else {
                continue
            }
            // CSI mounts are one deeper: …/kubernetes.io~csi/<name>/mount.
            guard parts.count == 4 || (parts.count == 5 && parts[4] == "mount") else { continue }
            let subject = Subject(
                kind: .filesystem, parent: pod,
                attributes: [
                    .name: String(parts[3]), .role: "volume", .device: mount.source,
                    .filesystemType: mount.filesystemType,
                    .deviceNumber: mount.device.description,
                ])
            wanted["volume:\(pod):\(mount.mountPoint)"] = (
                roots.path(onHost: mount.mountPoint), subject
            )
        }
    }
}
