import Wire

/// The newest values of the model as metric sets, read from the nodes while it is walked: nodes with
/// their system containers and pods, then namespaces, workloads and the cluster. Nothing of it is in memory
/// but the set that is shown, and sums. What sinks get is a `CycleBatch`.
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
        let cluster = options.clusterName.map { Label(key: Label.clusterName, value: $0) }
        for var set in sums.sets(namespaceUID: { index.directory.namespace($0)?.uid.description }) {
            if let cluster { set.setLabel(cluster) }
            try body(set)
        }
    }
}
