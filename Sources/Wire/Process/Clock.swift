import Glibc

/// Where a component reads the time. Passed in, so that tests can turn the hands themselves.
///
/// A struct with one branch instead of a protocol: reading it costs the vDSO call and nothing else.
public struct Clock: Sendable {
    private let manual: ManualClock?

    private init(manual: ManualClock?) { self.manual = manual }

    /// The kernel's clocks.
    public static let system = Clock(manual: nil)

    /// A clock that stands still until it is moved.
    public static func manual(_ clock: ManualClock) -> Clock { Clock(manual: clock) }

    /// Nanoseconds since some fixed moment (CLOCK_MONOTONIC): for intervals and time-outs.
    public var monotonicNanoseconds: UInt64 {
        if let manual { return manual.monotonicNanoseconds }
        return Self.read(CLOCK_MONOTONIC)
    }

    /// Nanoseconds since 1970 UTC (CLOCK_REALTIME): for timestamps. May jump.
    public var realtimeNanoseconds: UInt64 {
        if let manual { return manual.realtimeNanoseconds }
        return Self.read(CLOCK_REALTIME)
    }

    private static func read(_ id: clockid_t) -> UInt64 {
        var time = timespec()
        let result = clock_gettime(id, &time)
        precondition(result == 0, "clock_gettime(\(id)) failed: \(errno)")
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }
}
