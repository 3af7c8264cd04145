import Wire

/// Sums of a batch's pods over namespaces and the cluster.
struct BatchSums {
    /// Heapster's six.
    static let metrics: [MetricID] = [
        .cpuUsageRate, .memoryUsage, .cpuRequest, .cpuLimit, .memoryRequest, .memoryLimit,
    ]

    private var namespaces: [String: [Int64?]] = [:]
    private(set) var hasAny = false

    mutating func add(_ set: borrowing MetricSet) {
        hasAny = true
        guard set.kind == .pod else { return }
        var name: String?
        for label in set.labels where label.key == "namespace_name" { name = label.value }
        guard let name else { return }
        var row = namespaces[name] ?? [Int64?](repeating: nil, count: Self.metrics.count)
        for (column, metric) in Self.metrics.enumerated() {
            for sample in set.values where sample.metric == .catalogue(metric) {
                guard case .integer(let value) = sample.value else { continue }
                row[column] = (row[column] ?? 0) &+ value
            }
        }
        namespaces[name] = row
    }

    func sets(namespaceUID: (String) -> String?) -> [MetricSet] {
        var found: [MetricSet] = []
        var total = [Int64?](repeating: nil, count: Self.metrics.count)
        for (name, row) in namespaces.sorted(by: { $0.key < $1.key }) {
            for (column, value) in row.enumerated() {
                if let value { total[column] = (total[column] ?? 0) &+ value }
            }
            found.append(
                Self.namespace(name, uid: namespaceUID(name), values: Self.samples(row)))
        }
        return found + [Self.cluster(values: Self.samples(total))]
    }

    /// A cycle's sums as the model's roll-ups have them: with everything that came late.
    static func sets(
        at cycle: Int64, of rollUps: RollUps, namespaceUID: (String) -> String?
    ) -> [MetricSet] {
        let (namespaces, whole) = rollUps.rows(at: cycle)
        guard let whole else { return [] }
        return namespaces.map { name, row in
            namespace(name, uid: namespaceUID(name), values: samples(row))
        } + [cluster(values: samples(whole))]
    }

    private static func namespace(
        _ name: String, uid: String?, values: [MetricSample]
    ) -> MetricSet {
        var set = MetricSet()
        set.kind = .namespace
        if let uid { set.labels.append(Label(key: "namespace_id", value: uid)) }
        set.labels.append(Label(key: "namespace_name", value: name))
        set.labels.append(Label(key: "type", value: EntityKind.namespace.rawValue))
        set.values = values
        return set
    }

    private static func cluster(values: [MetricSample]) -> MetricSet {
        var set = MetricSet()
        set.kind = .cluster
        set.labels = [Label(key: "type", value: EntityKind.cluster.rawValue)]
        set.values = values
        return set
    }

    private static func samples(_ row: RollUpRow) -> [MetricSample] {
        metrics.compactMap { metric in
            RollUps.metrics.firstIndex(of: metric).flatMap { row.value(at: $0) }
                .map { MetricSample(metric, MetricValue($0, of: metric)) }
        }
    }

    private static func samples(_ row: [Int64?]) -> [MetricSample] {
        zip(metrics, row).compactMap { metric, value in
            value.map { MetricSample(metric, .integer($0)) }
        }
    }
}
