import Wire

/// Samples what containers and pods keep on the node's disk: writable layers, logs, emptyDirs; a
/// subject each, of the same kind as a filesystem.
///
/// Where the directory is a project of its own the filesystem knows (`ProjectQuota`), at one `statfs`
/// every ten seconds. Elsewhere only a walk can tell: by `DirectoryWalker`, if the agent was told to.
/// A directory that neither can measure has no subject.
final class StorageSampler {
    private let places: StoragePlaces
    private let files: HostFiles
    private let walker: DirectoryWalker?
    private var owners: [Owner] = []
    private var directories: [Directory] = []
    /// Something was found since the last `settle`.
    private var hasNew = false
    /// The walker is to be told which directories there are.
    private var hasOtherWalks = false

    /// A container or pod whose directories are looked for, twice: what is mounted or linked a moment
    /// after its start is there by then.
    private struct Owner {
        let slot: Slot
        let kind: Kind
        var looksLeft = 2
    }

    enum Kind: Equatable {
        /// A container, by its ID and its cgroup.
        case container(id: String, path: String)
        /// A pod, by its UID.
        case pod(uid: String)
    }

    private struct Directory {
        let owner: Slot
        let place: StoragePlaces.Place
        let isProject: Bool
        var figures: StorageFigures?
        var slot: Slot?
    }

    init(places: StoragePlaces, files: HostFiles, walker: DirectoryWalker?) {
        self.places = places
        self.files = files
        self.walker = walker
    }

    func add(_ kind: Kind, _ slot: Slot) { owners.append(Owner(slot: slot, kind: kind)) }

    /// Forgets an owner and its directories.
    func remove(_ owner: Slot, registry: inout SubjectRegistry) {
        owners.removeAll { $0.slot == owner }
        for index in directories.indices.reversed() where directories[index].owner == owner {
            let gone = directories.remove(at: index)
            if let slot = gone.slot { registry.remove(slot) }
            hasOtherWalks = true
        }
    }

    /// Looks for new directories and asks the quotas; every ten seconds or so.
    ///
    /// - Parameter processOf: a process of a container, by its cgroup.
    func look(processOf: (String) -> Int32?) {
        let isLooking = owners.contains { $0.looksLeft > 0 }
        if isLooking {
            let (logs, nodeUpper) = (places.logDirectories(), places.nodeUpperDirectory())
            for index in owners.indices where owners[index].looksLeft > 0 {
                owners[index].looksLeft -= 1
                for place in find(owners[index].kind, logs, nodeUpper, processOf) {
                    add(place, owners[index].slot)
                }
            }
        }
        for index in directories.indices where directories[index].isProject {
            // One whose project is gone keeps its figures until it is gone too.
            guard let figures = ProjectQuota.figures(of: directories[index].place.path) else {
                continue
            }
            directories[index].figures = figures
            if directories[index].slot == nil { hasNew = true }
        }
        if hasOtherWalks, let walker {
            hasOtherWalks = false
            walker.set(directories.filter { !$0.isProject }.map(\.place.path))
        }
    }

    private func find(
        _ kind: Kind, _ logs: [Substring: String], _ nodeUpper: String?,
        _ processOf: (String) -> Int32?
    ) -> [StoragePlaces.Place] {
        switch kind {
        case .pod(let uid): return places.emptyDirectories(ofPod: uid)
        case .container(let id, let path):
            var found: [StoragePlaces.Place] = []
            if let processID = processOf(path),
                let layer = places.writableLayer(of: processID, node: nodeUpper)
            {
                found.append(layer)
            }
            if let logs = logs[Substring(id)] ?? places.dockerLogDirectory(of: id) {
                found.append(StoragePlaces.Place(role: "logs", name: "logs", path: logs))
            }
            return found
        }
    }

    private func add(_ place: StoragePlaces.Place, _ owner: Slot) {
        if directories.contains(where: { $0.owner == owner && $0.place == place }) { return }
        let isProject = ProjectQuota.figures(of: place.path) != nil
        guard isProject || walker != nil else { return }
        directories.append(Directory(owner: owner, place: place, isProject: isProject))
        if !isProject { hasOtherWalks = true }
    }

    /// Takes over what the walker found, and writes every directory's row.
    func sample(into encoder: FrameEncoder, offset: Int64) {
        if let walker { takeOver(walker.takeOutcomes()) }
        for directory in directories {
            guard let slot = directory.slot, let figures = directory.figures else { continue }
            let row = encoder.row(of: slot)
            guard row.count == FilesystemSampler.fields.count else { continue }
            row[0] = offset
            FilesystemSampler.write(figures, to: row)
        }
    }

    private func takeOver(_ outcomes: [DirectoryWalker.Found]) {
        for (path, outcome) in outcomes {
            switch outcome {
            case .failed(let code):
                files.noteWalk(path, code)
            case .usage(let usage):
                guard var figures = StorageFigures(of: path) else { continue }
                figures.usageBytes = usage.byteCount
                // Two containers of a pod may name the same directory of logs.
                for index in directories.indices
                where directories[index].place.path == path && !directories[index].isProject {
                    directories[index].figures = figures
                    if directories[index].slot == nil { hasNew = true }
                }
            }
        }
    }

    /// Makes subjects of what was measured for the first time.
    ///
    /// - Returns: whether there are new ones, whose rows are still to be filled.
    func settle(registry: inout SubjectRegistry) -> Bool {
        guard hasNew else { return false }
        hasNew = false
        var isAny = false
        for index in directories.indices
        where directories[index].slot == nil && directories[index].figures != nil {
            let place = directories[index].place
            let subject = Subject(
                kind: .filesystem, parent: directories[index].owner,
                attributes: [.name: place.name, .role: place.role])
            directories[index].slot = registry.add(subject, fields: FilesystemSampler.fields)
            isAny = isAny || directories[index].slot != nil
        }
        return isAny
    }
}
