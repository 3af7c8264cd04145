import Glibc
import Wire

/// A mutual exclusion with a condition: threads wait inside until something changed.
final class Monitor: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        // Waiting must not depend on somebody setting the wall clock.
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        let codes = (pthread_mutex_init(mutex, nil), pthread_cond_init(condition, &attributes))
        pthread_condattr_destroy(&attributes)
        precondition(codes == (0, 0), "pthread_*_init: \(codes)")
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` while holding the lock. Not recursive.
    func withLock<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let code = pthread_mutex_lock(mutex)
        precondition(code == 0, "pthread_mutex_lock: \(code)")
        defer { pthread_mutex_unlock(mutex) }
        return try body()
    }

    /// Gives the lock up until `signal` or the time, monotonic nanoseconds. May return early. Call
    /// it inside `withLock` only.
    func wait(untilNanoseconds time: UInt64) {
        // A century from now is never.
        let capped = min(time, UInt64(Int64.max / 2))
        var deadline = timespec(
            tv_sec: Int(capped / 1_000_000_000), tv_nsec: Int(capped % 1_000_000_000))
        let code = pthread_cond_timedwait(condition, mutex, &deadline)
        precondition(code == 0 || code == ETIMEDOUT, "pthread_cond_timedwait: \(code)")
    }

    func signal() { pthread_cond_broadcast(condition) }
}
