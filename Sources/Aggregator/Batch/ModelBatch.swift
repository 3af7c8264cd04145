import Wire

/// A cycle of the model as metric sets, read from the nodes while it is walked: nodes with their
/// system containers and pods, then namespaces, then the cluster. Nothing of it is in memory but the
/// set that is shown, and sums.
struct ModelBatch: Batch {
    let index: ClusterIndex
    let custom: CustomMetrics?
    let options: BatchOptions
    let timestamp: Int64
    let isAmendment: Bool
    /// Leaves out what Heapster's export left out, so that nothing is summed for nobody.
    let withoutSums: Bool

    /// - Parameter timestamp: the cycle, milliseconds since the epoch.
    init(
        index: ClusterIndex, custom: CustomMetrics? = nil, options: BatchOptions = BatchOptions(),
        timestamp: Int64, isAmendment: Bool = false, withoutSums: Bool = false
    ) {
        self.index = index
        self.custom = custom
        self.options = options
        self.timestamp = timestamp
        self.isAmendment = isAmendment
        self.withoutSums = withoutSums
    }

    /// The newest cycle that any node has closed; `nil` before the first.
    static func newest(
        index: ClusterIndex, custom: CustomMetrics? = nil, options: BatchOptions = BatchOptions(),
        withoutSums: Bool = false
    ) -> ModelBatch? {
        guard let cycle = index.cluster.rollUps.newestCycle else { return nil }
        return ModelBatch(
            index: index, custom: custom, options: options, timestamp: cycle,
            withoutSums: withoutSums)
    }

    func forEachSet<Failure: Error>(
        _ body: (borrowing MetricSet) throws(Failure) -> Void
    ) throws(Failure) {
        var builder = NodeSets(batch: self)
        var sums = BatchSums()
        for node in index.nodes() {
            builder.build(node)
            for position in 0..<builder.count {
                try body(builder.sets[position])
                if !withoutSums { sums.add(builder.sets[position]) }
            }
        }
        guard !withoutSums, sums.hasAny else { return }
        for set in sums.sets(namespaceUID: { index.directory.namespace($0)?.uid.description }) {
            try body(set)
        }
    }
}

/// Sums of a batch's pods over namespaces and the cluster.
private struct BatchSums {
    /// Heapster's six.
    private static let metrics: [MetricID] = [
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
            var set = MetricSet()
            set.kind = .namespace
            if let uid = namespaceUID(name) {
                set.labels.append(Label(key: "namespace_id", value: uid))
            }
            set.labels.append(Label(key: "namespace_name", value: name))
            set.labels.append(Label(key: "type", value: EntityKind.namespace.rawValue))
            set.values = Self.samples(row)
            found.append(set)
        }
        var cluster = MetricSet()
        cluster.kind = .cluster
        cluster.labels = [Label(key: "type", value: EntityKind.cluster.rawValue)]
        cluster.values = Self.samples(total)
        return found + [cluster]
    }

    private static func samples(_ row: [Int64?]) -> [MetricSample] {
        zip(metrics, row).compactMap { metric, value in
            value.map { MetricSample(metric, .integer($0)) }
        }
    }
}
