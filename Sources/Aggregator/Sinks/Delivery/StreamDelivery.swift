import Glibc
import Wire

/// How a request travels over TCP where the protocol has no HTTP.
protocol StreamSinkProtocol {
    /// Sends a request over an open connection and waits for the yes, if the protocol has one.
    mutating func send(
        _ request: SinkRequest, over connection: BlockingConnection, deadline: UInt64
    ) throws(SinkError) -> DeliveryOutcome
    /// After connecting: authentication and the like.
    mutating func greet(_ connection: BlockingConnection, deadline: UInt64) throws(SinkError)
    /// After the greeting: something harmless that the server answers.
    mutating func probe(_ connection: BlockingConnection, deadline: UInt64) throws(SinkError)
}

extension StreamSinkProtocol {
    mutating func greet(_ connection: BlockingConnection, deadline: UInt64) throws(SinkError) {}
}

/// Delivers over one kept TCP or TLS connection.
final class StreamDelivery<Protocol: StreamSinkProtocol>: SinkDelivery {
    private var conversation: Protocol
    private let endpoint: SinkEndpoint
    var endpoints: [SinkEndpoint] { [endpoint] }
    private let environment: SinkEnvironment
    private var connection: BlockingConnection?

    init(_ conversation: Protocol, _ endpoint: SinkEndpoint, environment: SinkEnvironment) {
        self.conversation = conversation
        self.endpoint = endpoint
        self.environment = environment
    }

    func disconnect() { connection = nil }

    func probe(deadline: UInt64) -> SinkProbe {
        do throws(SinkError) {
            let used = try BlockingConnection(
                to: endpoint, environment: environment, deadline: deadline)
            try conversation.greet(used, deadline: deadline)
            try conversation.probe(used, deadline: deadline)
            return .passed
        } catch {
            return .failed(
                problem: error.description,
                remedy: "check the sink's credentials, and that the server speaks this protocol")
        }
    }

    func deliver(_ request: SinkRequest, deadline: UInt64) -> DeliveryOutcome {
        do throws(SinkError) {
            if connection?.isStale ?? false { connection = nil }
            let used: BlockingConnection
            if let kept = connection {
                used = kept
            } else {
                used = try BlockingConnection(
                    to: endpoint, environment: environment, deadline: deadline)
                try conversation.greet(used, deadline: deadline)
            }
            connection = nil
            let outcome = try conversation.send(request, over: used, deadline: deadline)
            connection = used
            return outcome
        } catch {
            return .failed(reason: error.description)
        }
    }
}

/// Delivers each request as one UDP datagram. There is no yes: what the kernel took counts.
final class DatagramDelivery: SinkDelivery {
    private let address: HostAndPort
    var endpoints: [SinkEndpoint] { [SinkEndpoint(address: address)] }
    private var socket: Int32 = -1

    init(_ address: HostAndPort) { self.address = address }

    deinit { disconnect() }

    func probe(deadline: UInt64) -> SinkProbe {
        .untested(reason: "nobody answers a datagram in this protocol")
    }

    func disconnect() {
        if socket >= 0 { close(socket) }
        socket = -1
    }

    func deliver(_ request: SinkRequest, deadline: UInt64) -> DeliveryOutcome {
        do throws(TransportError) {
            if socket < 0 { socket = try DatagramSocket.connect(to: address) }
        } catch {
            return .failed(reason: error.description)
        }
        // A refused datagram is reported to the next call, so it is that one which goes twice.
        for _ in 0..<2 {
            let count = request.body.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count == request.body.count { return .accepted }
            let error = errno
            if error == EMSGSIZE {
                return .refused(reason: "a datagram of \(request.body.count) bytes is too long")
            }
            if error != ECONNREFUSED && error != EINTR {
                disconnect()
                return .failed(
                    reason: TransportError.connectionFailed(errno: error).description)
            }
        }
        return .failed(
            reason: TransportError.cannotConnect(
                address: address.description, errno: ECONNREFUSED
            ).description)
    }
}

/// Writes to standard output or standard error.
final class DescriptorDelivery: SinkDelivery {
    private let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    var endpoints: [SinkEndpoint] { [] }

    func disconnect() {}

    func probe(deadline: UInt64) -> SinkProbe {
        fcntl(descriptor, F_GETFD) >= 0
            ? .passed
            : .failed(
                problem: "file descriptor \(descriptor) is closed",
                remedy: "start the aggregator with its output open")
    }

    func deliver(_ request: SinkRequest, deadline: UInt64) -> DeliveryOutcome {
        var offset = 0
        while offset < request.body.count {
            let count = request.body.withUnsafeBytes {
                write(descriptor, $0.baseAddress.map { $0 + offset }, request.body.count - offset)
            }
            if count < 0 {
                if errno == EINTR { continue }
                return .failed(
                    reason: TransportError.system(call: "write", errno: errno).description)
            }
            offset += count
        }
        return .accepted
    }
}
