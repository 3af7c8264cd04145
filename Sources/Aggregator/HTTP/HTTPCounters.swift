import Wire

/// What the server did so far, for its own /metrics. Any thread may read; each figure is exact,
/// together they are of slightly different moments.
final class HTTPCounters: @unchecked Sendable {
    /// Time limits that clients can exceed.
    enum Timeout: Int, CaseIterable, Sendable {
        case head, body, idle, handler, write, linger

        var name: StaticString {
            switch self {
            case .head: "head"
            case .body: "body"
            case .idle: "idle"
            case .handler: "handler"
            case .write: "write"
            case .linger: "linger"
            }
        }
    }

    struct Snapshot: Equatable, Sendable {
        /// Answers by the first digit of their status; index 0 is unused.
        var responses = [UInt64](repeating: 0, count: 6)
        var timeouts = [UInt64](repeating: 0, count: Timeout.allCases.count)
        var acceptedConnections: UInt64 = 0
        /// Turned away because `connectionCountMax` were open.
        var refusedConnections: UInt64 = 0
        var openConnections: UInt64 = 0
        /// Connections that ended before their TLS handshake did.
        var failedHandshakes: UInt64 = 0
        /// Requests that broke HTTP's rules or a limit.
        var refusedRequests: UInt64 = 0
        /// Requests whose client left before the answer.
        var abandonedRequests: UInt64 = 0
        /// Answers of 503 because the workers' queue was full.
        var overloadedRequests: UInt64 = 0
        /// Answers that were cut off because they would have cost too much.
        var failedAnswers: UInt64 = 0
        var receivedBytes: UInt64 = 0
        var sentBytes: UInt64 = 0
    }

    private let lock = Lock()
    private var state = Snapshot()

    /// Changes the figures together. A loop does this once a turn and connection at most; an
    /// uncontended lock costs about 12 ns.
    func update(_ change: (inout Snapshot) -> Void) { lock.withLock { change(&state) } }

    var snapshot: Snapshot { lock.withLock { state } }
}
