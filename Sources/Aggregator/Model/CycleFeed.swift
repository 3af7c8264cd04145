import Synchronization
import Wire

/// What the ingest path tells those who hand closed cycles on (sinks), and what it must keep for
/// them. While nobody listens it costs one atomic load a cycle and node.
///
/// ```
///  node closes a cycle ──> after the head: it will be in that cycle's batch
///                     └──> at or before the head: late, handed on apart
/// ```
final class CycleFeed: Sendable {
    /// The newest cycle that was handed on; `Int64.max` while nobody listens.
    private let head = Atomic<Int64>(.max)
    private let state = Mutex(State())

    private struct State {
        /// Cycles that are being read, and by how many.
        var held: [Int64: Int] = [:]
        /// Cycles at or before the head that nodes have closed since.
        var late: [String: LateCycles] = [:]
        var lateSince: UInt64?
        var lateLast: UInt64 = 0
        /// Of what is late, what a sink came too late for.
        var missedCount = 0
        var clock = Clock.system

        /// Changes what is late of a node.
        ///
        /// - Parameter restartsQuiet: whether more of the kind may follow at once.
        mutating func change(
            _ node: NodeModel, restartsQuiet: Bool = true, _ body: (inout LateCycles) -> Void
        ) {
            let now = clock.monotonicNanoseconds
            body(&late[node.name, default: LateCycles(node: node, cycles: [])])
            if lateSince == nil { lateSince = now }
            if restartsQuiet { lateLast = now }
        }
    }

    /// A node and cycles of it that were not in their batches.
    struct LateCycles: Sendable {
        let node: NodeModel
        var cycles: Set<Int64>
        /// Those of them that were in their batches, with rates that are better now.
        var mended: Set<Int64> = []
    }

    /// Nodes that close a cycle at or before this one are late from now on.
    ///
    /// - Parameter clock: tells how long late data has waited.
    func start(head cycle: Int64, clock: Clock) {
        state.withLock { $0.clock = clock }
        head.store(cycle, ordering: .sequentiallyConsistent)
    }

    /// Nobody listens any more.
    func stop() {
        head.store(.max, ordering: .releasing)
        state.withLock { $0 = State() }
    }

    var isListening: Bool { head.load(ordering: .relaxed) != .max }

    /// A cycle is handed on. Nodes that close it from now on are late.
    func advance(to cycle: Int64) { head.store(cycle, ordering: .sequentiallyConsistent) }

    // MARK: What nodes say, under their locks

    /// A node's frame has closed a cycle.
    func note(_ cycle: Int64, closedBy node: NodeModel) {
        let newest = head.load(ordering: .sequentiallyConsistent)
        guard newest != .max, cycle <= newest else { return }
        state.withLock { $0.change(node) { $0.cycles.insert(cycle) } }
    }

    /// Late frames have given a cycle that the node had closed its true rates.
    func noteMended(_ cycle: Int64, of node: NodeModel) {
        guard isListening, cycle <= head.load(ordering: .sequentiallyConsistent) else { return }
        state.withLock {
            $0.change(node) { late in
                if late.cycles.insert(cycle).inserted { late.mended.insert(cycle) }
            }
        }
    }

    /// Whether a cycle's values are still wanted as they were.
    func wants(_ cycle: Int64) -> Bool {
        let newest = head.load(ordering: .acquiring)
        guard newest != .max else { return false }
        return cycle > newest || state.withLock { $0.held[cycle] != nil }
    }

    // MARK: What is taken from it

    /// A node's cycle is in the batch after all.
    func forget(_ cycle: Int64, of node: NodeModel) {
        state.withLock { state in
            guard state.late[node.name]?.cycles.remove(cycle) != nil else { return }
            state.late[node.name]?.mended.remove(cycle)
            if state.late[node.name]?.cycles.isEmpty == true { state.late[node.name] = nil }
            if state.late.isEmpty { state.lateSince = nil }
        }
    }

    /// Cycles that are late for another reason: they were closed before anybody listened.
    func addLate(_ cycles: Set<Int64>, of node: NodeModel) {
        guard !cycles.isEmpty else { return }
        state.withLock {
            $0.change(node, restartsQuiet: false) { late in
                late.cycles.formUnion(cycles)
                late.mended.subtract(cycles)
            }
        }
    }

    /// So many are read again from the history; where sinks are slower than cycles come for long, more would
    /// only make them slower.
    static let missedCountMax = 20_000

    /// A sink came too late for a node's values in a cycle's batch: the history has them.
    ///
    /// - Parameter isInBatch: whether other sinks came in time.
    /// - Returns: false where too many wait already.
    func noteMissed(_ cycle: Int64, of node: NodeModel, isInBatch: Bool) -> Bool {
        state.withLock { state in
            guard state.missedCount < Self.missedCountMax else { return false }
            var isNew = false
            state.change(node) { late in
                isNew = late.cycles.insert(cycle).inserted
                if !isInBatch {
                    late.mended.remove(cycle)
                } else if isNew {
                    late.mended.insert(cycle)
                }
            }
            if isNew { state.missedCount += 1 }
            return true
        }
    }

    /// Everything that is late, once nothing more came for `quiet` or it has waited for `patience`;
    /// empty otherwise.
    func takeLate(quietNanoseconds quiet: UInt64, patienceNanoseconds patience: UInt64)
        -> [LateCycles]
    {
        state.withLock { state in
            let now = state.clock.monotonicNanoseconds
            guard let since = state.lateSince,
                now >= state.lateLast &+ quiet || now >= since &+ patience
            else { return [] }
            let found = state.late.values.sorted { $0.node.name < $1.node.name }
            state.late = [:]
            state.lateSince = nil
            state.missedCount = 0
            return found
        }
    }

    /// What is late now, left where it is: node names and cycles.
    var lateCycles: [(node: String, cycles: Set<Int64>)] {
        state.withLock { $0.late.map { ($0.key, $0.value.cycles) } }
    }

    func hold(_ cycle: Int64) { state.withLock { $0.held[cycle, default: 0] += 1 } }

    func release(_ cycle: Int64) {
        state.withLock { state in
            guard let count = state.held[cycle] else { return }
            state.held[cycle] = count > 1 ? count - 1 : nil
        }
    }
}
