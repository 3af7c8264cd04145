/// A controller of cgroup v1 that something is read from, or the unified hierarchy.
enum CgroupController: UInt8, CaseIterable, Sendable {
    case cpu, cpuacct, memory, pids, blkio, cpuset, hugetlb
    /// v2, or the v2 tree beside v1's in a hybrid host, which has pressure but no controllers.
    case unified

    var name: String {
        switch self {
        case .cpu: "cpu"
        case .cpuacct: "cpuacct"
        case .memory: "memory"
        case .pids: "pids"
        case .blkio: "blkio"
        case .cpuset: "cpuset"
        case .hugetlb: "hugetlb"
        case .unified: "unified"
        }
    }
}

/// Where the cgroup filesystems are: one tree in v2, one per controller (or pair) in v1.
struct CgroupHierarchies: Equatable, Sendable {
    /// 1, 2, or 0 where there is none.
    var version: Int
    /// Directory of each controller's root, by raw value; empty where there is none.
    private var directories: [String]

    /// The root directory of a controller's hierarchy; `nil` where the host does not have it.
    func directory(of controller: CgroupController) -> String? {
        let directory = directories[Int(controller.rawValue)]
        return directory.isEmpty ? nil : directory
    }

    /// The hierarchies that tell which cgroups there are, each once; the first is watched.
    var treeDirectories: [String] {
        var seen: [String] = []
        let order: [CgroupController] =
            version == 2 ? [.unified] : [.memory, .cpuacct, .cpu, .pids, .blkio]
        for controller in order {
            if let directory = directory(of: controller), !seen.contains(directory) {
                seen.append(directory)
            }
        }
        return seen
    }

    /// From the mounts that this process sees, those at or below `root`. In a hybrid host the
    /// controllers decide: v1.
    ///
    /// - Returns: `nil` where no cgroup filesystem is mounted there.
    init?(mounts: [Mount], root: String) {
        directories = Array(repeating: "", count: CgroupController.allCases.count)
        version = 0
        for mount in mounts where Self.isAtOrBelow(mount.mountPoint, root) {
            switch mount.filesystemType {
            case "cgroup":
                version = 1
                let options = mount.superOptionList
                for controller in CgroupController.allCases where controller != .unified {
                    // The first mount of a controller wins.
                    if options.contains(Substring(controller.name)) {
                        assignIfFree(controller, mount.mountPoint)
                    }
                }
            case "cgroup2":
                assignIfFree(.unified, mount.mountPoint)
                if version == 0 { version = 2 }
            default: break
            }
        }
        guard version > 0 else { return nil }
        if version == 2 { useUnifiedForAll() }
    }

    /// From what the directory looks like: a copied tree, or a mount table that is not ours.
    init?(layoutOf root: String, files: HostFiles) {
        directories = Array(repeating: "", count: CgroupController.allCases.count)
        if files.exists(root + "/cgroup.controllers") {
            version = 2
            assignIfFree(.unified, root)
            useUnifiedForAll()
            return
        }
        version = 1
        for entry in files.subdirectories(of: root).sorted(by: { $0.name < $1.name }) {
            let directory = root + "/" + entry.name
            let names = entry.name.split(separator: ",")
            for controller in CgroupController.allCases
            where names.contains(Substring(controller.name)) {
                guard files.exists(directory + "/cgroup.procs") else { continue }
                assignIfFree(controller, directory)
            }
        }
        guard directory(of: .memory) != nil || directory(of: .cpuacct) != nil else { return nil }
    }

    private mutating func assignIfFree(_ controller: CgroupController, _ directory: String) {
        let index = Int(controller.rawValue)
        if directories[index].isEmpty { directories[index] = directory }
    }

    private mutating func useUnifiedForAll() {
        let unified = directories[Int(CgroupController.unified.rawValue)]
        directories = directories.map { _ in unified }
    }

    private static func isAtOrBelow(_ path: String, _ root: String) -> Bool {
        path == root || path.hasPrefix(root.hasSuffix("/") ? root : root + "/")
    }
}
