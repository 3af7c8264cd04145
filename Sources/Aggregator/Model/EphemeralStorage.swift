import Wire

/// `ephemeral_storage/usage` of what has no column of its own for it: the sum of its parts on the node's
/// disk, as the kubelet adds them up. A node's is the filesystem with the kubelet's directory, a container's its
/// writable layer and its logs, both or nothing, a pod's its containers' and its emptyDirs on disk.
enum EphemeralStorage {
    /// What a part counts for.
    enum Part: Equatable {
        case nodeFilesystem, writableLayer, logs
        /// A directory below the kubelet's: what is mounted there names its device.
        case emptyDirectory
    }

    /// `nil` for what counts for nothing.
    static func part(_ subject: SubjectIdentity) -> Part? {
        guard subject.kind == .filesystem else { return nil }
        return switch subject[.role] {
        case "nodefs": .nodeFilesystem
        case "rootfs": .writableLayer
        case "logs": .logs
        case "volume": subject[.device] == nil ? .emptyDirectory : nil
        default: nil
        }
    }

    /// Of the parts of one subject those whose `filesystem/usage` add up to its own; none while one that is
    /// needed is not known.
    static func terms<Item>(_ parts: [(part: Part, item: Item)]) -> [Item] {
        let node = parts.first { $0.part == .nodeFilesystem }
        if let node { return [node.item] }
        let layer = parts.first { $0.part == .writableLayer }
        let logs = parts.first { $0.part == .logs }
        guard let layer, let logs else { return [] }
        return [layer.item, logs.item]
    }
}
