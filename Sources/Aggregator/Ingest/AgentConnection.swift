import Wire
import WireTLS

/// One connection to the ingest port: joins a session to a socket and watches the time.
final class AgentConnection: StreamConnectionDelegate, HandshakeGate {
    private let socket: SocketStream
    private let loop: EventLoop
    private let configuration: IngestConfiguration
    private let counters: IngestCounters
    private let inputByteCountMax: Int
    private let waiters: CommitWaiters
    private let waitingRoom: WaitingRoom
    private let handshakes: HandshakeQueue
    private let knownAddresses: KnownAddresses
    /// In the waiting room; `nil` once it is out.
    private var number: UInt64?
    private var session: IngestSession
    private var connection: StreamConnection?
    private var deadline: TimerID?
    private var output: [UInt8] = []
    private var lastReceived: UInt64 = 0

    private static let limited = LimitedDiagnostics()

    init(
        _ socket: SocketStream, loop: EventLoop, session: IngestSession, inputByteCountMax: Int,
        configuration: IngestConfiguration, counters: IngestCounters, waiters: CommitWaiters,
        waitingRoom: WaitingRoom, handshakes: HandshakeQueue, knownAddresses: KnownAddresses
    ) {
        self.waitingRoom = waitingRoom
        self.handshakes = handshakes
        self.knownAddresses = knownAddresses
        self.socket = socket
        self.loop = loop
        self.session = session
        self.inputByteCountMax = inputByteCountMax
        self.configuration = configuration
        self.counters = counters
        self.waiters = waiters
    }

    /// On the loop's thread.
    func start() {
        let stream: any ByteStream
        do throws(TLSError) {
            if let tls = configuration.tls {
                stream = try TLSStream(server: socket, tls.current())
            } else {
                stream = socket
            }
        } catch {
            Self.limited.warning("cannot serve \(socket.peer): \(error)")
            socket.close()
            return counters.connectionClosed()
        }
        let connection = StreamConnection(
            stream, loop: loop, inputByteCountMax: inputByteCountMax,
            outputByteCountMax: configuration.outputBytes, delegate: self,
            gate: configuration.tls == nil ? nil : self)
        self.connection = connection
        let (loop, confined) = (loop, LoopConfined(self, to: loop))
        number = waitingRoom.enter { loop.post { confined.value.sendAway() } }
        let timer = loop.makeTimer { [weak self] in self?.checkTime() }
        deadline = timer
        loop.schedule(
            timer, afterNanoseconds: configuration.handshakeMilliseconds &* 1_000_000)
        do throws(TransportError) {
            try connection.start()
        } catch {
            Self.limited.warning("cannot serve \(socket.peer): \(error)")
            stream.close()
            closed(connection, error: nil)
        }
    }

    func handshakeWaits(_ connection: StreamConnection) {
        handshakes.add(connection, known: knownAddresses.address(of: socket.peer))
    }

    func opened(_ connection: StreamConnection) {
        session.certificateName = (connection.stream as? TLSStream)?.peerSubject?.commonName
    }

    func received(_ bytes: UnsafeRawBufferPointer, on connection: StreamConnection) -> Int {
        lastReceived = loop.now
        let wasStreaming = session.isStreaming
        output.removeAll(keepingCapacity: true)
        let now = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
        let consumed = session.receive(bytes, now: now, output: &output)
        answer(on: connection, wasStreaming: wasStreaming)
        if let hello = session.helloUnderReview { review(hello, on: connection) }
        return consumed
    }

    /// Sends what the session said, and sees where it is now.
    private func answer(on connection: StreamConnection, wasStreaming: Bool) {
        send(output, on: connection)
        if !wasStreaming, session.isStreaming {
            leaveWaitingRoom()
            if configuration.tls != nil { knownAddresses.insert(socket.peer) }
            Diagnostics.info("agent of node \(session.nodeName) connected from \(socket.peer)")
            if let deadline {
                loop.schedule(
                    deadline, afterNanoseconds: configuration.silenceMilliseconds &* 1_000_000)
            }
        }
        if session.isEnded {
            finish(connection)
        } else if session.isWaiting {
            waiters.add(self)
        }
    }

    /// The log has more than before.
    func committed() {
        guard let connection, !session.isEnded else { return }
        output.removeAll(keepingCapacity: true)
        session.flush(into: &output)
        send(output, on: connection)
        if session.isWaiting { waiters.add(self) }
    }

    /// It is in `waiters`; kept by them.
    var isWaiter = false

    /// Asks on other threads; nothing more is read meanwhile.
    private func review(_ hello: Hello, on connection: StreamConnection) {
        guard let reviewer = configuration.authentication.reviewer else {
            preconditionFailure("a hello waits for a review that nobody makes")
        }
        connection.pauseReading()
        let (loop, confined) = (loop, LoopConfined(self, to: loop))
        reviewer.review(hello) { verdict in
            loop.post { confined.value.reviewed(verdict) }
        }
    }

    private func reviewed(_ verdict: AgentVerdict) {
        // The agent may have gone.
        guard let connection, session.helloUnderReview != nil else { return }
        output.removeAll(keepingCapacity: true)
        let now = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
        session.reviewed(verdict, now: now, output: &output)
        answer(on: connection, wasStreaming: false)
        if !session.isEnded { connection.resumeReading() }
    }

    func outputDrained(_ connection: StreamConnection) {}

    func inputEnded(_ connection: StreamConnection) { connection.close() }

    func closed(_ connection: StreamConnection, error: TransportError?) {
        if let deadline { loop.cancel(deadline) }
        deadline = nil
        if session.isStreaming {
            let reason = error.map { ": \($0)" } ?? ""
            Diagnostics.info("agent of node \(session.nodeName) disconnected\(reason)")
        }
        if !session.isStreaming, !session.isEnded, let error, configuration.tls != nil {
            // Most often a handshake that failed: an agent with another authority, or none.
            counters.rejected(.unauthenticated)
            Self.limited.warning("refused \(socket.peer): \(error)")
        }
        session.leave()
        leaveWaitingRoom()
        counters.connectionClosed()
        self.connection = nil
    }

    private func send(_ bytes: [UInt8], on connection: StreamConnection) {
        guard !bytes.isEmpty else { return }
        guard connection.output.append(bytes) else {
            // The agent does not read its acks: it would never free its ring either.
            counters.rejected(.overloaded)
            connection.close()
            return
        }
        connection.flush()
    }

    /// Lets the last words reach the agent, for a moment.
    private func finish(_ connection: StreamConnection) {
        if let refusal = session.refusal {
            let who = session.nodeName.isEmpty ? "" : " for node \(session.nodeName)"
            Self.limited.warning(
                "refused \(socket.peer)\(who): \(refusal.code): \(refusal.words)")
        }
        if let deadline { loop.schedule(deadline, afterNanoseconds: 2_000_000_000) }
        connection.finish()
    }

    private func leaveWaitingRoom() {
        if let number { waitingRoom.leave(number) }
        number = nil
    }

    /// Others wait too, and for less long.
    private func sendAway() {
        guard let connection, number != nil, !session.isStreaming else { return }
        counters.rejected(.overloaded)
        Self.limited.warning(
            "sent \(socket.peer) away: it had not said who it is, and \(configuration.waiting) others "
                + "wait (--max-waiting-connections)")
        connection.close()
    }

    private func checkTime() {
        guard let connection, let deadline else { return }
        if session.isStreaming {
            let silence = configuration.silenceMilliseconds &* 1_000_000
            let due = lastReceived &+ silence
            if loop.now < due { return loop.schedule(deadline, atNanoseconds: due) }
        }
        if !session.isEnded {
            counters.rejected(.timeout)
            output.removeAll(keepingCapacity: true)
            let words =
                session.helloUnderReview != nil
                ? "the apiserver did not say in time whose token this is"
                : session.isStreaming ? "nothing was heard for too long" : "no hello came"
            session.end(Farewell(.timeout, words), output: &output)
            send(output, on: connection)
        }
        connection.close()
    }
}
