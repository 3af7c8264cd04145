import Wire

/// Where on the host's disk a container's or a pod's own files are.
struct StoragePlaces {
    let roots: HostRoots
    let files: HostFiles

    /// One directory, as this process sees it.
    struct Place: Equatable, Sendable {
        /// `rootfs`, `logs` or `volume`.
        var role: String
        /// What it is called: a volume's name, the role otherwise.
        var name: String
        var path: String
    }

    /// The directory that takes what a container writes over its image: the upper one of the overlay
    /// that is its root, whatever the runtime and wherever it keeps it.
    ///
    /// - Parameter node: the node's own, which a process has until its container's root is mounted.
    /// - Returns: `nil` where the container's root is none or is not mounted yet.
    func writableLayer(of processID: Int32, node: String?) -> Place? {
        guard let own = upperDirectory(of: "\(processID)"), own != node else { return nil }
        return Place(role: "rootfs", name: "rootfs", path: roots.path(onHost: own))
    }

    /// The upper directory of the overlay that is the node's own root; `nil` where it is none.
    func nodeUpperDirectory() -> String? { upperDirectory(of: "1") }

    private func upperDirectory(of process: String) -> String? {
        let mounts: [Mount]
        do {
            mounts = try files.parse("\(roots.proc)/\(process)/mountinfo", MountInfo.parse)
        } catch {
            return nil
        }
        guard let root = mounts.last(where: { $0.mountPoint == "/" }),
            root.filesystemType == "overlay" || root.filesystemType == "fuse.fuse-overlayfs"
        else { return nil }
        let option = root.superOptionList.first { $0.hasPrefix("upperdir=") }
        // Relative names are those of a mount made inside of another root.
        return option.map { String($0.dropFirst("upperdir=".utf8.count)) }.flatMap {
            $0.hasPrefix("/") ? $0 : nil
        }
    }

    /// The log directories of containers by container ID.
    ///
    /// `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` is a link into the container's directory
    /// below `/var/log/pods`, of all its restarts.
    func logDirectories() -> [Substring: String] {
        let links = "/var/log/containers"
        var found: [Substring: String] = [:]
        for entry in entries(of: roots.path(onHost: links), "links to containers' logs")
        where entry.name.hasSuffix(".log") {
            let stem = entry.name.dropLast(4)
            guard let dash = stem.lastIndex(of: "-") else { continue }
            let containerID = stem[stem.index(after: dash)...]
            guard containerID.utf8.count == 64,
                let target = files.linkTarget(of: roots.path(onHost: "\(links)/\(entry.name)")),
                target.hasPrefix("/var/log/pods/"), let slash = target.lastIndex(of: "/"),
                !target.contains("/../")
            else { continue }
            found[containerID] = roots.path(onHost: String(target[..<slash]))
        }
        return found
    }

    /// Docker keeps a container's log in its own directory.
    func dockerLogDirectory(of containerID: String) -> String? {
        let path = roots.path(onHost: "/var/lib/docker/containers/\(containerID)")
        return files.status(of: path)?.isDirectory == true ? path : nil
    }

    /// The emptyDirs of a pod that are directories of the node's own disk; those in memory and all
    /// other volumes are mounts.
    func emptyDirectories(ofPod uid: String) -> [Place] {
        let volumes = roots.path(onHost: "\(roots.kubelet)/pods/\(uid)/volumes")
        let parent = volumes + "/kubernetes.io~empty-dir"
        let entries = entries(of: parent, "emptyDir volumes")
        guard !entries.isEmpty, let device = files.status(of: parent)?.device else { return [] }
        return entries.sorted { $0.name < $1.name }.compactMap { entry in
            let path = parent + "/" + entry.name
            guard entry.isDirectory, files.status(of: path)?.device == device else { return nil }
            return Place(role: "volume", name: entry.name, path: path)
        }
    }

    /// - Parameter kind: what is there, for a denial's words.
    private func entries(of path: String, _ kind: String) -> [HostFiles.Entry] {
        do {
            return try files.entries(of: path)
        } catch {
            if case .cannotOpen(_, let code) = error, error.isDenial {
                files.noteDenial(of: kind, code)
            } else {
                files.note(error)
            }
            return []
        }
    }
}
