import Synchronization
import Wire

/// Keeps what the apiserver publishes about its users' and its proxy's certificates, without a thread
/// of its own: who needs it and finds it old reads it again.
final class ClusterAuthenticationReader: Sendable {
    private struct State: Sendable {
        var value = ClusterAuthentication()
        var data: [String: String]?
        /// Monotonic nanoseconds; `nil` before the first reading.
        var nextReading: UInt64?
    }

    private let reviews: ClusterReviews
    private let clock: Clock
    private let state = Mutex(State())
    private let limited = LimitedDiagnostics(perMinute: 1)

    private static let lifetime: UInt64 = 60_000_000_000
    private static let retryTime: UInt64 = 5_000_000_000

    init(_ reviews: ClusterReviews, clock: Clock = .system) {
        self.reviews = reviews
        self.clock = clock
    }

    /// What is known now; `nil` when it is to be read first, which blocks.
    var current: ClusterAuthentication? {
        state.withLock { state in
            guard let next = state.nextReading, clock.monotonicNanoseconds < next else {
                return nil
            }
            return state.value
        }
    }

    /// Reads it unless it is fresh. What cannot be read leaves what was known.
    func refreshed() -> ClusterAuthentication {
        if let current { return current }
        var found: ClusterAuthentication?
        var data: [String: String]?
        let known = state.withLock { $0.data }
        do {
            data = try reviews.configMap(
                namespace: ClusterAuthentication.namespace, name: ClusterAuthentication.name)
            if let data {
                // The same text keeps its numbers, and so the verdicts about certificates.
                if data != known { found = try ClusterAuthentication(data) }
            } else {
                limited.warning(
                    "configmap \(ClusterAuthentication.namespace)/\(ClusterAuthentication.name) is not "
                        + "there or may not be read: the aggregation layer's and the cluster's "
                        + "certificates are not recognised (bind the Role "
                        + "extension-apiserver-authentication-reader)")
            }
        } catch {
            limited.warning("cannot read how the cluster authenticates: \(error)")
        }
        let now = clock.monotonicNanoseconds
        return state.withLock { state in
            if let found { (state.value, state.data) = (found, data) }
            state.nextReading = now &+ (data == nil ? Self.retryTime : Self.lifetime)
            return state.value
        }
    }
}
