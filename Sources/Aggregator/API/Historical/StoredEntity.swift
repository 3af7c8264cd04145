import Wire

/// An entity as sinks label it.
struct StoredEntity {
    let kind: EntityKind
    /// In Heapster's names.
    var labels: [(key: String, value: String)]

    init(_ entity: Entity) {
        switch entity {
        case .cluster: (kind, labels) = (.cluster, [])
        case .namespace(let name): (kind, labels) = (.namespace, [("namespace_name", name)])
        case .node(let name): (kind, labels) = (.node, [("nodename", name)])
        case .pod(let namespace, let name):
            (kind, labels) = (.pod, Self.pod(namespace, name))
        case .container(let namespace, let pod, let name):
            kind = .container
            labels = Self.pod(namespace, pod) + [("container_name", name)]
        case .systemContainer(let node, let name):
            (kind, labels) = (.systemContainer, [("nodename", node), ("container_name", name)])
        case .workload(let workload):
            kind = .workload
            labels = [
                ("namespace_name", workload.namespace), ("workload_kind", workload.kind),
                ("workload_name", workload.name),
            ]
        }
    }

    /// Pods of the unknown namespace go by their UIDs.
    private static func pod(
        _ namespace: String, _ name: String
    ) -> [(key: String, value: String)] {
        namespace == unknownNamespace
            ? [("pod_id", name)] : [("namespace_name", namespace), ("pod_name", name)]
    }

    /// What one series of an entity differs from another in; empty for most.
    static let ownLabels = ["resource_id", "accelerator_id"]

    /// Metrics that only parts of an entity have: filesystems, devices. Lists leave them out.
    static let ownMetrics: Set<String> = Set(
        Catalog.metrics.filter { partKinds.isSuperset(of: $0.subjects) }.map(\.name))
    private static let partKinds: SubjectKinds = [
        .filesystem, .blockDevice, .accelerator, .hugePages,
    ]
}

/// Numbers as they come out of a store.
enum StoredValues {
    /// Points of a metric, whole where it is: by the catalogue, or because all that came is.
    static func points(
        _ values: [(cycle: Int64, value: Double)], of metric: String
    ) -> [SeriesPoint] {
        if let known = Catalog.metric(named: metric) {
            return values.map {
                SeriesPoint(cycle: $0.cycle, value: value($0.value, of: known))
            }
        }
        let isWhole = values.allSatisfy { Int64(exactly: $0.value) != nil }
        return values.map { point in
            SeriesPoint(
                cycle: point.cycle,
                value: isWhole
                    ? .integer(Int64(exactly: point.value) ?? 0) : .float(point.value))
        }
    }

    private static func value(_ value: Double, of metric: Metric) -> MetricValue {
        switch metric.unit {
        case .perSecond, .ratio: .float(value)
        // Seconds and cores were divided, which is not exact.
        default: .integer(Int64(exactly: value.rounded()) ?? 0)
        }
    }
}
