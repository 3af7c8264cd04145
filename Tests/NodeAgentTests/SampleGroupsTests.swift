import Testing
import Wire

@testable import NodeAgent

/// Groups of metrics that are turned on and off, on the captured trees.
@Suite struct SampleGroupsTests {
    private static let all: SampleGroups = SampleGroups.all.subtracting([
        .filesystem, .volumes, .agent, .ephemeral,
    ])

    /// What a group has, by subject and metric; written from `docs/agent.md`, not from the code.
    private static let groups: [(name: String, has: @Sendable (SampledValues.Key) -> Bool)] = [
        ("cpu", { isCgroup($0) && $0.metric.hasPrefix("cpu/") || isNodesCPU($0) }),
        // The break-down goes with the rest.
        ("memory", { $0.metric.hasPrefix("memory/") }),
        ("memory-stat", { isCgroup($0) && isOfStat($0.metric) }),
        ("psi", { $0.metric.hasPrefix("pressure/") }),
        ("io", { !$0.subject.hasPrefix("node") && $0.subject.contains("| disk ") }),
        ("network", { $0.metric.hasPrefix("network/") }),
        ("sockets", { $0.metric.hasPrefix("sockets/") }),
        ("disk", { $0.subject.hasPrefix("node | disk ") }),
        ("threads", { isCgroup($0) && $0.metric.hasPrefix("process/threads") }),
        ("processes", { isCgroup($0) && $0.metric == "process/count" }),
        ("hugetlb", { $0.subject.contains("| hugepages ") }),
        ("system", { $0.subject.hasPrefix("system ") && !$0.subject.contains("kubepods") }),
    ]

    private static func isCgroup(_ key: SampledValues.Key) -> Bool {
        key.subject != "node" && !key.subject.contains("|")
    }

    /// With the CPU's time goes all that is small and of the node as a whole.
    private static func isNodesCPU(_ key: SampledValues.Key) -> Bool {
        let prefixes = ["cpu/", "load/", "process/", "file_handles/", "uptime"]
        return key.subject == "node" && prefixes.contains { key.metric.hasPrefix($0) }
    }

    private static func isOfStat(_ metric: String) -> Bool {
        let others = [
            "usage", "max_usage", "failcnt", "kernel", "oom_kills", "cgroup_limit", "swap_limit",
            "cgroup_reservation", "events_high", "events_max", "swap",
        ].map { "memory/" + $0 }
        return metric.hasPrefix("memory/") && !others.contains(metric)
    }

    /// v1 has memory/swap in `memory.stat` and a file of its own for memory/kernel, v2 the other way round.
    private static func isEither(_ metric: String) -> Bool {
        metric == "memory/swap" || metric == "memory/kernel"
    }

    @Test(arguments: FixtureTree.all)
    func aGroupThatIsOffTakesItsMetricsAndNothingElse(_ tree: FixtureTree) throws {
        let (sampler, encoder) = try Sampler.sampling(tree, groups: Self.all)
        let whole = SampledValues(sampler, encoder).values
        for group in Self.groups {
            let groups = Self.all.subtracting(try #require(SampleGroups.named(group.name)))
            let (sampler, encoder) = try Sampler.sampling(tree, groups: groups)
            let rest = SampledValues(sampler, encoder).values
            var faults: [String] = []
            for (key, value) in whole.sorted(by: { $0.key < $1.key }) {
                let belongs = group.has(key)
                if group.name == "memory-stat", Self.isEither(key.metric) { continue }
                // The parts of a system cgroup go with it.
                if group.name == "system", key.subject.hasPrefix("system ") { continue }
                if rest[key] != (belongs ? nil : value) { faults.append("\(key)") }
            }
            #expect(faults.isEmpty, "\(tree): without \(group.name): \(faults.prefix(9))")
            #expect(Set(rest.keys).isSubset(of: whole.keys))
            let hasGroup = whole.keys.contains(where: group.has)
            #expect(rest.count < whole.count || !hasGroup, "\(tree): \(group.name) takes nothing")
        }
    }

    @Test func unknownNamesAreToldAndListsAddUp() {
        #expect(
            SampleGroups.parse(enable: ["cpu", "nonsense,io"], disable: []).unknown == ["nonsense"])
        let off = SampleGroups.parse(enable: ["hugetlb-unused,psi"], disable: ["psi", "io,disk"])
        #expect(off.unknown.isEmpty)
        #expect(off.groups == SampleGroups.all.subtracting([.psi, .io, .disk]))
        #expect(SampleGroups.parse(enable: ["cpu"], disable: ["all"]).groups.isEmpty)
    }
}
