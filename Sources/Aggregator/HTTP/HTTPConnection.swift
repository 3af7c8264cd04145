import Wire
import WireTLS

/// One client's connection: requests in, answers out in the same order, one in work at a time.
///
/// ```
///  idle ──first byte──> head ──empty line──> body ──complete──> inFlight ──answer──> streaming
///   ^                     │ refusal            │ refusal           │  whole body        │ end
///   │                     └────────────────────┴──> closing <──────┤  or "close"        │
///   └──────────────────────────── keep-alive ──────────────────────┴────────────────────┘
/// ```
/// What a client sends ahead (pipelining) waits in its buffer and then in the kernel's, so it
/// costs memory neither here nor in the handlers. Lives on its loop's thread.
final class HTTPConnection: StreamConnectionDelegate {
    enum Phase { case idle, head, body, inFlight, streaming, closing }

    let owner: HTTPServerLoop
    let peer: SocketAddress
    var phase = Phase.idle
    var connection: StreamConnection?
    var request: HTTPRequest?
    /// Numbers the requests, so that a late answer cannot go to the wrong one.
    var number: UInt64 = 0
    var producer: ResponsePump?
    var isInputEnded = false
    /// Whether the connection will be used again after the answer in work.
    var keepsAlive = true

    /// The client sends requests faster than it takes the answers.
    private var isHeldBack = false
    private var scanner = HeadScanner()
    private var decoder = BodyDecoder(contentLength: 0)
    private var timer: TimerID?
    private var wound: UInt64 = .max
    private var deadline: UInt64 = .max
    private var deadlineKind = HTTPCounters.Timeout.head
    private var sentAtWinding: UInt64 = 0
    private var countedReceived: UInt64 = 0
    private var countedSent: UInt64 = 0
    private var identity: HTTPClientIdentity?
    private var isOpened = false

    private static let limited = LimitedDiagnostics(perMinute: 2)

    init(_ owner: HTTPServerLoop, peer: SocketAddress) {
        self.owner = owner
        self.peer = peer
    }

    // MARK: The stream's events

    /// Before the connection starts: a TLS handshake has its time limit too.
    func willStart(_ connection: StreamConnection) {
        self.connection = connection
        timer = owner.loop.makeTimer { [unowned self] in timerFired() }
        setDeadline(.head)
    }

    /// It could not be started.
    func abandon() {
        if let timer { owner.loop.cancel(timer) }
        timer = nil
        connection = nil
    }

    func opened(_ connection: StreamConnection) {
        isOpened = true
        setDeadline(.head)
        guard let stream = connection.stream as? TLSStream else { return }
        identity = stream.peerCertificate.map { HTTPClientIdentity($0) }
    }

    func received(_ bytes: UnsafeRawBufferPointer, on connection: StreamConnection) -> Int {
        var position = 0
        do throws(HTTPRefusal) {
            while position < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
                guard let count = try advance(rest) else { break }
                position += count
            }
        } catch {
            refuse(error)
            return bytes.count
        }
        if phase == .inFlight || phase == .streaming || isHeldBack { connection.pauseReading() }
        return phase == .closing ? bytes.count : position
    }

    func outputDrained(_ connection: StreamConnection) {
        if phase == .streaming { producer?.pump(self) }
        guard isHeldBack else { return }
        isHeldBack = false
        connection.resumeReading()
    }

    func inputEnded(_ connection: StreamConnection) {
        isInputEnded = true
        switch phase {
        case .idle, .head, .body: close()
        case .inFlight: request?.cancel()
        case .streaming, .closing: break
        }
    }

    func inputWillEnd(_ connection: StreamConnection) {
        if phase == .inFlight { request?.cancel() }
    }

    func closed(_ connection: StreamConnection, error: TransportError?) {
        if phase == .inFlight || phase == .streaming {
            request?.cancel()
            owner.counters.update { $0.abandonedRequests += 1 }
        }
        if !isOpened {
            owner.counters.update { $0.failedHandshakes += 1 }
            if let error { Self.limited.warning("\(peer) did not get through: \(error)") }
        }
        if let timer { owner.loop.cancel(timer) }
        timer = nil
        count(connection, status: nil)
        phase = .closing
        producer = nil
        request = nil
        self.connection = nil
        owner.forget(self)
    }

    // MARK: Requests

    /// Takes the next part of a request. Returns how many bytes it had, nil when it needs more, or
    /// when an answer is due first.
    private func advance(_ bytes: UnsafeRawBufferPointer) throws(HTTPRefusal) -> Int? {
        switch phase {
        case .idle:
            // Empty lines before a request are to be ignored (RFC 9112, 2.2).
            if bytes[0] == 0x0D || bytes[0] == 0x0A { return 1 }
            if holdBack() { return nil }
            phase = .head
            scanner = HeadScanner()
            setDeadline(.head)
            return 0
        case .head:
            let limits = owner.configuration.limits
            guard case .complete(let count) = try scanner.scan(bytes, limits: limits) else {
                return nil
            }
            let head = UnsafeRawBufferPointer(rebasing: bytes[..<count])
            let request = owner.makeRequest()
            try request.parse(head: head, peer: peer, identity: identity)
            self.request = request
            try beginBody(request, hasMore: bytes.count > count)
            return count
        case .body:
            guard let request else { return nil }
            let count = try decoder.consume(bytes, limits: owner.configuration.limits) {
                request.append(bodyBytes: $0)
            }
            if decoder.isComplete { dispatch(request) }
            return count > 0 || decoder.isComplete ? count : nil
        case .inFlight, .streaming, .closing:
            return nil
        }
    }

    /// True when so many answers wait for the client that it gets no more for now.
    private func holdBack() -> Bool {
        guard let connection, connection.output.count >= ResponsePump.highWaterByteCount else {
            return false
        }
        connection.flush()
        isHeldBack = !connection.isClosed && !connection.output.isEmpty
        return isHeldBack || connection.isClosed
    }

    private func beginBody(_ request: HTTPRequest, hasMore: Bool) throws(HTTPRefusal) {
        switch request.framing {
        case .none, .length(0): return dispatch(request)
        case .length(let count):
            guard count <= owner.configuration.limits.bodyByteCountMax else {
                throw HTTPRefusal(.contentTooLarge, "body too large")
            }
            decoder = BodyDecoder(contentLength: count)
        case .chunked: decoder = BodyDecoder(chunked: ())
        }
        phase = .body
        setDeadline(.body)
        // A client that is sending already did not wait to be told.
        guard request.expectsContinue, !hasMore, let connection else { return }
        if !connection.output.append("HTTP/1.1 100 Continue\r\n\r\n") { connection.close() }
    }

    private func dispatch(_ request: HTTPRequest) {
        phase = .inFlight
        number &+= 1
        switch owner.handler(request) {
        case .now(let response): respond(response)
        case .onWorker(let work):
            setDeadline(.handler)
            let responder = HTTPResponder(
                LoopConfined(self, to: owner.loop), owner.loop, number: number)
            let isTaken = owner.workers.submit {
                guard !request.isCancelled else { return }
                responder.complete(work(request))
            }
            if !isTaken {
                owner.counters.update { $0.overloadedRequests += 1 }
                respond(.overloaded)
            }
        case .later(let body):
            setDeadline(.handler)
            body(HTTPResponder(LoopConfined(self, to: owner.loop), owner.loop, number: number))
        }
    }

    /// A handler's answer, back on the loop.
    func complete(_ number: UInt64, _ response: HTTPResponse) {
        guard phase == .inFlight, number == self.number else { return }
        respond(response)
        connection?.flush()
        if phase == .idle { connection?.resumeReading() }
    }

    private func refuse(_ refusal: HTTPRefusal) {
        owner.counters.update { $0.refusedRequests += 1 }
        // What it wanted is unknown or not to be trusted: an answer without any of it.
        request = nil
        let remedy = owner.configuration.limits.remedy(refusal.status)
        var response = HTTPResponse.text(refusal.status, "\(refusal.reason)\(remedy)\n")
        response.closesConnection = true
        respond(response)
    }

    // MARK: After an answer

    /// The answer is in the output: on to the next request, or to the end.
    func finishResponse(_ connection: StreamConnection) {
        producer = nil
        if let request {
            self.request = nil
            owner.recycle(request)
        }
        if keepsAlive, !isInputEnded {
            phase = .idle
            setDeadline(.idle)
        } else {
            phase = .closing
            setDeadline(.linger)
            connection.finish()
        }
    }

    /// Ends an idle connection; lets an answer in work be the last.
    func drain() {
        keepsAlive = false
        guard phase == .idle || phase == .head, let connection else { return }
        guard !connection.output.isEmpty else { return close() }
        phase = .closing
        setDeadline(.linger)
        connection.finish()
    }

    func close() { connection?.close() }

    /// Cuts the client off in the middle of an answer that cannot be completed.
    func giveUp() {
        owner.counters.update { $0.failedAnswers += 1 }
        Self.limited.warning("an answer to \(peer) cost more than one may, and was cut off")
        close()
    }

    // MARK: Time

    /// Sets what the client, or the handler, has to do next and by when. The timer itself is only
    /// moved when it would be late: a busy connection's deadline changes twice per request.
    func setDeadline(_ kind: HTTPCounters.Timeout) {
        deadlineKind = kind
        deadline = owner.loop.now &+ owner.timeouts[kind.rawValue]
        sentAtWinding = connection?.sentByteCount ?? 0
        guard deadline < wound, let timer else { return }
        wound = deadline
        owner.loop.schedule(timer, atNanoseconds: deadline)
    }

    private func timerFired() {
        wound = .max
        guard let connection, let timer else { return }
        if owner.loop.now < deadline {
            wound = deadline
            return owner.loop.schedule(timer, atNanoseconds: deadline)
        }
        // Nothing is asked of a client whose last answer it has not taken yet, except to take it.
        let isWriting = !connection.output.isEmpty
        if isWriting, deadlineKind != .write, deadlineKind != .handler {
            return setDeadline(.write)
        }
        if deadlineKind == .write {
            let taken = connection.sentByteCount &- sentAtWinding
            if taken >= UInt64(owner.configuration.writeByteCountMin) || !isWriting {
                return setDeadline(isWriting || phase == .streaming ? .write : restDeadline)
            }
        }
        expire(deadlineKind)
    }

    private var restDeadline: HTTPCounters.Timeout {
        switch phase {
        case .idle: .idle
        case .head: .head
        case .body: .body
        case .inFlight: .handler
        case .streaming: .write
        case .closing: .linger
        }
    }

    private func expire(_ kind: HTTPCounters.Timeout) {
        owner.counters.update { $0.timeouts[kind.rawValue] += 1 }
        switch kind {
        case .idle, .write, .linger: return close()
        case .head where phase == .idle: return close()
        case .head, .body:
            request = nil
            var response = HTTPResponse.text(.requestTimeout, "request took too long\n")
            response.closesConnection = true
            respond(response)
        case .handler:
            request?.cancel()
            var response = HTTPResponse.text(
                .serviceUnavailable, "answer took too long (--api-request-timeout)\n")
            response.closesConnection = true
            // Not to be used for another request while the handler still has it.
            keepsAlive = false
            respond(response)
        }
        connection?.flush()
    }

    /// Adds what this connection did since the last call, and one answer of class `status`.
    func count(_ connection: StreamConnection, status: Int?) {
        let received = connection.receivedByteCount &- countedReceived
        let sent = connection.sentByteCount &- countedSent
        countedReceived = connection.receivedByteCount
        countedSent = connection.sentByteCount
        owner.counters.update {
            $0.receivedBytes += received
            $0.sentBytes += sent
            if let status { $0.responses[status] += 1 }
        }
    }
}

extension HTTPResponse {
    /// All workers are busy and their queue is full.
    static var overloaded: HTTPResponse {
        tooMuch(.serviceUnavailable, "too many requests are waiting")
    }
}
