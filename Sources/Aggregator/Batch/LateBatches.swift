import Wire

/// Cycles of one node that were not in their batches, as batches of their own; and the sums that
/// they change.
struct LateBatches {
    let source: BatchSource

    /// Each of the node's cycles that the model still has, in the order of time within a chain.
    ///
    /// Where the values are at hand nothing is decoded, so a node whose clock is behind, and which is
    /// late every time, costs no more than others. What is mended is mended in the history alone.
    ///
    /// - Throws: `WireError` when history cannot be decoded, which is our own fault.
    func forEachCycle(
        of late: CycleFeed.LateCycles, _ body: (_ cycle: Int64, [MetricSet]) -> Void
    ) throws(WireError) {
        let (node, cycles) = (late.node, late.cycles)
        let isCheap = cycles.count <= 2 && late.mended.isEmpty
        let atHand = isCheap ? cycles.compactMap { node.cycleRows(at: $0) } : []
        if atHand.count == cycles.count {
            for rows in atHand.sorted(by: { $0.step < $1.step }) {
                if let joined = source.joined(node, rows) {
                    show(joined, rows, isMended: false, body)
                }
            }
            return
        }
        var count = 0
        var joined: JoinedNode?
        try CycleReplay(node: node).read(cycles) { rows in
            let current: JoinedNode
            if let joined, joined.generation == rows.generation {
                current = joined
            } else {
                current = source.join(node, rows)
                joined = current
            }
            count += 1
            show(current, rows, isMended: late.mended.contains(rows.step), body)
        }
        source.noteLost(cycles.count - count)
    }

    private func show(
        _ node: JoinedNode, _ rows: CycleRows, isMended: Bool,
        _ body: (_ cycle: Int64, [MetricSet]) -> Void
    ) {
        var builder = source.builder(at: rows.step, withCustom: false)
        builder.build(node, rows)
        var sums = BatchSums()
        for set in builder.sets[..<builder.count] { sums.add(set) }
        if isMended {
            source.handed.noteMended(sums, at: rows.step)
        } else {
            source.handed.addLate(sums, at: rows.step)
        }
        body(rows.step, Array(builder.sets[..<builder.count]))
    }

    /// The sums of a cycle as they are now; empty when the model has forgotten it. Of cycles that an
    /// earlier process handed on only what the roll-ups keep.
    func sums(at cycle: Int64) -> [MetricSet] {
        if let handed = source.handed.sums(at: cycle, source.cluster.rollUps) {
            return handed.all.sets(changedBy: handed.changed, namespaceUID: source.namespaceUID)
        }
        return BatchSums.sets(
            at: cycle, of: source.cluster.rollUps, namespaceUID: source.namespaceUID)
    }
}
