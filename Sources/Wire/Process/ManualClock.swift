import Synchronization

/// A clock for tests: both hands move only when told. Any thread may read and move it.
public final class ManualClock: Sendable {
    private let monotonic: Atomic<UInt64>
    private let realtime: Atomic<UInt64>

    public init(monotonicNanoseconds: UInt64 = 1, realtimeNanoseconds: UInt64 = 1) {
        monotonic = Atomic(monotonicNanoseconds)
        realtime = Atomic(realtimeNanoseconds)
    }

    public var monotonicNanoseconds: UInt64 { monotonic.load(ordering: .acquiring) }
    public var realtimeNanoseconds: UInt64 { realtime.load(ordering: .acquiring) }

    /// Moves both hands forward.
    public func advance(nanoseconds: UInt64) {
        monotonic.wrappingAdd(nanoseconds, ordering: .acquiringAndReleasing)
        realtime.wrappingAdd(nanoseconds, ordering: .acquiringAndReleasing)
    }

    /// Steps the wall clock alone, as a time server does.
    public func setRealtime(nanoseconds: UInt64) {
        realtime.store(nanoseconds, ordering: .releasing)
    }
}
