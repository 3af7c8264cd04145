import Wire

/// A closed cycle as metric sets: the values that its nodes had at its timestamp, however late it is
/// read. Nodes with their system containers and pods first, then namespaces, workloads and the cluster.
///
/// Which nodes are in it is settled when it is made; who closes the cycle later is handed on apart
/// (`LateBatches`). Each node is read as a copy, so its lock is held for microseconds only.
///
/// Sinks that read it at the same time share the work: see `CycleReading`.
struct CycleBatch: Batch {
    let timestamp: Int64
    var isAmendment: Bool { false }
    private let source: BatchSource
    private let reading: CycleReading
    private let receipt: BatchReceipt

    /// - Parameters:
    ///   - nodes: those that have closed the cycle.
    ///   - receipt: let go of with the batch.
    init(
        _ timestamp: Int64, of nodes: [NodeModel], from source: BatchSource, receipt: BatchReceipt
    ) {
        self.timestamp = timestamp
        self.source = source
        self.receipt = receipt
        reading = CycleReading(timestamp, of: nodes, from: source)
    }

    func forEachSet<Failure: Error>(
        _ body: (borrowing MetricSet) throws(Failure) -> Void
    ) throws(Failure) {
        let sums = try reading.forEachSet(body)
        guard sums.hasAny else { return }
        source.handed.setBase(sums, at: timestamp)
        for set in sums.sets(namespaceUID: source.namespaceUID) { try body(set) }
    }

    func noteDropped() { reading.noteDropped() }
}
