import Wire

/// One aggregator as seen by the event loop: joins its `DeliveryState` to a socket and a timer.
/// Lives on the loop's thread.
final class AggregatorLink: StreamConnectionDelegate {
    let address: HostAndPort
    private let index: Int
    private let loop: EventLoop
    private let outbox: Outbox
    private let hello: () -> Hello
    private let options: Options
    private var timer: TimerID?
    private var connection: StreamConnection?
    /// Addresses that are still to be tried in this attempt, the next one last.
    private var untried: [SocketAddress] = []
    /// Distinguishes the answer of a look-up from that of an abandoned one.
    private var lookUps: UInt64 = 0
    private var scratch: [UInt8] = []
    private var isLeaving = false
    private let limited = LimitedDiagnostics()

    struct Options {
        var security: DeliverySecurity
        /// What to do when a handshake, TLS's or the session's, is over: its code is not needed any more.
        var handshakeEnded: () -> Void
        /// What to do when something was received.
        var received: () -> Void
    }

    /// Bytes that wait in the connection, beyond which frames stay in the ring.
    private static let outputByteCount = 64 << 10
    /// A whole dictionary and a key frame of the largest size fit.
    private static let outputByteCountMax = 32 << 20

    init(
        _ address: HostAndPort, index: Int, loop: EventLoop, outbox: Outbox, options: Options,
        hello: @escaping () -> Hello
    ) {
        self.address = address
        self.index = index
        self.loop = loop
        self.outbox = outbox
        self.options = options
        self.hello = hello
    }

    var isConnected: Bool { connection != nil }
    private var state: DeliveryState { outbox.deliveries[index] }
    private var now: UInt64 { loop.clock.monotonicNanoseconds }

    /// Starts the first attempt.
    func start() {
        timer = loop.makeTimer { [weak self] in self?.run() }
        run()
    }

    /// Does what is due: attempts, time-outs, frames that can be sent.
    func run() {
        guard !isLeaving else { return }
        let now = now
        switch outbox.withDelivery(index, { state, _ in state.tick(now: now) }) {
        case .nothing: break
        case .connect: lookUp()
        case .close:
            if let connection { connection.close() } else { failed("nothing answered in time") }
        }
        send()
        schedule()
    }

    private func schedule() {
        guard let timer else { return }
        guard let deadline = state.nextDeadline, !isLeaving else { return loop.rest(timer) }
        loop.schedule(timer, atNanoseconds: deadline)
    }

    // MARK: Connecting

    private func lookUp() {
        lookUps += 1
        if let number = SocketAddress(numericHost: address.host, port: address.port) {
            return found([number])
        }
        // The resolver blocks, and sampling must not wait for a name server.
        let (lookUp, address, loop) = (lookUps, address, loop)
        let link = LoopConfined(self, to: loop)
        do throws(TransportError) {
            try SystemThread.start(name: "look-up") {
                let answer = NameAnswer(resolving: address)
                loop.post { link.value.found(answer, of: lookUp) }
            }.detach()
        } catch {
            failed("\(error)")
        }
    }

    private func found(_ answer: NameAnswer, of lookUp: UInt64) {
        guard lookUp == lookUps, connection == nil, case .connecting = state.phase else { return }
        switch answer {
        case .addresses(let addresses): found(addresses)
        case .failure(let error): failed("\(error)")
        }
        schedule()
    }

    private func found(_ addresses: [SocketAddress]) {
        untried = addresses.reversed()
        tryNext("no address")
    }

    /// Tries the next address, or gives the attempt up.
    private func tryNext(_ words: String) {
        guard let next = untried.popLast() else { return failed(words) }
        let now = now
        outbox.withDelivery(index) { state, _ in state.nextAddress(now: now) }
        do throws(TransportError) {
            let stream = try options.security.stream(to: next, of: address)
            let connection = StreamConnection(
                stream, loop: loop, inputByteCountMax: DeliveryState.answerByteLimit + 16,
                outputByteCountMax: Self.outputByteCountMax, delegate: self)
            self.connection = connection
            do throws(TransportError) {
                try connection.start()
            } catch {
                stream.close()
                throw error
            }
        } catch {
            connection = nil
            tryNext("\(error)")
        }
    }

    private func failed(_ words: String) {
        untried = []
        lookUps += 1
        let now = now
        let wasStreaming = state.isStreaming
        outbox.withDelivery(index) { state, _ in state.disconnected(words, now: now) }
        guard !isLeaving else { return }
        let verb = wasStreaming ? "lost the connection to" : "cannot deliver to"
        limited.warning("\(verb) aggregator \(address): \(state.lastEnd)")
    }

    // MARK: The connection

    func opened(_ connection: StreamConnection) {
        options.handshakeEnded()
        let now = now
        let hello = hello()
        scratch.removeAll(keepingCapacity: true)
        outbox.withDelivery(index) { state, _ in
            state.connected(hello, now: now, output: &scratch)
        }
        write(to: connection)
        schedule()
    }

    func received(_ bytes: UnsafeRawBufferPointer, on connection: StreamConnection) -> Int {
        let now = now
        let clock = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
        let wasStreaming = state.isStreaming
        let consumed = outbox.withDelivery(index) { state, ring in
            state.receive(bytes, ring: ring, now: now, clockMilliseconds: clock)
        }
        if !wasStreaming, state.isStreaming {
            Diagnostics.info("delivering to aggregator \(address)")
            options.handshakeEnded()
        }
        options.received()
        // Closing inside a delivery would take the bytes away.
        if let timer, !isLeaving { loop.schedule(timer, atNanoseconds: now) }
        return consumed
    }

    func outputDrained(_ connection: StreamConnection) { run() }

    func inputEnded(_ connection: StreamConnection) { connection.close() }

    func closed(_ connection: StreamConnection, error: TransportError?) {
        guard self.connection === connection else { return }
        self.connection = nil
        let words = error.map { "\($0)" } ?? "the aggregator closed the connection"
        if case .connecting = state.phase, !isLeaving { tryNext(words) } else { failed(words) }
        schedule()
    }

    /// Sends what is to be sent, as far as the connection takes it.
    func send() {
        guard !isLeaving else { return }
        let now = now
        while let connection, connection.isOpen, connection.output.count < Self.outputByteCount {
            scratch.removeAll(keepingCapacity: scratch.capacity <= 4 * Self.outputByteCount)
            outbox.withDelivery(index) { state, ring in
                state.fill(&scratch, byteCountMax: Self.outputByteCount, ring: ring, now: now)
            }
            if scratch.isEmpty { return }
            write(to: connection)
        }
    }

    /// The machine's facts have changed.
    func send(_ facts: MachineFacts) {
        guard let connection, state.isStreaming, !isLeaving else { return }
        scratch.removeAll(keepingCapacity: true)
        Record(type: .facts, payload: facts.encode()).encode(into: &scratch)
        write(to: connection)
    }

    private func write(to connection: StreamConnection) {
        guard connection.output.append(scratch) else { return connection.close() }
        connection.flush()
    }

    /// Says goodbye and lets the connection end. Give it a moment, then drop the link.
    func leave() {
        isLeaving = true
        if let timer { loop.rest(timer) }
        scratch.removeAll(keepingCapacity: true)
        let farewell = Farewell(.shutdown, "the agent stops")
        outbox.withDelivery(index) { state, _ in
            state.sayGoodbye(farewell, output: &scratch)
        }
        guard let connection else { return }
        guard connection.isOpen, !scratch.isEmpty else { return connection.close() }
        write(to: connection)
        connection.finish()
    }
}

/// What the resolver said.
private enum NameAnswer: Sendable {
    case addresses([SocketAddress])
    case failure(TransportError)

    init(resolving name: HostAndPort) {
        do throws(TransportError) {
            self = .addresses(try name.resolve())
        } catch {
            self = .failure(error)
        }
    }
}
