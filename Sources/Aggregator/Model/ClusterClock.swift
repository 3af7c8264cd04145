import Synchronization
import Wire

/// What time the agents go by: how far ahead of this machine's clock most of them are. A node further
/// ahead does not decide what the newest cycle is, or all others would look silent.
final class ClusterClock: Sendable {
    /// Milliseconds, never negative: agents behind us make nobody look silent.
    private let lead = Atomic<Int64>(0)

    /// - Parameter skews: of each node that reports, its newest step less the time at which it came,
    ///   milliseconds.
    func set(skews: [Int64]) {
        guard !skews.isEmpty else { return }
        // Of two, the one that is less far ahead.
        let middle = skews.sorted()[(skews.count - 1) / 2]
        lead.store(max(0, middle), ordering: .relaxed)
    }

    /// Whether a step can be what time it is in the cluster.
    ///
    /// - Parameters:
    ///   - step: milliseconds since the epoch.
    ///   - now: this machine's clock; `Int64.max` where nobody knows.
    func isPresent(_ step: Int64, now: Int64, resolution: Int64) -> Bool {
        step <= now || step &- now <= lead.load(ordering: .relaxed) &+ resolution
    }
}
