/// What is sampled, by named groups that the command line turns on and off. `docs/agent.md` says
/// what each costs.
struct SampleGroups: OptionSet, Sendable {
    let rawValue: UInt32

    /// CPU time of cgroups and node, throttling, shares, quota, cpuset, load.
    static let cpu = SampleGroups(rawValue: 1 << 0)
    /// Memory usage, working set, limits and events.
    static let memory = SampleGroups(rawValue: 1 << 1)
    /// The break-down in `memory.stat`: the dearest file. Without it there is no working set.
    static let memoryStat = SampleGroups(rawValue: 1 << 2)
    /// Pressure stall information.
    static let psi = SampleGroups(rawValue: 1 << 3)
    /// Block I/O of cgroups.
    static let io = SampleGroups(rawValue: 1 << 4)
    /// Interfaces of node and pods.
    static let network = SampleGroups(rawValue: 1 << 5)
    /// Sockets of the node.
    static let sockets = SampleGroups(rawValue: 1 << 6)
    /// Block devices of the node.
    static let disk = SampleGroups(rawValue: 1 << 7)
    /// Filesystems of the node.
    static let filesystem = SampleGroups(rawValue: 1 << 8)
    /// Volumes of pods that are mounts.
    static let volumes = SampleGroups(rawValue: 1 << 9)
    /// Threads of cgroups and their limit.
    static let threads = SampleGroups(rawValue: 1 << 10)
    /// Number of processes in containers.
    static let processes = SampleGroups(rawValue: 1 << 11)
    /// Huge pages in the sizes that the node has pages of.
    static let hugetlb = SampleGroups(rawValue: 1 << 12)
    /// cgroups of the host that belong to no pod.
    static let system = SampleGroups(rawValue: 1 << 13)
    /// The agent's own state.
    static let agent = SampleGroups(rawValue: 1 << 14)
    /// Huge pages in sizes too that the node has no pages of: zeros.
    static let hugetlbUnused = SampleGroups(rawValue: 1 << 15)

    /// Writable layers, logs and emptyDirs of containers: by quota, or by walking where told to.
    static let ephemeral = SampleGroups(rawValue: 1 << 16)

    /// The names on the command line, in the order of the documentation.
    static let names: [(name: String, group: SampleGroups)] = [
        ("cpu", .cpu), ("memory", .memory), ("memory-stat", .memoryStat), ("psi", .psi),
        ("io", .io), ("network", .network), ("sockets", .sockets), ("disk", .disk),
        ("filesystem", .filesystem), ("volumes", .volumes), ("threads", .threads),
        ("processes", .processes), ("hugetlb", .hugetlb), ("system", .system), ("agent", .agent),
        ("ephemeral", .ephemeral), ("hugetlb-unused", .hugetlbUnused),
    ]

    static let all = SampleGroups(names.map(\.group))
    static let standard = all.subtracting(.hugetlbUnused)

    /// The group of a name; `nil` for a name that is none.
    static func named(_ name: some StringProtocol) -> SampleGroups? {
        names.first { $0.name == name }?.group
    }

    /// The standard groups with those of two comma-separated lists added and taken away.
    ///
    /// - Returns: the groups, and the names in the lists that are none.
    static func parse(
        enable: [String], disable: [String]
    ) -> (groups: SampleGroups, unknown: [String]) {
        var groups = SampleGroups.standard
        var unknown: [String] = []
        for (lists, isOn) in [(enable, true), (disable, false)] {
            for name in lists.flatMap({ $0.split(separator: ",") }) {
                guard let group = name == "all" ? .all : named(name) else {
                    unknown.append(String(name))
                    continue
                }
                if isOn { groups.formUnion(group) } else { groups.subtract(group) }
            }
        }
        return (groups, unknown)
    }
}
