import Wire

/// How much memory the process may have: from its cgroup, else the machine's.
///
/// Sources: <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files> (`memory.max`,
/// `memory.high`), <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html>
/// (`memory.limit_in_bytes`), proc_pid_cgroup(5), `MemTotal` of proc_meminfo(5).
struct MemoryLimit: Equatable, Sendable {
    let byteCount: Int
    /// Where it comes from, for a log line.
    let origin: String

    /// Part of the limit that the process may use when nothing is said.
    static let defaultPercent = 80

    /// The smallest limit of the process's cgroup and those above it; the machine's memory without one.
    ///
    /// - Parameter read: a file's bytes, `nil` where it cannot be read.
    /// - Returns: `nil` where not even the machine's memory is known.
    static func find(read: (String) -> [UInt8]?) -> MemoryLimit? {
        var found = machine(read)
        for candidate in groups(read) where candidate.byteCount < found?.byteCount ?? .max {
            found = candidate
        }
        return found
    }

    /// Of this process.
    static func find() -> MemoryLimit? {
        find { path in
            do throws(SmallFileError) {
                return try SmallFile.read(path, byteLimit: 1 << 20)
            } catch {
                return nil
            }
        }
    }

    private static func machine(_ read: (String) -> [UInt8]?) -> MemoryLimit? {
        for line in lines(read("/proc/meminfo")) where line.hasPrefix("MemTotal:") {
            let words = line.split(separator: " ")
            guard words.count == 3, let kibibytes = Int(words[1]) else { return nil }
            return MemoryLimit(byteCount: kibibytes << 10, origin: "the machine's memory")
        }
        return nil
    }

    private static func groups(_ read: (String) -> [UInt8]?) -> [MemoryLimit] {
        var found: [MemoryLimit] = []
        for line in lines(read("/proc/self/cgroup")) {
            // hierarchy:controllers:path
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let path = String(parts[2])
            if parts[0] == "0" {
                // A hybrid machine has the second version beside the first.
                for root in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
                    found += limits(root, path, ["memory.max", "memory.high"], read)
                }
            } else if parts[1].split(separator: ",").contains("memory") {
                found += limits("/sys/fs/cgroup/memory", path, ["memory.limit_in_bytes"], read)
            }
        }
        return found
    }

    /// Of a cgroup and those above it. In a container the path may be the host's, which is not there;
    /// the root is then the container's own.
    private static func limits(
        _ root: String, _ path: String, _ names: [String], _ read: (String) -> [UInt8]?
    ) -> [MemoryLimit] {
        var parts = path.split(separator: "/")
        var found: [MemoryLimit] = []
        while true {
            let folder = ([root] + parts.map(String.init)).joined(separator: "/")
            for name in names {
                let text = lines(read("\(folder)/\(name)")).first ?? "max"
                // "max" is none, and so are the first version's nine exabytes.
                guard let byteCount = Int(text), byteCount > 0, byteCount < 1 << 60 else {
                    continue
                }
                found.append(MemoryLimit(byteCount: byteCount, origin: "\(folder)/\(name)"))
            }
            guard parts.popLast() != nil else { return found }
        }
    }

    private static func lines(_ bytes: [UInt8]?) -> [String] {
        (bytes ?? []).split(separator: UInt8(ascii: "\n")).map {
            String(decoding: $0, as: UTF8.self)
        }
    }
}
