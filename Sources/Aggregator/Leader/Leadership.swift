import Synchronization

/// Whether this process may write to sinks, for those who write: looked at before every request.
/// Ends by itself when its time is over, whatever its thread does then.
final class Leadership: Sendable {
    private let until = Atomic<UInt64>(0)

    /// For an aggregator without election.
    static let always: Leadership = {
        let leadership = Leadership()
        leadership.extend(until: .max)
        return leadership
    }()

    /// - Parameter now: monotonic nanoseconds.
    func isHeld(_ now: UInt64) -> Bool { now < until.load(ordering: .acquiring) }

    /// - Parameter time: monotonic nanoseconds; 0 ends it.
    func extend(until time: UInt64) { until.store(time, ordering: .releasing) }
}
