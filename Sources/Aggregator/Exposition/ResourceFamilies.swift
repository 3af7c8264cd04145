import Wire

/// What a kubelet exposes in `/metrics/resource`
/// (`pkg/kubelet/metrics/collectors/resource_metrics.go` of kubernetes).
enum ResourceFamilies {
    static let all: [SeriesFamily] = [
        family(
            "container_cpu_usage_seconds_total", .counter,
            "Cumulative cpu time consumed by the container in core-seconds",
            .metric(.cpuUsage, .nanoseconds), .container),
        family(
            "container_memory_working_set_bytes", .gauge,
            "Current working set of the container in bytes", .metric(.memoryWorkingSet, .none),
            .container),
        family(
            "container_start_time_seconds", .gauge,
            "Start time of the container since unix epoch in seconds", .startTime, .container),
        family(
            "container_swap_usage_bytes", .gauge,
            "Current amount of the container swap usage in bytes.", .metric(.memorySwap, .none),
            .container),
        family(
            "node_cpu_usage_seconds_total", .counter,
            "Cumulative cpu time consumed by the node in core-seconds",
            .metric(.cpuUsage, .nanoseconds), .node),
        family(
            "node_memory_working_set_bytes", .gauge, "Current working set of the node in bytes",
            .metric(.memoryWorkingSet, .none), .node),
        family(
            "node_swap_usage_bytes", .gauge, "Current swap usage of the node in bytes.",
            .metric(.memorySwap, .none), .node),
        family(
            "pod_cpu_usage_seconds_total", .counter,
            "Cumulative cpu time consumed by the pod in core-seconds",
            .metric(.cpuUsage, .nanoseconds), .pod),
        family(
            "pod_memory_working_set_bytes", .gauge, "Current working set of the pod in bytes",
            .metric(.memoryWorkingSet, .none), .pod),
        family(
            "pod_swap_usage_bytes", .gauge, "Current amount of the pod swap usage in bytes.",
            .metric(.memorySwap, .none), .pod),
        family(
            "resource_scrape_error", .gauge,
            "1 if the node has told nothing for three cycles, 0 otherwise", .silence,
            .node),
    ]

    private static func family(
        _ name: String, _ kind: ExpositionWriter.Kind, _ help: String,
        _ source: SeriesFamily.Source, _ targets: SeriesFamily.Targets
    ) -> SeriesFamily {
        SeriesFamily(name: name, kind: kind, help: help, source: source, targets: targets)
    }
}
