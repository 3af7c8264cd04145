import Wire

/// Delivers lines to a server that never answers (Graphite, Wavefront).
///
/// The protocol has no yes, but TCP can be asked for one: each request has its own connection, which
/// is ended behind the last line. A server ends its side when it has read that far; one that died
/// before resets the connection. A server that leaves its side open for long has at least all bytes
/// in its kernel, which is then taken for a yes.
///
/// How long is long is learnt: a server that was waited for in vain is waited for half as long the
/// next time, so one that never ends its side costs next to nothing; one that does, or that resets
/// a connection, is given the whole time again.
final class LineDelivery: SinkDelivery {
    private let endpoint: SinkEndpoint
    private let environment: SinkEnvironment
    var endpoints: [SinkEndpoint] { [endpoint] }
    private let patienceMax: UInt64
    /// For the server to end its side, nanoseconds.
    private(set) var patience: UInt64

    static let patienceMin: UInt64 = 20_000_000

    init(
        _ endpoint: SinkEndpoint, environment: SinkEnvironment,
        patienceMaxNanoseconds: UInt64 = 5_000_000_000
    ) {
        self.endpoint = endpoint
        self.environment = environment
        patienceMax = patienceMaxNanoseconds
        patience = patienceMaxNanoseconds
    }

    func disconnect() {}

    func probe(deadline: UInt64) -> SinkProbe {
        .untested(reason: "the server never answers in this protocol")
    }

    func deliver(_ request: SinkRequest, deadline: UInt64) -> DeliveryOutcome {
        do throws(SinkError) {
            let connection = try BlockingConnection(
                to: endpoint, environment: environment, deadline: deadline)
            try connection.write(request.body, deadline: deadline)
            let now = environment.clock.monotonicNanoseconds
            let end = try connection.finish(
                patience: min(deadline, now + patience),
                deadline: min(deadline, now + max(patience, patienceMax)))
            switch end {
            case .closed: patience = patienceMax
            case .leftOpen: patience = max(Self.patienceMin, patience / 2)
            case .unread:
                patience = patienceMax
                return .failed(reason: "the server did not read all of it in time")
            }
            return .accepted
        } catch {
            patience = patienceMax
            return .failed(reason: error.description)
        }
    }
}
