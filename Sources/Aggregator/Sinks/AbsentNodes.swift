/// Cycles that were handed on without a node: it was late, or is somewhere else. Whoever goes on, another
/// aggregator or this one after a restart, may have what was not here.
struct AbsentNodes {
    /// By node, never empty.
    private(set) var cycles: [String: CycleRanges] = [:]
    private let resolution: Int64

    init(resolution: Int64, cycles: [String: CycleRanges] = [:]) {
        self.resolution = resolution
        self.cycles = cycles
    }

    mutating func insert(_ missing: Set<Int64>, without node: String) {
        for cycle in missing.sorted() {
            cycles[node, default: CycleRanges()].insert(cycle, resolution: resolution)
        }
    }

    /// What a node has brought, or was found to be here.
    mutating func remove(_ brought: Set<Int64>, of node: String) {
        guard let known = cycles[node] else { return }
        let left = known.subtracting(brought, resolution: resolution)
        cycles[node] = left.isEmpty ? nil : left
    }

    func cycles(of node: String, after oldest: Int64) -> Set<Int64> {
        cycles[node]?.cycles(resolution: resolution, after: oldest) ?? []
    }

    /// Forgets what no model has any more. Cheap: nodes without an agent are absent from every cycle.
    mutating func trim(before cycle: Int64) {
        for (node, ranges) in cycles where (ranges.ranges.first?.lowerBound ?? cycle) < cycle {
            cycles[node]?.trim(before: cycle)
            if cycles[node]?.isEmpty == true { cycles[node] = nil }
        }
    }
}
