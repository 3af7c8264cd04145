/// Whoever understands the bytes of a connection.
public protocol StreamConnectionDelegate: AnyObject {
    /// Bytes can flow: connected, and any handshake is done. Called once, first.
    func opened(_ connection: StreamConnection)
    /// Bytes came. Returns how many from the front were understood; the rest is offered again,
    /// with more behind it. `bytes` is valid during the call only.
    func received(_ bytes: UnsafeRawBufferPointer, on connection: StreamConnection) -> Int
    /// Output that had to wait is gone.
    func outputDrained(_ connection: StreamConnection)
    /// The peer will send nothing more, but may still read. The bytes not understood are lost.
    func inputEnded(_ connection: StreamConnection)
    /// While reading is paused: the peer has finished sending, which may mean that it has gone.
    /// `inputEnded` still follows once everything was read.
    func inputWillEnd(_ connection: StreamConnection)
    /// It is over. Called once, last; nil when this side closed.
    func closed(_ connection: StreamConnection, error: TransportError?)
}

extension StreamConnectionDelegate {
    public func inputWillEnd(_ connection: StreamConnection) {}
}

/// Whoever decides when a connection may go on with its handshake, which may cost a thousand times what a
/// message does.
public protocol HandshakeGate: AnyObject {
    /// Bytes for the next step may be there. The connection does nothing until `continueHandshake`,
    /// which must be called once for each time that this was.
    func handshakeWaits(_ connection: StreamConnection)
}

/// A byte stream on an event loop with bounded buffers.
///
/// ```
///  establishing ──> open ──finish()──> finishing ──all sent──> lingering ──peer ends──> closed
///        └──────────── failure or close() in any state ─────────────────────────────────>┘
/// ```
/// Input is read into the loop's scratch room; only bytes that the delegate did not consume are
/// kept. Output goes to the socket at `flush`, what does not fit waits. So an idle connection owns
/// no buffer at all. Lives on the loop's thread; the loop keeps it alive until it is closed.
public final class StreamConnection: ReadinessHandler {
    private enum State { case establishing, open, finishing, lingering, closed }

    public let loop: EventLoop
    public let stream: any ByteStream
    /// What waits to be sent. Append, then `flush`.
    public var output: ByteQueue
    /// Bytes read from and written to the peer so far: progress, for time-outs.
    public private(set) var receivedByteCount: UInt64 = 0
    public private(set) var sentByteCount: UInt64 = 0

    private var input: ByteQueue
    private var delegate: (any StreamConnectionDelegate)?
    private weak var gate: (any HandshakeGate)?
    private var isAtGate = false
    private var state = State.establishing
    private var isReadingPaused = false
    private var isInputEnded = false
    private var isPeerFinished = false
    private var isDelivering = false
    private var isOutputBlocked = false
    private var readNeeds = Readiness.read
    private var writeNeeds = Readiness.write

    /// Reads per turn, so that one fast sender cannot starve the others.
    private static let readsPerTurn = 4

    /// - Parameters:
    ///   - inputByteCountMax: the longest message the delegate must see whole.
    ///   - outputByteCountMax: what may wait to be sent; appending more fails.
    ///   - gate: asked before each step of a handshake; kept by its owner.
    public init(
        _ stream: any ByteStream, loop: EventLoop, inputByteCountMax: Int, outputByteCountMax: Int,
        delegate: any StreamConnectionDelegate, gate: (any HandshakeGate)? = nil
    ) {
        self.gate = gate
        self.stream = stream
        self.loop = loop
        self.delegate = delegate
        input = ByteQueue(byteCountMax: inputByteCountMax, pool: loop.blockPool)
        output = ByteQueue(byteCountMax: outputByteCountMax, pool: loop.blockPool)
    }

    public var isOpen: Bool { state == .open || state == .finishing }
    public var isClosed: Bool { state == .closed }

    /// Starts. On failure the stream is still the caller's to close.
    public func start() throws(TransportError) {
        try loop.add(stream.descriptor, interest: .read, handler: self)
        establish()
    }

    // MARK: What the delegate asks for

    /// Sends what waits, as far as the peer takes it; the rest goes by itself later.
    public func flush() {
        guard isOpen else { return }
        var failure: TransportError?
        isOutputBlocked = false
        while !output.isEmpty, !isOutputBlocked, failure == nil {
            switch stream.write(output.readable) {
            case .done(let count):
                sentByteCount &+= UInt64(count)
                output.consume(count)
            case .wantsRead: block(on: .read)
            case .wantsWrite: block(on: .write)
            case .endOfStream: failure = .connectionFailed(errno: 0)
            case .failed(let error): failure = error
            }
        }
        if let failure { return end(failure) }
        if output.isEmpty { output.releaseWhenEmpty() }
        if output.isEmpty, state == .finishing { return linger() }
        updateInterest()
    }

    private func block(on needs: Readiness) {
        isOutputBlocked = true
        writeNeeds = needs
    }

    /// Stops reading until `resumeReading`: the kernel's buffer fills and the peer has to wait.
    public func pauseReading() {
        guard state != .closed else { return }
        isReadingPaused = true
        updateInterest()
    }

    /// Reads on, and first offers again what was not consumed.
    public func resumeReading() {
        guard state != .closed, isReadingPaused else { return }
        isReadingPaused = false
        updateInterest()
        readBufferedLater()
        guard state == .open, !isDelivering, !input.isEmpty else { return }
        deliverKept()
        flush()
    }

    /// Closes when all output is sent and the peer has closed too. What the peer still sends is
    /// thrown away: closing at once would reset the connection and could destroy output on its
    /// way. Give this a time limit, then `close`.
    public func finish() {
        guard state == .open else { return }
        state = .finishing
        flush()
    }

    /// Closes at once; what waits is lost.
    public func close() { end(nil) }

    // MARK: Events

    public func ready(_ readiness: Readiness) {
        if state == .establishing {
            // Nothing is read at the gate, so epoll would tell of this for ever.
            if isAtGate {
                return end(.connectionFailed(errno: SocketOption.takeError(stream.descriptor)))
            }
            establish()
        }
        guard state != .establishing, state != .closed else { return }
        let isBroken = !readiness.isDisjoint(with: [.failed, .hungUp])
        if isBroken && (isReadingPaused || isInputEnded) {
            // Nobody reads, so nobody would find out, and epoll would tell for ever.
            return end(.connectionFailed(errno: SocketOption.takeError(stream.descriptor)))
        }
        if readiness.contains(.peerFinished), isReadingPaused, !isPeerFinished {
            isPeerFinished = true
            delegate?.inputWillEnd(self)
            guard state != .closed else { return }
        }
        if !output.isEmpty, isBroken || !readiness.isDisjoint(with: writeNeeds) {
            flush()
            if state != .closed, output.isEmpty { delegate?.outputDrained(self) }
        }
        if isBroken || !readiness.isDisjoint(with: readNeeds) { readAll() }
        if state != .closed { updateInterest() }
    }

    private func establish() {
        guard let gate else { return continueEstablishing() }
        isAtGate = true
        loop.setInterest([], of: stream.descriptor)
        gate.handshakeWaits(self)
    }

    /// The gate lets it make one step. Whatever has become of it meanwhile.
    public func continueHandshake() {
        guard isAtGate, state == .establishing else { return }
        isAtGate = false
        continueEstablishing()
    }

    private func continueEstablishing() {
        switch stream.establish() {
        case .done:
            state = .open
            updateInterest()
            delegate?.opened(self)
            flush()
        case .wantsRead: loop.setInterest(.read, of: stream.descriptor)
        case .wantsWrite: loop.setInterest(.write, of: stream.descriptor)
        case .endOfStream: end(.connectionFailed(errno: 0))
        case .failed(let error): end(error)
        }
    }

    private func readAll() {
        for _ in 0..<Self.readsPerTurn {
            guard state != .closed, !isInputEnded, state == .lingering || !isReadingPaused else {
                return
            }
            let isDrained = readOnce()
            // All answers of a turn leave in one packet where they fit.
            if state != .lingering { flush() }
            if isDrained { return }
        }
        readBufferedLater()
    }

    /// What TLS has decoded already waits where epoll cannot see it: another turn is asked for.
    private func readBufferedLater() {
        guard state == .open, !isReadingPaused, stream.hasBufferedInput else { return }
        let confined = LoopConfined(self, to: loop)
        loop.post {
            let connection = confined.value
            guard connection.state == .open, !connection.isReadingPaused else { return }
            connection.readAll()
            connection.updateInterest()
        }
    }

    /// Returns true when the stream has nothing more for now.
    private func readOnce() -> Bool {
        let intoScratch = input.isEmpty || state != .open
        guard let room = intoScratch ? loop.scratch : input.room(forAtLeast: 1) else {
            end(.streamFailed(reason: "a message is longer than \(input.byteCountMax) bytes"))
            return true
        }
        readNeeds = .read
        switch stream.read(into: room) {
        case .done(let count):
            receivedByteCount &+= UInt64(count)
            if state == .open {
                if intoScratch {
                    deliverScratch(UnsafeRawBufferPointer(rebasing: room[..<count]))
                } else {
                    input.commit(count)
                    deliverKept()
                }
            }
            return count < room.count && !stream.hasBufferedInput
        case .wantsRead:
            return true
        case .wantsWrite:
            readNeeds = .write
            return true
        case .endOfStream:
            isInputEnded = true
            if state == .lingering { end(nil) } else { delegate?.inputEnded(self) }
            return true
        case .failed(let error):
            end(state == .lingering ? nil : error)
            return true
        }
    }

    private func deliverScratch(_ bytes: UnsafeRawBufferPointer) {
        let consumed = deliver(bytes)
        guard state == .open, consumed < bytes.count else { return }
        if !input.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...])) {
            end(.streamFailed(reason: "a message is longer than \(input.byteCountMax) bytes"))
        }
    }

    private func deliverKept() {
        let consumed = deliver(input.readable)
        if state == .closed { input.removeAll() } else { input.consume(consumed) }
        input.releaseWhenEmpty()
    }

    private func deliver(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard let delegate else { return bytes.count }
        isDelivering = true
        defer { isDelivering = false }
        let consumed = delegate.received(bytes, on: self)
        precondition(consumed >= 0 && consumed <= bytes.count, "consumed \(consumed)")
        return consumed
    }

    // MARK: Ends

    private func linger() {
        stream.finishWriting()
        if isInputEnded { return end(nil) }
        state = .lingering
        isReadingPaused = false
        updateInterest()
    }

    private func end(_ error: TransportError?) {
        guard state != .closed else { return }
        let was = delegate
        state = .closed
        delegate = nil
        loop.remove(stream.descriptor)
        stream.close()
        output.removeAll()
        output.releaseWhenEmpty()
        if !isDelivering {
            // Else the delegate still looks at these bytes.
            input.removeAll()
            input.releaseWhenEmpty()
        }
        was?.closed(self, error: error)
    }

    private func updateInterest() {
        guard state != .closed, state != .establishing else { return }
        var interest: Readiness = []
        if !isInputEnded, !isReadingPaused { interest.formUnion(readNeeds) }
        if isReadingPaused, !isPeerFinished { interest.insert(.peerFinished) }
        if isOutputBlocked, state != .lingering { interest.formUnion(writeNeeds) }
        loop.setInterest(interest, of: stream.descriptor)
    }
}
