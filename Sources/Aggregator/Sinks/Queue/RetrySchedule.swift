/// When a backend that failed is asked again: after 1 s, doubling up to a minute, each with up to a
/// quarter taken off at random so that many senders do not come back together. What the backend
/// says itself counts more.
struct RetrySchedule: Sendable {
    private(set) var failureCount = 0
    /// No request before this, monotonic nanoseconds.
    private(set) var notBefore: UInt64 = 0

    static let delayMinNanoseconds: UInt64 = 1_000_000_000
    static let delayMaxNanoseconds: UInt64 = 60_000_000_000

    mutating func succeeded() {
        failureCount = 0
        notBefore = 0
    }

    /// - Parameters:
    ///   - retryAfterSeconds: the backend's wish; taken up to ten minutes.
    ///   - random: 0 ..< 1.
    mutating func failed(now: UInt64, retryAfterSeconds: Int?, random: Double) {
        failureCount += 1
        let delay: UInt64
        if let seconds = retryAfterSeconds {
            delay = UInt64(min(max(0, seconds), 600)) * 1_000_000_000
        } else {
            let doublings = min(failureCount - 1, 6)
            let full = min(Self.delayMinNanoseconds << UInt64(doublings), Self.delayMaxNanoseconds)
            delay = full - UInt64(Double(full) * 0.25 * random)
        }
        notBefore = max(notBefore, now + delay)
    }
}
