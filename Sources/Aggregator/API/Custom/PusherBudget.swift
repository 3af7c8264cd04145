import Synchronization
import Wire

/// How much each pusher may bring: a token bucket of requests and one of samples for each user, or
/// address where nobody has to say who it is.
///
/// Bounded: of more pushers than `pusherCountMax` those that have been quiet longest are forgotten,
/// who then begin with full buckets again.
final class PusherBudget: Sendable {
    /// Rates per second, and how many seconds' worth may come at once.
    struct Limits: Sendable {
        var requestsPerSecond = 10.0
        var samplesPerSecond = 20_000.0
        var burstSeconds = 5.0
        var pusherCountMax = 10_000
    }

    /// Too much now.
    struct Refusal: Error, Equatable {
        /// Until there is room again, at least 1.
        let retryAfterSeconds: Int
        let reason: String
    }

    private struct Bucket {
        var requests: Double
        var samples: Double
        var time: UInt64
    }

    private let limits: Limits
    private let clock: Clock
    private let buckets = Mutex<[ClientKey: Bucket]>([:])

    init(_ limits: Limits = Limits(), clock: Clock) {
        self.limits = limits
        self.clock = clock
    }

    /// Takes a request from the pusher's budget, before its text is read.
    func takeRequest(of pusher: ClientKey) throws(Refusal) {
        try take(requests: 1, samples: 0, of: pusher)
    }

    /// Takes its samples, before they are kept.
    func take(sampleCount: Int, of pusher: ClientKey) throws(Refusal) {
        try take(requests: 0, samples: Double(sampleCount), of: pusher)
    }

    private func take(requests: Double, samples: Double, of pusher: ClientKey) throws(Refusal) {
        let now = clock.monotonicNanoseconds
        let refusal = buckets.withLock { buckets -> Refusal? in
            var bucket = buckets[pusher] ?? full(now)
            refill(&bucket, now)
            defer {
                if buckets[pusher] == nil, buckets.count >= limits.pusherCountMax {
                    forgetQuiet(&buckets)
                }
                buckets[pusher] = bucket
            }
            if bucket.requests < requests {
                return refused(
                    requests - bucket.requests, limits.requestsPerSecond, "requests", pusher)
            }
            // A full bucket lets any one text pass: there is a limit on its size already.
            let most = limits.samplesPerSecond * limits.burstSeconds
            if bucket.samples < min(samples, most) {
                return refused(
                    min(samples, most) - bucket.samples, limits.samplesPerSecond, "samples",
                    pusher)
            }
            bucket.requests -= requests
            bucket.samples -= samples
            return nil
        }
        if let refusal { throw refusal }
    }

    private func full(_ now: UInt64) -> Bucket {
        Bucket(
            requests: limits.requestsPerSecond * limits.burstSeconds,
            samples: limits.samplesPerSecond * limits.burstSeconds, time: now)
    }

    private func refill(_ bucket: inout Bucket, _ now: UInt64) {
        let seconds = Double(now &- min(bucket.time, now)) / 1e9
        let full = full(now)
        bucket.requests = min(
            full.requests, bucket.requests + seconds * limits.requestsPerSecond)
        bucket.samples = min(full.samples, bucket.samples + seconds * limits.samplesPerSecond)
        bucket.time = now
    }

    private func refused(
        _ missing: Double, _ perSecond: Double, _ what: String, _ pusher: ClientKey
    ) -> Refusal {
        Refusal(
            retryAfterSeconds: max(1, Int((missing / perSecond).rounded(.up))),
            reason: "more than \(Int(perSecond)) \(what) a second from one \(pusher.word); push "
                + "less often, or raise --push-\(what)-per-second")
    }

    /// Forgets the quieter half.
    private func forgetQuiet(_ buckets: inout [ClientKey: Bucket]) {
        let times = buckets.values.map(\.time).sorted()
        let middle = times[times.count / 2]
        buckets = buckets.filter { $0.value.time > middle }
    }
}
