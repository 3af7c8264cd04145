/// When a cgroup started: when the oldest of its processes did, which is the same whoever looks and
/// however often the agent restarts. A cgroup without processes has its directory's time until it
/// has one.
///
/// cAdvisor takes the times of directories, which move (google/cadvisor#1879).
struct CgroupStart {
    let hierarchies: CgroupHierarchies
    let proc: String
    let files: HostFiles

    /// Processes looked at, once for a cgroup. v1 lists them by number, and numbers begin anew after the
    /// largest, so the oldest may stand anywhere.
    private static let processLimit = 1_024

    /// The processes of a cgroup itself, not of those below it.
    func processIDs(of path: String) -> [Int32] {
        for directory in hierarchies.treeDirectories {
            do {
                let processIDs = try files.parse(
                    "\(directory)/\(path)/cgroup.procs", CgroupProcs.processIDs)
                if !processIDs.isEmpty { return processIDs }
            } catch {
                continue
            }
        }
        return []
    }

    /// Milliseconds since the epoch; `nil` where none of the processes is there, or only such as
    /// will be gone in a moment.
    func time(of processIDs: [Int32], bootTimeSeconds: Int64) -> Int64? {
        var first: Int64?
        for processID in processIDs.prefix(Self.processLimit) {
            do {
                let process = try files.parse("\(proc)/\(processID)/stat") {
                    text throws(KernelTextError) in
                    PIDStat.isRuncStage(text) ? nil : try PIDStat(parsing: text)
                }
                guard let process else { continue }
                let start = bootTimeSeconds * 1_000 + process.startMillisecondsAfterBoot
                first = min(first ?? start, start)
            } catch {
                continue
            }
        }
        return first
    }

    /// When the directory was last changed, not before the boot and not after now.
    func directoryTime(of path: String, bootTimeSeconds: Int64, now: Int64) -> Int64 {
        let times = hierarchies.treeDirectories.compactMap {
            files.status(of: "\($0)/\(path)")?.modifiedMilliseconds
        }
        return max(bootTimeSeconds * 1_000, min(times.min() ?? now, now))
    }

    /// Whether a process is the one that does nothing but hold a pod's namespaces.
    func isPause(_ processID: Int32) -> Bool {
        files.line("\(proc)/\(processID)/comm") == "pause"
    }
}
