import Wire

extension HTTPConnection {
    /// Larger bodies are compressed piece by piece, so that no loop is held for long.
    private static let wholeByteCountMax = 262_144

    /// Sends an answer to the request in work, or to one that could not be read.
    func respond(_ response: HTTPResponse) {
        guard let connection else { return }
        var body = response.body
        let isHead = request?.method == .head
        let isBodyless = response.status.forbidsBody
        keepsAlive =
            keepsAlive && request?.keepsAlive ?? false && !response.closesConnection
            && !owner.isDraining
        let coding = contentCoding(for: response)
        if coding != .identity, !isHead, !isBodyless {
            body = compressed(body, coding)
        } else if case .bytes(let bytes) = body, bytes.count > Self.wholeByteCountMax {
            body = .stream(SlicedProducer(bytes))
        }
        var framing = isBodyless ? .none : framing(of: body, response)
        // The length of the compressed form is not known without making it.
        if isHead, coding != .identity { framing = .none }
        if framing == .close { keepsAlive = false }
        let head = ResponseHead(
            response: response, framing: framing, coding: isBodyless ? .identity : coding,
            varies: response.isCompressible && isLarge(response.body),
            keepsAlive: keepsAlive, minorVersion: request?.minorVersion ?? 1)
        owner.updateDate()
        guard head.write(to: &connection.output, date: owner.date) else {
            return connection.close()
        }
        let hasBody = !isHead && !isBodyless
        count(connection, status: response.status.statusClass)
        send(hasBody ? body : .none, framing, connection)
    }

    private func send(
        _ body: HTTPBody, _ framing: ResponseFraming, _ connection: StreamConnection
    ) {
        switch body {
        case .none: finishResponse(connection)
        case .bytes(let bytes):
            guard connection.output.append(bytes) else { return connection.close() }
            finishResponse(connection)
        case .text(let text):
            guard connection.output.append(text) else { return connection.close() }
            finishResponse(connection)
        case .stream(let source): stream(source, framing, isSlow: false)
        case .slowStream(let source): stream(source, framing, isSlow: true)
        }
    }

    private func stream(
        _ source: any HTTPBodyProducer, _ framing: ResponseFraming, isSlow: Bool
    ) {
        phase = .streaming
        setDeadline(.write)
        let pump = ResponsePump(source, isChunked: framing == .chunked, isSlow: isSlow)
        producer = pump
        pump.pump(self)
    }

    private func framing(of body: HTTPBody, _ response: HTTPResponse) -> ResponseFraming {
        switch body {
        case .none: return .length(0)
        case .bytes(let bytes): return .length(bytes.count)
        case .text(let text): return .length(text.utf8CodeUnitCount)
        case .stream, .slowStream:
            if case .bytes(let bytes) = response.body, contentCoding(for: response) == .identity {
                return .length(bytes.count)
            }
            return request?.minorVersion == 0 ? .close : .chunked
        }
    }

    private func isLarge(_ body: HTTPBody) -> Bool {
        switch body {
        case .none: false
        case .bytes(let bytes): bytes.count >= owner.configuration.compressedByteCountMin
        case .text(let text):
            text.utf8CodeUnitCount >= owner.configuration.compressedByteCountMin
        case .stream, .slowStream: true
        }
    }

    private func contentCoding(for response: HTTPResponse) -> HTTPNegotiation.ContentCoding {
        guard response.isCompressible, let request, isLarge(response.body) else {
            return .identity
        }
        return HTTPNegotiation.contentCoding(of: request)
    }

    /// The compressed form; a body as it is cannot be returned, the head says otherwise already, so
    /// a lack of memory for zlib ends the process as any other would.
    private func compressed(_ body: HTTPBody, _ coding: HTTPNegotiation.ContentCoding) -> HTTPBody {
        guard let compressor = owner.compressors.take(coding) else {
            preconditionFailure("no memory for a compressor")
        }
        switch body {
        case .none: return .none
        case .text(let text):
            return whole(
                UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount),
                compressor)
        case .bytes(let bytes) where bytes.count <= Self.wholeByteCountMax:
            return bytes.withUnsafeBytes { whole($0, compressor) }
        case .bytes(let bytes):
            return .stream(CompressedProducer(SlicedProducer(bytes), compressor, owner.compressors))
        case .stream(let source):
            return .stream(CompressedProducer(source, compressor, owner.compressors))
        case .slowStream(let source):
            return .slowStream(CompressedProducer(source, compressor, owner.compressors))
        }
    }

    private func whole(_ bytes: UnsafeRawBufferPointer, _ compressor: Compressor) -> HTTPBody {
        var output: [UInt8] = []
        output.reserveCapacity(bytes.count / 4)
        compressor.compress(bytes, isLast: true, into: &output)
        owner.compressors.giveBack(compressor)
        return .bytes(output)
    }
}

/// Moves a producer's pieces into the output as fast as the client takes them, and no faster: of slow
/// ones one is made while another waits to be sent.
final class ResponsePump {
    /// No more pieces are made while so much waits.
    static let highWaterByteCount = 131_072
    /// Pieces per turn, so that other connections have theirs.
    private static let piecesPerTurn = 4

    private let source: any HTTPBodyProducer
    private let isChunked: Bool
    private let isSlow: Bool
    /// A piece is being made elsewhere, or a turn is booked.
    private var isWaiting = false

    init(_ source: any HTTPBodyProducer, isChunked: Bool, isSlow: Bool) {
        self.source = source
        self.isChunked = isChunked
        self.isSlow = isSlow
    }

    /// Goes on: at the start, when output has drained, when a piece is ready.
    func pump(_ owner: HTTPConnection) {
        guard !isWaiting, let connection = owner.connection else { return }
        for _ in 0..<Self.piecesPerTurn {
            guard connection.output.count < Self.highWaterByteCount else { return }
            if isSlow { return order(owner) }
            var piece = owner.owner.takePiece()
            let hasMore = source.produce(into: &piece)
            if source.hasFailed { return owner.giveUp() }
            let isOver = !take(piece, hasMore: hasMore, owner)
            owner.owner.giveBack(piece: piece)
            if isOver || !connection.output.isEmpty { return }
        }
        isWaiting = true
        let confined = LoopConfined((owner, self), to: owner.owner.loop)
        owner.owner.loop.post {
            let (owner, pump) = confined.value
            pump.isWaiting = false
            if owner.producer === pump { pump.pump(owner) }
        }
    }

    /// Has a worker make the next piece.
    private func order(_ owner: HTTPConnection) {
        isWaiting = true
        let loop = owner.owner.loop
        let confined = LoopConfined((owner, self), to: loop)
        let source = source
        let isTaken = owner.owner.workers.submit(isContinuation: true) {
            var made: [UInt8] = []
            let hasMore = source.produce(into: &made)
            let hasFailed = source.hasFailed
            let piece = made
            loop.post {
                let (owner, pump) = confined.value
                pump.isWaiting = false
                guard owner.producer === pump else { return }
                if hasFailed { return owner.giveUp() }
                // The next piece is made while this one is sent.
                if hasMore, let connection = owner.connection,
                    connection.output.count < Self.highWaterByteCount
                {
                    pump.order(owner)
                }
                if pump.take(piece, hasMore: hasMore, owner) { pump.pump(owner) }
            }
        }
        // The pool has stopped, and so does the server.
        if !isTaken { owner.close() }
    }

    /// Appends a piece. False when the answer is complete or the connection is gone.
    private func take(_ piece: [UInt8], hasMore: Bool, _ owner: HTTPConnection) -> Bool {
        guard let connection = owner.connection else { return false }
        guard append(piece, to: connection), hasMore || appendEnd(to: connection) else {
            connection.close()
            return false
        }
        if !hasMore { owner.finishResponse(connection) }
        connection.flush()
        guard !hasMore else { return owner.connection != nil }
        if owner.phase == .idle { connection.resumeReading() }
        return false
    }

    private func append(_ piece: [UInt8], to connection: StreamConnection) -> Bool {
        // A chunk of no bytes would be the end.
        guard !piece.isEmpty else { return true }
        guard isChunked else { return connection.output.append(piece) }
        guard let room = connection.output.room(forAtLeast: piece.count + 24) else { return false }
        var cursor = ByteCursor(room)
        cursor.append(hexadecimal: piece.count)
        cursor.append(literal: "\r\n")
        cursor.append(piece)
        cursor.append(literal: "\r\n")
        connection.output.commit(cursor.count)
        return true
    }

    private func appendEnd(to connection: StreamConnection) -> Bool {
        isChunked ? connection.output.append("0\r\n\r\n") : true
    }
}
