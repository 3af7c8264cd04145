import Glibc
import Synchronization
import Wire

/// An HTTP/1.1 server: a listener, event-loop threads, and workers for what takes long.
final class HTTPServer: Sendable {
    /// Called on a loop's thread: answer at once what is cheap, hand over what is not.
    typealias Handler = @Sendable (HTTPRequest) -> HTTPAnswer

    /// Where it listens.
    let address: SocketAddress
    let counters: HTTPCounters
    private let configuration: HTTPServerConfiguration
    private let workers: WorkerPool
    private let loops: [EventLoop]
    private let parts: [LoopConfined<HTTPServerLoop>]
    private let listener: LoopConfined<TCPListener>
    private let threads: Mutex<[SystemThread]>

    /// Binds and starts.
    ///
    /// - Parameters:
    ///   - address: port 0 lets the kernel choose; see `address` then.
    ///   - remedy: the flag that chooses another address, for the error.
    /// - Throws: `TransportError.cannotListen` with what to do.
    init(
        listeningOn address: SocketAddress, remedy: String,
        configuration: HTTPServerConfiguration = HTTPServerConfiguration(),
        counters: HTTPCounters = HTTPCounters(), clock: Wire.Clock = .system,
        handler: @escaping Handler
    ) throws(TransportError) {
        configuration.validate()
        self.counters = counters
        self.configuration = configuration
        let listener = try TCPListener(address, remedy: remedy)
        self.address = listener.address
        workers = try WorkerPool(
            threadCount: configuration.workerCount,
            queueCountMax: configuration.workerQueueCountMax)
        let compressors = CompressorPool()
        var loops: [EventLoop] = []
        var parts: [LoopConfined<HTTPServerLoop>] = []
        for _ in 0..<configuration.loopCount {
            let loop = try EventLoop(clock: clock)
            let part = HTTPServerLoop(
                loop: loop, configuration: configuration, counters: counters, workers: workers,
                compressors: compressors, handler: handler)
            loops.append(loop)
            parts.append(LoopConfined(part, to: loop))
        }
        self.loops = loops
        self.parts = parts
        self.listener = LoopConfined(listener, to: loops[0])
        threads = Mutex([])
        try startListening(listener)
        for (number, loop) in loops.enumerated() {
            let thread = try SystemThread.start(name: "http-\(number)") { loop.run() }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Connections go to the loops in turn: every loop gets as many as any other, whatever the
    /// kernel would prefer.
    private func startListening(_ listener: TCPListener) throws(TransportError) {
        let counters = counters
        let connectionCountMax = UInt64(configuration.connectionCountMax)
        let isPlain = configuration.tls == nil
        let (loops, parts) = (loops, parts)
        var next = 0
        try listener.start(on: loops[0]) { socket in
            var isTaken = false
            counters.update {
                isTaken = $0.openConnections < connectionCountMax
                $0.acceptedConnections += 1
                if isTaken { $0.openConnections += 1 } else { $0.refusedConnections += 1 }
            }
            guard isTaken else {
                // Over TLS there is nobody yet who could be told.
                return isPlain ? Self.turnAway(socket) : socket.close()
            }
            let (loop, part) = (loops[next], parts[next])
            next = (next + 1) % loops.count
            if loop === loops[0] {
                part.value.adopt(socket)
            } else {
                loop.post { part.value.adopt(socket) }
            }
        }
    }

    /// Says why, as far as that goes without waiting for the client.
    private static func turnAway(_ socket: AcceptedSocket) {
        let text: StaticString =
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 21\r\nRetry-After: 5\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\r\ntoo many connections\n"
        // Without room for 170 bytes in a new socket there is nobody to tell.
        _ = SocketStream(accepted: socket).write(
            UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        socket.close()
    }

    /// Stops: accepts nothing more, lets answers in work be sent, and after `grace` closes what is
    /// left. Returns when all threads have ended. Call it once, from none of the server's threads.
    func shutdown(grace: Duration) {
        let running = threads.withLock { threads -> [SystemThread] in
            defer { threads = [] }
            return threads
        }
        guard !running.isEmpty else { return }
        loops[0].post { [listener] in listener.value.stop() }
        let grace = grace.nanosecondsClamped
        for (loop, part) in zip(loops, parts) {
            loop.post {
                let own = part.value
                let timer = own.loop.makeTimer {
                    own.closeAll()
                    own.loop.stop()
                }
                own.loop.schedule(timer, afterNanoseconds: grace)
                own.drain { own.loop.stop() }
            }
        }
        for thread in running { thread.join() }
        workers.stop()
    }
}
