/// Which cgroups there are, kept up to date at a small price.
///
/// One hierarchy (v2's only one; v1's memory) is looked at in each `update`. Directories of pods are
/// watched with inotify, so that a new container is known at once and nothing has to be read while
/// nothing changes; all others, and the pods' where the kernel grants no watches, have their
/// link counts compared, one `stat` each. v1's other hierarchies, in which cgroups of their
/// own may exist, are walked at the start and in `rescan`.
///
/// Containers' own subtrees are not looked into: they are counted in the container.
final class CgroupTree {
    /// A cgroup that is there.
    struct Node {
        /// Relative to the hierarchy's root, without a leading slash; empty for the root.
        let path: String
        let identity: PodCgroupPath
        /// In the hierarchy that it was found in; another number under the same path is another
        /// cgroup.
        fileprivate(set) var inode: UInt64
        /// Index of the directory in `CgroupHierarchies.treeDirectories`.
        fileprivate let hierarchy: Int
        fileprivate var linkCount: UInt64
        fileprivate var children: Set<String> = []
        fileprivate var watch: Int32?
    }

    /// What an update found, parents before children in `added`, children first in `removed`.
    struct Change {
        var added: [String] = []
        var removed: [String] = []
        var isEmpty: Bool { added.isEmpty && removed.isEmpty }
    }

    /// Cgroups beyond it are not looked at, and counted.
    static let nodeLimit = 8_192
    /// Levels below the root; deeper ones are counted in their ancestors.
    static let depthLimit = 16

    private(set) var nodes: [String: Node] = [:]
    /// Cgroups that `nodeLimit` kept out; never reset.
    private(set) var refusedCount: Int64 = 0

    private let files: HostFiles
    private let directories: [String]
    private var watcher: CgroupWatcher?
    private var pathsOfWatches: [Int32: String] = [:]
    private var suspects: Set<String> = []
    /// What could not be looked at or listed: tried again in the next update.
    private var unseen: Set<String> = []
    private var hasStarted = false

    /// - Parameter watcher: `nil` to compare link counts everywhere.
    init(hierarchies: CgroupHierarchies, files: HostFiles, watcher: CgroupWatcher?) {
        self.files = files
        self.watcher = watcher
        directories = hierarchies.treeDirectories
    }

    /// Becomes readable when pods' cgroups come or go; `nil` where they are not watched.
    var watchDescriptor: Int32? { watcher?.descriptor }

    /// The names of the cgroups right below one; `nil` where there is no such cgroup.
    func children(of path: String) -> Set<String>? { nodes[path]?.children }

    /// A cgroup whose files are gone: its parent is looked at in the next update.
    func suspect(_ path: String) {
        suspects.insert(Self.parent(of: path))
        suspects.insert(path)
    }

    /// Looks for cgroups that came and went since the last call.
    func update() -> Change {
        var change = Change()
        guard hasStarted else {
            hasStarted = walkAll(&change)
            return change
        }
        let hasLostEvents = drainWatcher()
        if hasLostEvents {
            hasStarted = walkAll(&change)
            return change
        }
        if !unseen.isEmpty {
            suspects.formUnion(unseen)
            unseen.removeAll(keepingCapacity: true)
        }
        for (path, node) in nodes where node.hierarchy == 0 && node.watch == nil {
            if Self.isLeaf(node.identity) { continue }
            let status = files.status(directories[0], path)
            if status?.linkCount != node.linkCount || status?.inode != node.inode {
                suspects.insert(path)
            }
            // One that went and another that came leave the parent's link count as it was.
            if status?.inode != node.inode, !path.isEmpty {
                suspects.insert(Self.parent(of: path))
            }
        }
        if suspects.isEmpty { return change }
        // Shallow ones first: a directory that is gone takes its descendants along.
        for path in suspects.sorted(by: { $0.utf8.count < $1.utf8.count }) where nodes[path] != nil
        {
            relist(path, &change)
        }
        suspects.removeAll(keepingCapacity: true)
        return change
    }

    /// Walks every hierarchy anew, for what watches and link counts cannot show.
    func rescan() -> Change {
        var change = Change()
        hasStarted = walkAll(&change)
        return change
    }

    // MARK: Walking

    /// - Returns: whether every hierarchy that is there could be looked at.
    private func walkAll(_ change: inout Change) -> Bool {
        for hierarchy in directories.indices {
            switch files.look(at: directories[hierarchy]) {
            case .absent: continue
            // The first one stands for all; the others only add what it lacks.
            case .failed: return false
            case .found(let status):
                if nodes[""] == nil {
                    add("", inode: status.inode, hierarchy, &change)
                } else {
                    relistTree("", hierarchy, &change)
                }
            }
        }
        return true
    }

    /// Lists a directory that is known, and all below it.
    private func relistTree(_ path: String, _ hierarchy: Int, _ change: inout Change) {
        guard let node = nodes[path] else { return }
        if node.hierarchy == hierarchy {
            relist(path, &change)
        } else {
            adopt(path, hierarchy, &change)
        }
        for child in nodes[path]?.children.sorted() ?? [] {
            relistTree(Self.join(path, child), hierarchy, &change)
        }
    }

    /// Adds what another hierarchy has below a cgroup that is known from an earlier one.
    private func adopt(_ path: String, _ hierarchy: Int, _ change: inout Change) {
        guard let node = nodes[path], !Self.isLeaf(node.identity) else { return }
        for entry in files.subdirectories(of: directory(hierarchy, path)) {
            let child = Self.join(path, entry.name)
            if nodes[child] == nil, Self.isWanted(entry.name) {
                add(child, inode: entry.inode, hierarchy, &change)
            }
        }
    }

    /// Compares a directory's present entries with those that are known.
    private func relist(_ path: String, _ change: inout Change) {
        guard let node = nodes[path] else { return }
        let directory = directory(node.hierarchy, path)
        let status: HostFiles.Status
        switch files.look(at: directory) {
        case .found(let found) where found.inode == node.inode: status = found
        case .found, .absent:
            if !path.isEmpty { remove(path, &change) }
            return
        case .failed:
            unseen.insert(path)
            return
        }
        if Self.isLeaf(node.identity) { return }
        // The link count is taken before the listing: what comes in between is seen next time.
        nodes[path]?.linkCount = status.linkCount
        watchIfPods(path)
        guard let entries = list(path, directory) else { return }
        let names = Set(entries.map(\.name))
        for child in node.children where !names.contains(child) {
            let childPath = Self.join(path, child)
            if nodes[childPath]?.hierarchy == node.hierarchy { remove(childPath, &change) }
        }
        for entry in entries.sorted(by: { $0.name < $1.name }) {
            let childPath = Self.join(path, entry.name)
            if let known = nodes[childPath] {
                guard known.hierarchy == node.hierarchy, known.inode != entry.inode else {
                    continue
                }
                remove(childPath, &change)
            }
            add(childPath, inode: entry.inode, node.hierarchy, &change)
        }
    }

    /// The wanted subdirectories; `nil` where they cannot be listed now and what is known stays.
    private func list(_ path: String, _ directory: String) -> [HostFiles.Entry]? {
        do {
            return try files.entries(of: directory).filter {
                $0.isDirectory && Self.isWanted($0.name)
            }
        } catch {
            files.note(error)
            unseen.insert(path)
            return nil
        }
    }

    private func add(_ path: String, inode: UInt64, _ hierarchy: Int, _ change: inout Change) {
        guard nodes.count < Self.nodeLimit else {
            refusedCount += 1
            return
        }
        guard path.utf8.count(where: { $0 == Ascii.slash }) < Self.depthLimit else { return }
        let identity = PodCgroupPath(path)
        if identity == .insidePod { return }
        // A directory is known by the inode that stat shows; readdir agrees on cgroup
        // filesystems, and a copied tree is no worse for it.
        let shown = files.status(of: directory(hierarchy, path))?.inode ?? inode
        nodes[path] = Node(
            path: path, identity: identity, inode: shown, hierarchy: hierarchy, linkCount: 0)
        if !path.isEmpty {
            nodes[Self.parent(of: path)]?.children.insert(Self.name(of: path))
            change.added.append(path)
        }
        relist(path, &change)
    }

    private func remove(_ path: String, _ change: inout Change) {
        guard let node = nodes[path] else { return }
        for child in node.children { remove(Self.join(path, child), &change) }
        nodes[path] = nil
        nodes[Self.parent(of: path)]?.children.remove(Self.name(of: path))
        if let watch = node.watch {
            watcher?.remove(watch)
            pathsOfWatches[watch] = nil
        }
        // One that came and went within an update was never there.
        if let index = change.added.firstIndex(of: path) {
            change.added.remove(at: index)
        } else {
            change.removed.append(path)
        }
    }

    // MARK: Watching

    private func watchIfPods(_ path: String) {
        guard let watcher, let node = nodes[path], node.hierarchy == 0, node.watch == nil else {
            return
        }
        switch node.identity {
        case .pod, .podGroup: break
        case .container, .insidePod, .other: return
        }
        guard let watch = watcher.add(directory(0, path)) else { return }
        nodes[path]?.watch = watch
        pathsOfWatches[watch] = path
    }

    /// - Returns: whether the kernel dropped events.
    private func drainWatcher() -> Bool {
        guard let watcher else { return false }
        let lost = watcher.drain { watch, _ in
            if let path = pathsOfWatches[watch] { suspects.insert(path) }
        }
        return lost
    }

    // MARK: Paths

    private func directory(_ hierarchy: Int, _ path: String) -> String {
        path.isEmpty ? directories[hierarchy] : directories[hierarchy] + "/" + path
    }

    private static func isLeaf(_ identity: PodCgroupPath) -> Bool {
        if case .container = identity { true } else { false }
    }

    /// systemd makes a cgroup for every mount; no process is ever in one.
    private static func isWanted(_ name: String) -> Bool { !name.hasSuffix(".mount") }

    private static func join(_ path: String, _ name: String) -> String {
        path.isEmpty ? name : path + "/" + name
    }

    static func parent(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ""
    }

    static func name(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
    }
}
