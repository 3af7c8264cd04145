import Synchronization

/// Counts changes of the subjects of nodes, so that whoever derived something from them sees with one
/// look that it still holds.
final class LayoutClock: Sendable {
    private let counter = Atomic<UInt64>(0)

    /// A number that was not given before.
    @discardableResult
    func tick() -> UInt64 { counter.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue }

    /// Grows with every change.
    var now: UInt64 { counter.load(ordering: .acquiring) }
}
