import Wire

/// The fixed set of metrics that Heapster's stackdriver sink sends, for the old monitored resource
/// (`gke_container`) and the new ones (`k8s_container`, `k8s_pod`, `k8s_node`), in cores and seconds.
struct StackdriverEncoder: SinkEncoder {
    struct Options: Sendable {
        var usesOldResources = true
        var usesNewResources = false
        var clusterName = ""
        var location = ""
        var zone = ""
        var intervalMilliseconds: Int64 = 0
    }

    let limits = TimeSeriesWriter.limits
    let envelope = TimeSeriesWriter.envelope
    private let options: Options
    private var writer = TimeSeriesWriter()
    private var cycle: Int64 = 0
    private var lastSent = Int64.min / 2
    private var isSkipped = false
    private let rules = Rules()

    /// A row of the mapping.
    private struct Rule {
        var name: String
        var isCumulative = false
        var labels: [(String, String)] = []
    }

    /// The mapping of the whole catalogue, worked out once.
    private struct Rules: Sendable {
        /// By kind of entity, then by the number of the metric.
        private var old: [EntityKind: [Rule?]] = [:]
        private var new: [EntityKind: [Rule?]] = [:]

        init() {
            let last = Catalog.metrics.map { Int($0.id.rawValue) }.max() ?? 0
            for kind in EntityKind.allCases {
                var (oldRow, newRow) = (
                    [Rule?](repeating: nil, count: last + 1),
                    [Rule?](repeating: nil, count: last + 1)
                )
                for metric in Catalog.metrics {
                    let number = Int(metric.id.rawValue)
                    oldRow[number] = StackdriverEncoder.oldRule(.catalogue(metric.id), kind)
                    newRow[number] = StackdriverEncoder.newRule(.catalogue(metric.id), kind)
                }
                (old[kind], new[kind]) = (oldRow, newRow)
            }
        }

        func old(_ metric: MetricKey, _ kind: EntityKind) -> Rule? {
            guard case .catalogue(let id) = metric else {
                return StackdriverEncoder.oldRule(metric, kind)
            }
            return old[kind]?[Int(id.rawValue)]
        }

        func new(_ metric: MetricKey, _ kind: EntityKind) -> Rule? {
            guard case .catalogue(let id) = metric else {
                return StackdriverEncoder.newRule(metric, kind)
            }
            return new[kind]?[Int(id.rawValue)]
        }
    }

    init(_ options: Options) { self.options = options }

    mutating func begin(cycle: Int64) {
        self.cycle = cycle
        // What came late of a cycle that was sent belongs to it.
        isSkipped = cycle != lastSent && cycle - lastSent < options.intervalMilliseconds
        if !isSkipped { lastSent = cycle }
        writer.begin(cycle: cycle)
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        let isSent = [.node, .pod, .container, .systemContainer].contains(set.kind)
        guard !isSkipped, isSent, set.collectionStartTime > 0, set.collectionStartTime < cycle
        else {
            return
        }
        var values = set.values
        derive(from: set, into: &values)
        if options.usesOldResources {
            let labels = oldLabels(set)
            for sample in values {
                guard let rule = rules.old(sample.metric, set.kind) else { continue }
                write(rule, "gke_container", labels, Self.converted(sample), set, &requests)
            }
            for sample in set.labeledValues {
                guard let rule = Self.oldRule(labeled: sample) else { continue }
                write(rule, "gke_container", labels, sample.value, set, &requests)
            }
        }
        guard options.usesNewResources else { return }
        let (resource, labels) = newResource(set)
        for sample in values {
            guard let rule = rules.new(sample.metric, set.kind) else { continue }
            write(rule, resource, labels, Self.converted(sample), set, &requests)
        }
        for sample in set.labeledValues {
            guard let rule = Self.newRule(labeled: sample, set.kind) else { continue }
            write(rule, resource, labels, sample.value, set, &requests)
        }
    }

    /// Evictable memory and minor faults, which nobody measures.
    private func derive(from set: borrowing MetricSet, into values: inout [MetricSample]) {
        func integer(_ metric: MetricID) -> Int64? {
            if case .integer(let value) = set.value(metric) { return value }
            return nil
        }
        if let usage = integer(.memoryUsage), let working = integer(.memoryWorkingSet) {
            values.append(
                MetricSample(.named("memory/bytes_used", .gauge), .integer(usage &- working)))
        }
        if let all = integer(.memoryPageFaults), let major = integer(.memoryMajorPageFaults) {
            values.append(
                MetricSample(.named("memory/minor_page_faults", .counter), .integer(all &- major)))
        }
    }

    /// Seconds and cores where the catalogue has their parts.
    private static func converted(_ sample: MetricSample) -> MetricValue {
        let scale = PrometheusNames.scale(sample.metric)
        if scale != 1 { return .float(sample.value.double * scale) }
        if case .float(let number) = sample.value, let whole = Int64(exactly: number.rounded()) {
            return .integer(whole)
        }
        return sample.value
    }

    private mutating func write(
        _ rule: Rule, _ resource: String, _ labels: [(String, String)], _ value: MetricValue,
        _ set: borrowing MetricSet, _ requests: inout RequestBuilder
    ) {
        var start: Int64?
        if rule.isCumulative {
            let isRestarts = rule.name.hasSuffix("restart_count")
            start = isRestarts ? set.entityCreateTime : set.collectionStartTime
            if start == 0 { return }
        }
        writer.series(
            metric: rule.name, metricLabels: rule.labels, resource: resource,
            resourceLabels: labels, start: start, value: value)
        requests.beginItem()
        requests.bytes.append(contentsOf: writer.json.bytes)
        requests.endItem()
    }

    private func oldLabels(_ set: borrowing MetricSet) -> [(String, String)] {
        let container = set.kind == .node ? "machine" : set.label("container_name") ?? ""
        return [
            ("cluster_name", options.clusterName), ("zone", options.zone),
            ("instance_id", set.label("host_id") ?? ""),
            ("namespace_id", set.label("namespace_id") ?? ""),
            ("pod_id", set.label("pod_id") ?? ""), ("container_name", container),
        ]
    }

    private func newResource(_ set: borrowing MetricSet) -> (String, [(String, String)]) {
        let cluster = [("location", options.location), ("cluster_name", options.clusterName)]
        let pod = [
            ("namespace_name", set.label("namespace_name") ?? ""),
            ("pod_name", set.label("pod_name") ?? ""),
        ]
        switch set.kind {
        case .container:
            let name = ("container_name", set.label("container_name") ?? "")
            return ("k8s_container", cluster + pod + [name])
        case .pod: return ("k8s_pod", cluster + pod)
        default: return ("k8s_node", cluster + [("node_name", set.label("nodename") ?? "")])
        }
    }
}

/// The mapping of metrics.
extension StackdriverEncoder {
    private static func oldRule(_ metric: MetricKey, _ kind: EntityKind) -> Rule? {
        let base = "container.googleapis.com/container/"
        switch metric.name {
        case "uptime": return Rule(name: base + "uptime", isCumulative: true)
        case "cpu/limit": return Rule(name: base + "cpu/reserved_cores")
        case "cpu/usage": return Rule(name: base + "cpu/usage_time", isCumulative: true)
        case "network/rx":
            return Rule(name: base + "network/received_bytes_count", isCumulative: true)
        case "network/tx": return Rule(name: base + "network/sent_bytes_count", isCumulative: true)
        case "memory/limit": return kind == .node ? nil : Rule(name: base + "memory/bytes_total")
        case "memory/node_allocatable": return Rule(name: base + "memory/bytes_total")
        case "memory/major_page_faults":
            return Rule(
                name: base + "memory/page_fault_count", isCumulative: true,
                labels: [("fault_type", "major")])
        case "memory/minor_page_faults":
            return Rule(
                name: base + "memory/page_fault_count", isCumulative: true,
                labels: [("fault_type", "minor")])
        case "memory/bytes_used":
            return Rule(name: base + "memory/bytes_used", labels: [("memory_type", "evictable")])
        case "memory/working_set":
            return Rule(
                name: base + "memory/bytes_used", labels: [("memory_type", "non-evictable")])
        case "nvidia.com/gpu/request":
            return Rule(
                name: base + "accelerator/request", labels: [("resource_name", "nvidia.com/gpu")])
        default: return nil
        }
    }

    private static func oldRule(labeled sample: LabeledSample) -> Rule? {
        let base = "container.googleapis.com/container/"
        let device = [("device_name", ChildName.text(of: sample.labels))]
        switch sample.metric.name {
        case "filesystem/usage": return Rule(name: base + "disk/bytes_used", labels: device)
        case "filesystem/limit": return Rule(name: base + "disk/bytes_total", labels: device)
        default: return acceleratorRule(sample, base)
        }
    }

    private static func acceleratorRule(_ sample: LabeledSample, _ base: String) -> Rule? {
        switch sample.metric.name {
        case "accelerator/memory_total", "accelerator/memory_used", "accelerator/duty_cycle":
            return Rule(
                name: base + sample.metric.name, labels: sample.labels.map { ($0.key, $0.value) })
        default: return nil
        }
    }

    private static func newRule(_ metric: MetricKey, _ kind: EntityKind) -> Rule? {
        switch kind {
        case .container: return containerRule(metric.name)
        case .pod:
            let base = "kubernetes.io/pod/network/"
            switch metric.name {
            case "network/rx": return Rule(name: base + "received_bytes_count", isCumulative: true)
            case "network/tx": return Rule(name: base + "sent_bytes_count", isCumulative: true)
            default: return nil
            }
        case .node: return nodeRule(metric.name)
        case .systemContainer:
            let base = "kubernetes.io/node_daemon/"
            switch metric.name {
            case "cpu/usage": return Rule(name: base + "cpu/core_usage_time", isCumulative: true)
            case "memory/bytes_used":
                return Rule(
                    name: base + "memory/used_bytes", labels: [("memory_type", "evictable")])
            case "memory/working_set":
                return Rule(
                    name: base + "memory/used_bytes", labels: [("memory_type", "non-evictable")])
            default: return nil
            }
        case .cluster, .namespace, .workload: return nil
        }
    }

    private static func containerRule(_ metric: String) -> Rule? {
        let base = "kubernetes.io/container/"
        switch metric {
        case "uptime": return Rule(name: base + "uptime")
        case "cpu/limit": return Rule(name: base + "cpu/limit_cores")
        case "cpu/request": return Rule(name: base + "cpu/request_cores")
        case "cpu/usage": return Rule(name: base + "cpu/core_usage_time", isCumulative: true)
        case "memory/limit": return Rule(name: base + "memory/limit_bytes")
        case "memory/request": return Rule(name: base + "memory/request_bytes")
        case "memory/bytes_used":
            return Rule(name: base + "memory/used_bytes", labels: [("memory_type", "evictable")])
        case "memory/working_set":
            return Rule(
                name: base + "memory/used_bytes", labels: [("memory_type", "non-evictable")])
        case "nvidia.com/gpu/request":
            return Rule(
                name: base + "accelerator/request", labels: [("resource_name", "nvidia.com/gpu")])
        case "ephemeral_storage/limit": return Rule(name: base + "ephemeral_storage/limit_bytes")
        case "ephemeral_storage/request":
            return Rule(name: base + "ephemeral_storage/request_bytes")
        case "ephemeral_storage/usage": return Rule(name: base + "ephemeral_storage/used_bytes")
        case "restart_count": return Rule(name: base + "restart_count", isCumulative: true)
        default: return nil
        }
    }

    private static func nodeRule(_ metric: String) -> Rule? {
        let base = "kubernetes.io/node/"
        switch metric {
        case "cpu/usage": return Rule(name: base + "cpu/core_usage_time", isCumulative: true)
        case "cpu/node_capacity": return Rule(name: base + "cpu/total_cores")
        case "cpu/node_allocatable": return Rule(name: base + "cpu/allocatable_cores")
        case "memory/bytes_used":
            return Rule(name: base + "memory/used_bytes", labels: [("memory_type", "evictable")])
        case "memory/working_set":
            return Rule(
                name: base + "memory/used_bytes", labels: [("memory_type", "non-evictable")])
        case "memory/node_capacity": return Rule(name: base + "memory/total_bytes")
        case "memory/node_allocatable": return Rule(name: base + "memory/allocatable_bytes")
        case "ephemeral_storage/usage": return Rule(name: base + "ephemeral_storage/used_bytes")
        case "ephemeral_storage/node_capacity":
            return Rule(name: base + "ephemeral_storage/total_bytes")
        case "ephemeral_storage/node_allocatable":
            return Rule(name: base + "ephemeral_storage/allocatable_bytes")
        case "network/rx":
            return Rule(name: base + "network/received_bytes_count", isCumulative: true)
        case "network/tx": return Rule(name: base + "network/sent_bytes_count", isCumulative: true)
        default: return nil
        }
    }

    private static func newRule(labeled sample: LabeledSample, _ kind: EntityKind) -> Rule? {
        if kind == .container { return acceleratorRule(sample, "kubernetes.io/container/") }
        guard kind == .pod else { return nil }
        var volume = ChildName.text(of: sample.labels)
        if volume.hasPrefix("Volume:") { volume.removeFirst(7) }
        switch sample.metric.name {
        case "filesystem/usage":
            return Rule(
                name: "kubernetes.io/pod/volume/used_bytes", labels: [("volume_name", volume)])
        case "filesystem/limit":
            return Rule(
                name: "kubernetes.io/pod/volume/total_bytes", labels: [("volume_name", volume)])
        default: return nil
        }
    }
}
