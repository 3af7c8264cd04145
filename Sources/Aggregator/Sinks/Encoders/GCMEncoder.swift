import Wire

/// Custom metrics as Heapster's gcm sink: `custom.googleapis.com/kubernetes.io/NAME`.
///
/// Mended: descriptors are left to Cloud Monitoring, which makes them with the first point; Heapster
/// deleted and made all of them at each start, and their history with them.
struct GCMEncoder: SinkEncoder {
    let limits = TimeSeriesWriter.limits
    let envelope = TimeSeriesWriter.envelope
    private let onlyAutoscaling: Bool
    private var writer = TimeSeriesWriter()

    private static let autoscaling: Set<MetricKey> = [
        .catalogue(.cpuNodeUtilization), .catalogue(.cpuNodeReservation),
        .catalogue(.memoryNodeUtilization), .catalogue(.memoryNodeReservation),
    ]
    private static let sentLabels: Set<String> = [
        "type", "nodename", "hostname", "host_id", "pod_id", "pod_name", "namespace_name",
        "namespace_id", "container_name", "container_base_image", "labels", "resource_id", "make",
        "model", "accelerator_id", "cluster_name",
    ]

    init(onlyAutoscaling: Bool) { self.onlyAutoscaling = onlyAutoscaling }

    mutating func begin(cycle: Int64) { writer.begin(cycle: cycle) }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        let labels = set.labels.filter { Self.sentLabels.contains($0.key) && !$0.value.isEmpty }
            .map { ($0.key, $0.value) }
        for sample in set.values {
            if Self.autoscaling.contains(sample.metric) {
                let own = [
                    ("hostname", set.label("hostname") ?? ""),
                    (
                        "compute.googleapis.com/resource_id",
                        set.label("host_id") ?? ""
                    ), ("compute.googleapis.com/resource_type", "instance"),
                ]
                write(sample.metric, sample.value, own, 0, &requests)
            } else if !onlyAutoscaling {
                write(sample.metric, sample.value, labels, set.collectionStartTime, &requests)
            }
        }
        if onlyAutoscaling { return }
        for sample in set.labeledValues {
            let all = labels + sample.labels.map { ($0.key, $0.value) }
            write(sample.metric, sample.value, all, set.collectionStartTime, &requests)
        }
    }

    private mutating func write(
        _ metric: MetricKey, _ value: MetricValue, _ labels: [(String, String)], _ start: Int64,
        _ requests: inout RequestBuilder
    ) {
        guard value.double.isFinite else { return }
        let isCumulative = metric.kind == .counter && start > 0
        writer.series(
            metric: "custom.googleapis.com/kubernetes.io/\(metric.name)", metricLabels: labels,
            resource: "", resourceLabels: [], start: isCumulative ? start : nil, value: value)
        requests.beginItem()
        requests.bytes.append(contentsOf: writer.json.bytes)
        requests.endItem()
    }
}
