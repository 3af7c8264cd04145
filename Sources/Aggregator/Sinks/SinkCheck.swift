import Glibc
import Wire

/// One thing that was looked at before a sink is trusted, for `heapwire-aggregator doctor`.
struct SinkCheck: Sendable, Equatable {
    enum Outcome: Sendable, Equatable {
        case passed
        /// Both are sentences; they carry no secrets.
        case failed(problem: String, remedy: String)
        case skipped(reason: String)
    }

    /// What was tried: "resolve influxdb", "connect to influxdb:8086", "write to influxdb:…".
    var subject: String
    var outcome: Outcome
}

extension ConfiguredSink {
    /// Tries what a delivery needs, step by step: the name, the connection, TLS, and, where the
    /// protocol has a harmless request, credentials and the right to write. Blocks; changes nothing
    /// in the backend.
    ///
    /// - Parameter timeoutMilliseconds: for each step.
    func check(
        timeoutMilliseconds: Int64 = 5_000, environment: SinkEnvironment = SinkEnvironment()
    ) -> [SinkCheck] {
        let delivery = plan.makeDelivery(environment)
        defer { delivery.disconnect() }
        let timeout = UInt64(max(1, timeoutMilliseconds)) * 1_000_000
        var checks: [SinkCheck] = []
        var reaches = delivery.endpoints.isEmpty
        for endpoint in delivery.endpoints {
            let steps = EndpointCheck(endpoint, isDatagram: delivery is DatagramDelivery).run(
                environment, timeout)
            checks += steps
            if steps.allSatisfy({ $0.outcome == .passed }) { reaches = true }
        }
        guard reaches else { return checks }
        let subject = "write to \(settings.target)"
        switch delivery.probe(deadline: environment.clock.monotonicNanoseconds + timeout) {
        case .passed: checks.append(SinkCheck(subject: subject, outcome: .passed))
        case .untested(let reason):
            checks.append(SinkCheck(subject: subject, outcome: .skipped(reason: reason)))
        case .failed(let problem, let remedy):
            checks.append(
                SinkCheck(subject: subject, outcome: .failed(problem: problem, remedy: remedy)))
        }
        return checks
    }
}

/// Resolves a name and connects to it.
private struct EndpointCheck {
    private let endpoint: SinkEndpoint
    private let isDatagram: Bool

    init(_ endpoint: SinkEndpoint, isDatagram: Bool) {
        self.endpoint = endpoint
        self.isDatagram = isDatagram
    }

    func run(_ environment: SinkEnvironment, _ timeout: UInt64) -> [SinkCheck] {
        let address = endpoint.address
        let resolve = "resolve \(address.host)"
        do throws(TransportError) {
            _ = try address.resolve()
        } catch {
            let remedy =
                "check the host name in --sink, and that this pod's DNS knows it (for a service "
                + "in another namespace write NAME.NAMESPACE)"
            return [
                SinkCheck(subject: resolve, outcome: .failed(problem: "\(error)", remedy: remedy))
            ]
        }
        let resolved = SinkCheck(subject: resolve, outcome: .passed)
        // A datagram's receiver cannot be seen.
        if isDatagram { return [resolved] }
        let subject = "connect to \(address)\(endpoint.tls == nil ? "" : " over TLS")"
        do throws(SinkError) {
            _ = try BlockingConnection(
                to: endpoint, environment: environment,
                deadline: environment.clock.monotonicNanoseconds + timeout)
            return [resolved, SinkCheck(subject: subject, outcome: .passed)]
        } catch {
            let failure = SinkCheck.Outcome.failed(problem: "\(error)", remedy: remedy(error))
            return [resolved, SinkCheck(subject: subject, outcome: failure)]
        }
    }

    private func remedy(_ error: SinkError) -> String {
        switch error {
        case .tls, .transport(.streamFailed), .endOfStream:
            guard endpoint.tls != nil else { fallthrough }
            return "check that the server speaks TLS on this port; give cacert=FILE with the "
                + "authority that signed its certificate, and cert= and key= if it wants ours"
        case .cannotReadFile: return "make the file readable for this user"
        case .timedOut:
            return "nothing answers at \(endpoint.address): check the address, firewalls and "
                + "network policies"
        default:
            return "check the port in --sink and that the server runs and listens there"
        }
    }
}
