import Synchronization
import Wire

/// Which nodes report, and how many are expected to.
///
/// Time is counted in cycles, because agents' clocks are what steps are made of: it is the newest
/// cycle of any node, and goes on by this machine's clock when none comes any more.
final class NodePresence: Sendable {
    /// A node without a frame for so many steps is silent.
    static let stepsOfSilence: Int64 = 3

    /// How complete an answer is.
    struct Counts: Sendable, Equatable {
        var reporting = 0
        /// Those that the cluster's source tells of and others that report; without a source, all that
        /// reported within the history window.
        var expected = 0
    }

    private let resolution: Int64
    /// Milliseconds that the newest cycle is older than it should be.
    private let lateness = Atomic<Int64>(0)
    private let state = Mutex(State())

    private struct State {
        var newest: Int64 = .min
        var newestAt: UInt64 = 0
        /// As of the last look; `nil` while nobody looks.
        var counts: Counts?
        var silent: Set<String> = []
        /// When time was last let go on, monotonic nanoseconds; 0 before the first look.
        var lookedAt: UInt64 = 0
    }

    /// Whoever looks does so each second; not for so long, and it hangs.
    private static let lookNanosecondsMax: UInt64 = 60_000_000_000

    init(resolution: Int64) { self.resolution = resolution }

    /// Steps older than this are a silent node's.
    ///
    /// - Parameter newest: the newest cycle of any node.
    func horizon(newest: Int64?) -> Int64 {
        guard let newest else { return .max }
        return newest &- Self.stepsOfSilence &* resolution &+ lateness.load(ordering: .relaxed)
    }

    /// The newest cycle, with the time that has passed since it was overdue.
    func now(newest: Int64?) -> Int64? {
        newest.map { $0 &+ lateness.load(ordering: .relaxed) }
    }

    /// Lets time go on.
    func observe(newest: Int64?, monotonicNanoseconds now: UInt64) {
        state.withLock { $0.lookedAt = now }
        guard let newest else { return }
        let elapsed = state.withLock { state -> UInt64 in
            if newest != state.newest {
                state.newest = newest
                state.newestAt = now
            }
            return now &- state.newestAt
        }
        // The next cycle is due a step after it.
        let late = Int64(clamping: elapsed / 1_000_000) &- resolution
        lateness.store(max(0, late), ordering: .relaxed)
    }

    /// False when nobody has looked for a minute who did before.
    func isLooking(monotonicNanoseconds now: UInt64) -> Bool {
        let last = state.withLock { $0.lookedAt }
        return last == 0 || now < last || now - last <= Self.lookNanosecondsMax
    }

    /// What changed since the last look.
    struct Changes {
        var fellSilent: [String] = []
        var reportAgain: [String] = []
    }

    /// Takes a look at all nodes.
    func update(_ counts: Counts, silent: Set<String>) -> Changes {
        state.withLock { state in
            let changes = Changes(
                fellSilent: silent.subtracting(state.silent).sorted(),
                reportAgain: state.silent.subtracting(silent).sorted())
            state.counts = counts
            state.silent = silent
            return changes
        }
    }

    /// As of the last look; `nil` before the first.
    var counts: Counts? { state.withLock { $0.counts } }
}

extension Cluster {
    /// How many nodes report, of how many.
    ///
    /// - Parameter names: of the nodes that the cluster's source tells of; `nil` without a source.
    func countNodes(expecting names: Set<String>?) -> (NodePresence.Counts, silent: Set<String>) {
        let horizon = horizon
        var counts = NodePresence.Counts()
        var silent = Set<String>()
        counts.expected = names?.count ?? 0
        for node in nodes {
            let isReporting = node.lastStep >= horizon
            if isReporting { counts.reporting += 1 }
            // Who has just connected has yet to say something.
            if !isReporting, node.lastStep > .min { silent.insert(node.name) }
            if let names {
                if isReporting, !names.contains(node.name) { counts.expected += 1 }
            } else {
                counts.expected += 1
            }
        }
        return (counts, silent)
    }
}
