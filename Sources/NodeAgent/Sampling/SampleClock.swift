import Glibc

/// The clocks that sampling reads, so that a test can hold them.
struct SampleClock: Sendable {
    /// Nanoseconds since the Unix epoch; jumps when the clock is set.
    var realtimeNanoseconds: @Sendable () -> Int64
    /// Nanoseconds since some moment; never jumps, stands still in suspend.
    var monotonicNanoseconds: @Sendable () -> Int64
    /// Nanoseconds since boot, suspend included.
    var boottimeNanoseconds: @Sendable () -> Int64

    var realtimeMilliseconds: Int64 { realtimeNanoseconds() / 1_000_000 }

    /// The machine's own.
    static let system = SampleClock(
        realtimeNanoseconds: { now(CLOCK_REALTIME) },
        monotonicNanoseconds: { now(CLOCK_MONOTONIC) },
        boottimeNanoseconds: { now(CLOCK_BOOTTIME) })

    private static func now(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
