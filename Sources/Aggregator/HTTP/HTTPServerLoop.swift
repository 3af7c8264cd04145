import Wire
import WireTLS

/// One thread's part of the server: its loop, its connections, and what they share.
final class HTTPServerLoop {
    let loop: EventLoop
    let configuration: HTTPServerConfiguration
    let handler: HTTPServer.Handler
    let counters: HTTPCounters
    let workers: WorkerPool
    let compressors: CompressorPool
    /// By `HTTPCounters.Timeout`, nanoseconds.
    let timeouts: [UInt64]
    private(set) var date = HTTPDate()
    private(set) var isDraining = false
    private var connections: [ObjectIdentifier: HTTPConnection] = [:]
    private var spareRequest: HTTPRequest?
    private var sparePiece: [UInt8] = []
    private var whenEmpty: (() -> Void)?

    /// What may wait to be sent: a whole body and the head before it, or pieces of a stream.
    private static let outputByteCountMax = 4 << 20
    /// A head at its limit and what came with it in one read.
    private static let inputByteCountMax = 131_072

    init(
        loop: EventLoop, configuration: HTTPServerConfiguration, counters: HTTPCounters,
        workers: WorkerPool, compressors: CompressorPool, handler: @escaping HTTPServer.Handler
    ) {
        self.loop = loop
        self.configuration = configuration
        self.counters = counters
        self.workers = workers
        self.compressors = compressors
        self.handler = handler
        timeouts = HTTPCounters.Timeout.allCases.map { kind in
            switch kind {
            case .head: configuration.headTimeout.nanosecondsClamped
            case .body: configuration.bodyTimeout.nanosecondsClamped
            case .idle: configuration.idleTimeout.nanosecondsClamped
            case .handler: configuration.handlerTimeout.nanosecondsClamped
            case .write: configuration.writeTimeout.nanosecondsClamped
            case .linger: configuration.lingerTimeout.nanosecondsClamped
            }
        }
    }

    /// Serves a connection.
    func adopt(_ socket: AcceptedSocket) {
        guard !isDraining else {
            counters.update { $0.openConnections -= 1 }
            return socket.close()
        }
        let bytes: any ByteStream
        do throws(TLSError) {
            let plain = SocketStream(accepted: socket)
            bytes =
                if let tls = configuration.tls {
                    try TLSStream(server: plain, tls.current())
                } else { plain }
        } catch {
            // Neither has OpenSSL memory for it.
            return refuse(socket)
        }
        let http = HTTPConnection(self, peer: socket.peer)
        let stream = StreamConnection(
            bytes, loop: loop, inputByteCountMax: Self.inputByteCountMax,
            outputByteCountMax: Self.outputByteCountMax, delegate: http)
        connections[ObjectIdentifier(http)] = http
        http.willStart(stream)
        do throws(TransportError) {
            try stream.start()
        } catch {
            connections[ObjectIdentifier(http)] = nil
            http.abandon()
            refuse(socket)
        }
    }

    /// The kernel has no memory for another connection; the client sees a closed door.
    private func refuse(_ socket: AcceptedSocket) {
        counters.update {
            $0.openConnections -= 1
            $0.refusedConnections += 1
        }
        socket.close()
    }

    func forget(_ connection: HTTPConnection) {
        connections[ObjectIdentifier(connection)] = nil
        counters.update { $0.openConnections -= 1 }
        if isDraining, connections.isEmpty { finishDraining() }
    }

    /// Takes no more requests; calls `whenEmpty` when the last answer is out.
    func drain(_ whenEmpty: @escaping () -> Void) {
        isDraining = true
        self.whenEmpty = whenEmpty
        for connection in Array(connections.values) { connection.drain() }
        if connections.isEmpty { finishDraining() }
    }

    private func finishDraining() {
        whenEmpty?()
        whenEmpty = nil
    }

    func closeAll() {
        for connection in Array(connections.values) { connection.close() }
    }

    // MARK: Things used again

    /// The memory of the last request if nobody has kept that one, else new.
    func makeRequest() -> HTTPRequest {
        guard var spare = spareRequest.take(), isKnownUniquelyReferenced(&spare) else {
            return HTTPRequest()
        }
        return spare
    }

    /// Keeps an answered request's memory for the next. Its callers and handler may hold it still.
    func recycle(_ request: HTTPRequest) { spareRequest = request }

    func takePiece() -> [UInt8] {
        defer { sparePiece = [] }
        sparePiece.removeAll(keepingCapacity: true)
        return sparePiece
    }

    func giveBack(piece: [UInt8]) {
        if piece.capacity <= 1 << 20 { sparePiece = piece }
    }

    func updateDate() { date.update(realtimeNanoseconds: loop.clock.realtimeNanoseconds) }
}
