import Wire

/// The metrics of v2's `memory.events` and of v1's `memory.oom_control`.
///
/// Sources: <https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files>,
/// <https://docs.kernel.org/admin-guide/cgroup-v1/memory.html#oom-control>. In v2 the counts
/// include descendants, removed ones too; in v1 `oom_kill` (kernel 4.13 and later) is the cgroup's
/// own, and the sampler adds the containers' to the pod's.
enum MemoryEvents {
    static let v2 = KeyedMetrics(
        [
            .init(.memoryEventsHigh, "high"),
            .init(.memoryEventsMax, "max"),
            .init(.memoryOOMKills, "oom_kill"),
        ])

    static let oomControlV1 = KeyedMetrics([.init(.memoryOOMKills, "oom_kill")])
}
