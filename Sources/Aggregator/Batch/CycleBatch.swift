import Wire

/// A closed cycle as metric sets: the values that its nodes had at its timestamp, however late it is
/// read. Nodes with their system containers and pods first, then namespaces, workloads and the cluster.
///
/// Which nodes are in it is settled when it is made; who closes the cycle later is handed on apart
/// (`LateBatches`). Each node is read as a copy, so its lock is held for microseconds only.
struct CycleBatch: Batch {
    let timestamp: Int64
    var isAmendment: Bool { false }
    private let source: BatchSource
    private let nodes: [NodeModel]
    private let receipt: BatchReceipt

    /// - Parameters:
    ///   - nodes: those that have closed the cycle.
    ///   - receipt: let go of with the batch.
    init(
        _ timestamp: Int64, of nodes: [NodeModel], from source: BatchSource, receipt: BatchReceipt
    ) {
        self.timestamp = timestamp
        self.nodes = nodes
        self.source = source
        self.receipt = receipt
    }

    func forEachSet<Failure: Error>(
        _ body: (borrowing MetricSet) throws(Failure) -> Void
    ) throws(Failure) {
        var builder = source.builder(at: timestamp)
        var sums = BatchSums()
        for node in nodes {
            guard let rows = node.cycleRows(at: timestamp), let joined = source.joined(node, rows)
            else {
                // Too many cycles wait to be read; see `CycleRows`.
                source.noteMissed()
                continue
            }
            builder.build(joined, rows)
            for position in 0..<builder.count {
                try body(builder.sets[position])
                sums.add(builder.sets[position])
            }
        }
        guard sums.hasAny else { return }
        source.handed.setBase(sums, at: timestamp)
        for set in sums.sets(namespaceUID: source.namespaceUID) { try body(set) }
    }
}
