import Synchronization
import Wire

/// The sums of cycles that were handed to sinks, kept so that what comes late can be added to them and
/// they can be handed on once more, whole: a sink that keeps a cycle's figures in one document would
/// lose those that an amendment lacks.
///
/// A cycle has a *base*, the sums of its batch, which the first sink to read that leaves here, and
/// *late* parts. Where late frames have given a node that is in the base its true rates, its namespaces are
/// *mended*: their rates are the roll-ups' from then on. At most `limit` sums (about 400 bytes each) are
/// kept; the oldest cycles go first.
final class HandedSums: Sendable {
    /// Sums of namespaces and workloads over all cycles: 64 MiB.
    static let defaultLimit = 160_000

    private struct Cycle {
        var base: BatchSums?
        var late = BatchSums()
        /// Only their names matter.
        var mended = BatchSums()
        var count: Int { (base?.count ?? 0) + late.count + mended.count }
    }

    private struct State {
        var cycles: [Int64: Cycle] = [:]
        var count = 0
    }

    private let state = Mutex(State())
    private let limit: Int

    init(limit: Int = HandedSums.defaultLimit) { self.limit = limit }

    /// The sums of a cycle's batch; those that are here already stay.
    ///
    /// - Returns: whether there were none.
    @discardableResult
    func setBase(_ sums: BatchSums, at cycle: Int64) -> Bool {
        var isFirst = false
        change(cycle) {
            isFirst = $0.base == nil
            if isFirst { $0.base = sums }
        }
        return isFirst
    }

    /// Nothing of this cycle was handed on: all of it is late.
    func setEmptyBase(at cycle: Int64) { setBase(BatchSums(), at: cycle) }

    func addLate(_ sums: BatchSums, at cycle: Int64) {
        change(cycle) { $0.late.add(sums) }
    }

    /// A node that is in the base was handed on with other rates since.
    func noteMended(_ sums: BatchSums, at cycle: Int64) {
        change(cycle) { $0.mended.add(sums.namespacesOnly) }
    }

    /// Everything of a cycle, and what of it has changed since its batch; `nil` where its base is not known.
    ///
    /// - Parameter rollUps: have the rates of what was mended.
    func sums(at cycle: Int64, _ rollUps: RollUps) -> (all: BatchSums, changed: BatchSums)? {
        let found = state.withLock { $0.cycles[cycle] }
        guard let found, var all = found.base else { return nil }
        all.add(found.late)
        var changed = found.late
        if found.mended.hasAny {
            all.takeRates(of: found.mended, from: rollUps.rows(at: cycle).namespaces)
            changed.add(found.mended)
        }
        return (all, changed)
    }

    private func change(_ cycle: Int64, _ body: (inout Cycle) -> Void) {
        state.withLock { state in
            var changed = state.cycles[cycle] ?? Cycle()
            state.count -= changed.count
            body(&changed)
            state.count += changed.count
            state.cycles[cycle] = changed
            while state.count > limit, state.cycles.count > 1, let oldest = state.cycles.keys.min()
            {
                state.count -= state.cycles.removeValue(forKey: oldest)?.count ?? 0
            }
        }
    }

    /// Another process hands on from now on.
    func removeAll() { state.withLock { $0 = State() } }

    /// Forgets cycles before this one.
    func trim(before cycle: Int64) {
        state.withLock { state in
            for old in state.cycles.keys where old < cycle {
                state.count -= state.cycles.removeValue(forKey: old)?.count ?? 0
            }
        }
    }
}
