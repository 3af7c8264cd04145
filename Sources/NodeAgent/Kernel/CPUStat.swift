import Wire

/// The metrics of a cgroup's `cpu.stat` and of v1's `cpuacct.stat`.
///
/// Sources: <https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files>,
/// <https://docs.kernel.org/scheduler/sched-bwc.html#statistics>,
/// <https://docs.kernel.org/admin-guide/cgroup-v1/cpuacct.html>.
enum CPUStat {
    /// cgroup v2: microseconds.
    static let v2 = KeyedMetrics(
        [
            .init(.cpuUsage, "usage_usec", scale: 1_000),
            .init(.cpuUser, "user_usec", scale: 1_000),
            .init(.cpuSystem, "system_usec", scale: 1_000),
            .init(.cpuCfsPeriods, "nr_periods"),
            .init(.cpuCfsThrottledPeriods, "nr_throttled"),
            .init(.cpuCfsThrottledTime, "throttled_usec", scale: 1_000),
            .init(.cpuCfsBurstPeriods, "nr_bursts"),
            .init(.cpuCfsBurstTime, "burst_usec", scale: 1_000),
        ])

    /// cgroup v1's `cpu.stat`: throttling only, nanoseconds.
    static let v1 = KeyedMetrics(
        [
            .init(.cpuCfsPeriods, "nr_periods"),
            .init(.cpuCfsThrottledPeriods, "nr_throttled"),
            .init(.cpuCfsThrottledTime, "throttled_time"),
            .init(.cpuCfsBurstPeriods, "nr_bursts"),
            .init(.cpuCfsBurstTime, "burst_time"),
        ])

    /// cgroup v1's `cpuacct.stat`: clock ticks of 10 ms, so user and system need not add up to
    /// `cpuacct.usage`.
    static let accountingV1 = KeyedMetrics(
        [
            .init(.cpuUser, "user", scale: clockTickNanoseconds),
            .init(.cpuSystem, "system", scale: clockTickNanoseconds),
        ])

    /// USER_HZ is 100 on every architecture that Kubernetes runs on.
    static let clockTickNanoseconds: Int64 = 10_000_000
}
