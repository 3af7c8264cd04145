import Wire

/// The metrics of which a sum over pods means something: what pods use and ask for, and rates. Not
/// counters, whose sum falls when a pod goes; not limits and settings of cgroups; not ratios.
enum AdditiveMetrics {
    /// In the order of the catalogue; at most 64.
    static let all: [MetricID] = Catalog.metrics.filter { metric in
        metric.kind == .gauge && metric.unit != .ratio && metric.unit != .percent
            && !settings.contains(metric.id)
            && (metric.subjects.contains(.pod) || metric.subjects.contains(.container))
    }.map(\.id)

    /// Gauges that are not amounts in use.
    private static let settings: Set<MetricID> = [
        .readOffset, .cpuShares, .cpuCfsQuota, .cpuCfsPeriod, .cpuSetCores, .memoryMaxUsage,
        .memoryCgroupLimit, .memorySwapLimit, .memoryReservation, .processThreadsLimit,
    ]

    /// By metric number: the index in `all`, -1 for none.
    private static let indices: [Int8] = {
        precondition(all.count <= 64, "\(all.count) additive metrics")
        let end = Int(MetricID.allCases.map(\.rawValue).max() ?? 0) + 1
        var indices = [Int8](repeating: -1, count: end)
        for (index, metric) in all.enumerated() { indices[Int(metric.rawValue)] = Int8(index) }
        return indices
    }()

    /// The index in `all`.
    static func index(of metric: MetricID) -> Int? {
        let index = indices[Int(metric.rawValue)]
        return index >= 0 ? Int(index) : nil
    }

    static func contains(_ metric: MetricID) -> Bool { index(of: metric) != nil }
}
