import Wire
import WireTLS

/// What the ingest port allows.
struct IngestConfiguration: Sendable {
    /// Connections at once, agents or not.
    var connections = 20_000
    /// Those of them that have not been welcomed.
    var waiting = 8_192
    /// Time for preface and hello.
    var handshakeMilliseconds: UInt64 = 10_000
    /// Silence after which an agent's connection is taken for dead.
    var silenceMilliseconds: UInt64 = 60_000
    /// Bytes of answers that may wait for a slow agent.
    var outputBytes = 256 << 10
    var authentication = AgentAuthentication()
    /// Without it frames come over plain TCP.
    var tls: TLSFiles?
}

/// The ingest port: accepts agents and spreads them over event loops. Each connection lives on one
/// loop's thread.
final class AgentListener {
    private let listener: TCPListener
    private let loops: [EventLoop]
    /// By loop.
    private let waiters: [LoopConfined<CommitWaiters>]
    private let cluster: Cluster
    private let configuration: IngestConfiguration
    private let counters: IngestCounters
    private let waitingRoom: WaitingRoom
    /// By loop.
    private let handshakes: [LoopConfined<HandshakeQueue>]
    private let knownAddresses: KnownAddresses
    private var nextLoop = 0
    private let limited = LimitedDiagnostics()

    /// Opens the port: agents may connect from now on, and wait until `start`.
    ///
    /// - Throws: `TransportError.cannotListen` with the remedy.
    static func listen(_ address: SocketAddress) throws(TransportError) -> TCPListener {
        try TCPListener(address, remedy: "--ingest-port", backlog: 16_384)
    }

    init(
        _ listener: TCPListener, loops: [EventLoop], cluster: Cluster,
        configuration: IngestConfiguration, counters: IngestCounters
    ) {
        precondition(!loops.isEmpty)
        self.listener = listener
        self.loops = loops
        waiters = loops.map { LoopConfined(CommitWaiters(loop: $0), to: $0) }
        self.cluster = cluster
        self.configuration = configuration
        self.counters = counters
        handshakes = loops.map { LoopConfined(HandshakeQueue(loop: $0), to: $0) }
        knownAddresses = KnownAddresses(countMax: configuration.connections)
        waitingRoom = WaitingRoom(countMax: min(configuration.waiting, configuration.connections))
    }

    var address: SocketAddress { listener.address }

    /// Call on the first loop's thread, or before it runs.
    func start() throws(TransportError) {
        try listener.start(on: loops[0]) { [weak self] socket in self?.take(socket) }
    }

    func stop() { listener.stop() }

    /// Lets agents be told what the log has, each time that is more. Before the loops run.
    func follow(_ committer: LogCommitter) {
        for (loop, waiters) in zip(loops, waiters) {
            committer.observe { loop.post { waiters.value.serve() } }
        }
    }

    private func take(_ socket: AcceptedSocket) {
        guard counters.openConnections < configuration.connections else {
            counters.rejected(.overloaded)
            limited.warning(
                "refused a connection from \(socket.peer): \(configuration.connections) are open, "
                    + "the limit (--max-connections)")
            socket.close()
            return
        }
        counters.connectionOpened()
        let (loop, waiters) = (loops[nextLoop], waiters[nextLoop])
        let handshakes = handshakes[nextLoop]
        nextLoop = (nextLoop + 1) % loops.count
        let session = IngestSession(
            cluster: cluster, authentication: configuration.authentication, counters: counters)
        let (configuration, counters, waitingRoom) = (configuration, counters, waitingRoom)
        let knownAddresses = knownAddresses
        let limit = cluster.configuration.limits.recordBytes + 16
        // The session is handed over before its first byte: only the loop's thread uses it.
        let connection = LoopConfined(session, to: loop)
        loop.post {
            AgentConnection(
                SocketStream(accepted: socket), loop: loop, session: connection.value,
                inputByteCountMax: limit, configuration: configuration, counters: counters,
                waiters: waiters.value,
                waitingRoom: waitingRoom, handshakes: handshakes.value,
                knownAddresses: knownAddresses
            ).start()
        }
    }
}
