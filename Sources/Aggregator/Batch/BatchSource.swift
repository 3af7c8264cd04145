import Synchronization
import Wire

/// What batches are made from: nodes, names, Heapster's labels.
final class BatchSource: Sendable {
    let index: ClusterIndex
    /// What late data is added to.
    let handed = HandedSums()
    private let custom: CustomMetrics?
    private let options: BatchOptions
    private let missed = Atomic<Int>(0)
    private let lost = Atomic<Int>(0)
    private let madeAgain = Atomic<Int>(0)

    init(index: ClusterIndex, custom: CustomMetrics? = nil, options: BatchOptions = BatchOptions())
    {
        self.index = index
        self.custom = custom
        self.options = options
    }

    var cluster: Cluster { index.cluster }

    /// Nodes that a sink came too late for in their cycle, because it was slower than cycles come. They are
    /// handed on apart.
    var missedNodes: Int { missed.load(ordering: .relaxed) }

    /// Nodes of a cycle that no sink gets any more: too many were missed, or the history has lost them.
    var lostNodes: Int { lost.load(ordering: .relaxed) }

    /// Nodes whose sets a slow sink had to make for itself, because others were far ahead.
    var nodesMadeAgain: Int { madeAgain.load(ordering: .relaxed) }

    func noteMadeAgain() { madeAgain.add(1, ordering: .relaxed) }

    /// A sink came too late for a node in its cycle.
    ///
    /// - Parameter isInSums: whether the sums of the batch have it, because another sink came in time.
    func noteMissed(_ node: NodeModel, at cycle: Int64, isInSums: Bool) {
        missed.add(1, ordering: .relaxed)
        if !cluster.cycles.noteMissed(cycle, of: node, isInBatch: isInSums) { noteLost(1) }
    }

    func noteLost(_ count: Int) { lost.add(count, ordering: .relaxed) }

    /// - Parameter withCustom: whether pushed metrics, of which only the newest is at hand, belong in.
    func builder(at timestamp: Int64, withCustom: Bool = true) -> NodeSets {
        NodeSets(
            index: index, custom: withCustom ? custom : nil, options: options,
            timestamp: timestamp)
    }

    func namespaceUID(_ name: String) -> String? {
        index.directory.namespace(name)?.uid.description
    }

    /// The node with names for these rows' subjects: as it is known, or joined anew where its
    /// subjects have changed since.
    func joined(_ node: NodeModel, _ rows: CycleRows) -> JoinedNode? {
        if let known = index.node(named: node.name), known.model === node,
            known.generation == rows.generation
        {
            return known
        }
        return join(node, rows)
    }

    /// The node with names for these rows' subjects; about 50 µs.
    func join(_ node: NodeModel, _ rows: CycleRows) -> JoinedNode {
        let names = index.directory.node(node.name)
        return JoinedNode(node, rows.layout, names.view(), names: index.directory)
    }
}
