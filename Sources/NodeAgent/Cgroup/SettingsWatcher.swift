import Glibc

/// Tells in which cgroups' directories somebody wrote to a file: limits and shares change in no other way.
///
/// inotify(7) on the directories; the kernel tells of every write(2) by whoever (fs/notify/fsnotify.c,
/// `__fsnotify_parent`). An instance of its own, looked at once a step, so that writing wakes nobody.
final class SettingsWatcher {
    private let watcher: CgroupWatcher
    private var paths: [Int32: String] = [:]

    /// - Returns: `nil` where the kernel grants no more inotify instances.
    init?() {
        guard let watcher = CgroupWatcher(events: IN_MODIFY) else { return nil }
        self.watcher = watcher
    }

    /// Watches a cgroup's directories.
    ///
    /// - Returns: the watches; `nil` where the kernel refuses one of them.
    func add(_ path: String, in directories: [String]) -> [Int32]? {
        var watches: [Int32] = []
        for directory in directories {
            guard let watch = watcher.add(directory + "/" + path) else {
                remove(watches)
                return nil
            }
            watches.append(watch)
            paths[watch] = path
        }
        return watches
    }

    func remove(_ watches: [Int32]) {
        for watch in watches {
            watcher.remove(watch)
            paths[watch] = nil
        }
    }

    /// Hands over the path of every cgroup of which a setting was written since the last call, maybe more than
    /// once, and whether that can have changed those below it.
    ///
    /// - Returns: whether the kernel's queue overflowed, so that events are missing.
    func drain(_ body: (_ path: String, _ reachesBelow: Bool) -> Void) -> Bool {
        watcher.drain { watch, name in
            guard let path = paths[watch], !Self.moves.contains(where: name.equals) else { return }
            // Effective CPUs are the parents'. A kubelet writes the shares of its groups of pods every minute.
            body(path, name.hasPrefix("cpuset."))
        }
    }

    /// Files by which processes are moved: every command that is run in a container is a write to one.
    private static let moves: [StaticString] = ["cgroup.procs", "cgroup.threads", "tasks"]
}
