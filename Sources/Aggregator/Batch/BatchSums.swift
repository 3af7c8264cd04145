import Wire

/// Sums of a batch's pods over namespaces, workloads and the cluster.
struct BatchSums: Sendable {
    private var namespaces: [String: GroupSum] = [:]
    private var workloads: [Workload: GroupSum] = [:]
    private(set) var hasAny = false

    /// Groups that there are sums of.
    var count: Int { namespaces.count + workloads.count }

    mutating func add(_ set: borrowing MetricSet) {
        hasAny = true
        guard set.kind == .pod else { return }
        for label in set.labels where label.key == "namespace_name" {
            namespaces[label.value, default: GroupSum()].add(set.values)
        }
        if let workload = set.workload {
            workloads[workload, default: GroupSum()].add(set.values)
        }
    }

    mutating func add(_ other: BatchSums) {
        hasAny = hasAny || other.hasAny
        for (name, sum) in other.namespaces { namespaces[name, default: GroupSum()].add(sum) }
        for (workload, sum) in other.workloads { workloads[workload, default: GroupSum()].add(sum) }
    }

    /// Without workloads.
    var namespacesOnly: BatchSums {
        var sums = self
        sums.workloads = [:]
        return sums
    }

    /// Takes the rates of some namespaces from the model's roll-ups, which late frames have mended. Workloads,
    /// and rates that the roll-ups do not have (disks'), stay as they are.
    mutating func takeRates(of mended: BatchSums, from rows: [(name: String, row: RollUpRow)]) {
        for (name, row) in rows where mended.namespaces[name] != nil {
            for (index, metric) in RollUps.metrics.enumerated()
            where Rates.counter(of: metric) != nil {
                guard let value = row.value(at: index) else { continue }
                namespaces[name]?.replace(metric, value)
            }
        }
    }

    /// Namespaces, then workloads, both in the order of their names, then the cluster.
    ///
    /// - Parameter part: leaves out the namespaces and workloads that this has nothing of.
    func sets(
        changedBy part: BatchSums? = nil, namespaceUID: (String) -> String?
    ) -> [MetricSet] {
        var found: [MetricSet] = []
        var total = GroupSum()
        for (name, sum) in namespaces.sorted(by: { $0.key < $1.key }) {
            total.add(sum)
            if let part, part.namespaces[name] == nil { continue }
            found.append(Self.namespace(name, uid: namespaceUID(name), values: sum.samples))
        }
        let sorted = workloads.sorted {
            ($0.key.namespace, $0.key.kind, $0.key.name)
                < ($1.key.namespace, $1.key.kind, $1.key.name)
        }
        for (workload, sum) in sorted {
            if let part, part.workloads[workload] == nil { continue }
            let uid = namespaceUID(workload.namespace)
            found.append(Self.workload(workload, namespaceUID: uid, values: sum.samples))
        }
        return found + [Self.cluster(values: total.samples)]
    }

    /// A cycle's sums as the model's roll-ups have them: with everything that came late, but only
    /// what they keep, and without workloads.
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

    private static func workload(
        _ workload: Workload, namespaceUID: String?, values: [MetricSample]
    ) -> MetricSet {
        var set = namespace(workload.namespace, uid: namespaceUID, values: values)
        set.kind = .workload
        set.labels[set.labels.count - 1].value = EntityKind.workload.rawValue
        set.labels.append(Label(key: "workload_kind", value: workload.kind))
        set.labels.append(Label(key: "workload_name", value: workload.name))
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
        RollUps.metrics.enumerated().compactMap { index, metric in
            row.value(at: index).map { MetricSample(metric, MetricValue($0, of: metric)) }
        }
    }
}
