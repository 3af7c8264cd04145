import CZlib
import Wire

/// An answer whose body is still to be read. One that is let go unread closes its connection.
final class HTTPClientResponse {
    let head: HTTPClientHead
    var status: Int { head.status }
    private let connection: HTTPClientConnection
    private let pool: ConnectionPool
    private let interruption: Interruption?
    private let timeouts: HTTPTimeouts
    private let idleSeconds: Int
    private let host: String
    private let framing: HTTPClientHead.Framing
    private var decoder: BodyDecoder?
    private let inflater: Inflater?
    private var isFinished = false

    init(
        _ head: HTTPClientHead, to request: HTTPClientRequest, _ connection: HTTPClientConnection,
        pool: ConnectionPool, timeouts: HTTPTimeouts, interruption: Interruption?
    ) throws(HTTPClientError) {
        self.head = head
        self.connection = connection
        self.pool = pool
        self.interruption = interruption
        self.timeouts = timeouts
        idleSeconds = request.idleSeconds ?? timeouts.idleSeconds
        host = "the server"
        framing = try head.framing(of: request.method)
        switch framing {
        case .none, .untilClose: decoder = nil
        case .length(let count): decoder = BodyDecoder(contentLength: count)
        case .chunked: decoder = BodyDecoder(chunked: ())
        }
        switch head["content-encoding"]?.lowercased() {
        case nil, "identity": inflater = nil
        case "gzip":
            guard let made = Inflater() else {
                throw .malformedResponse(reason: "no memory to decompress it")
            }
            inflater = made
        case let other:
            throw .malformedResponse(reason: "its content coding is \(other ?? "")")
        }
        if framing == .none { finish() }
    }

    deinit { if !isFinished { connection.close() } }

    /// Reads the body to its end, or until `consume` returns false, which closes the connection.
    ///
    /// Pieces are valid during the call. Nothing is kept, so a body may be of any length.
    func readBody(
        _ consume: (UnsafeRawBufferPointer) -> Bool
    ) throws(HTTPClientError) {
        var limits = HTTPLimits()
        limits.bodyByteCountMax = .max
        while !isFinished {
            if !connection.input.isEmpty {
                guard try take(limits, consume) else { return cancel() }
                if decoder?.isComplete == true {
                    if inflater?.isBetweenMembers == false { throw truncated() }
                    return finish()
                }
                // What is left is looked at before more is waited for: there may be no more.
                continue
            }
            if decoder?.isComplete == true {
                return finish()
            }
            let deadline = HTTPClientConnection.Deadline(
                seconds: idleSeconds, .body, host, timeouts)
            if try !connection.receive(deadline, interruption) {
                guard framing == .untilClose, inflater?.isBetweenMembers ?? true else {
                    throw truncated()
                }
                return cancel()
            }
        }
    }

    /// Gives up the rest.
    func cancel() {
        isFinished = true
        connection.close()
    }

    private func take(
        _ limits: HTTPLimits, _ consume: (UnsafeRawBufferPointer) -> Bool
    ) throws(HTTPClientError) -> Bool {
        var goesOn = true
        var isCorrupt = false
        func pass(_ piece: UnsafeRawBufferPointer) {
            guard goesOn, !isCorrupt else { return }
            if let inflater {
                isCorrupt = !inflater.inflate(piece) { decoded in
                    if goesOn { goesOn = consume(decoded) }
                    return goesOn
                }
            } else {
                goesOn = consume(piece)
            }
        }
        let bytes = connection.input.readable
        var count = bytes.count
        if decoder != nil {
            do {
                count = try decoder?.consume(bytes, limits: limits, pass) ?? 0
            } catch {
                cancel()
                throw .malformedResponse(reason: error.reason.description)
            }
        } else {
            pass(bytes)
        }
        connection.consume(count)
        if isCorrupt {
            cancel()
            throw .malformedResponse(reason: "its gzip data is damaged")
        }
        // A line that has not ended is left: more must come before it is looked at again.
        if goesOn, count == 0 {
            let deadline = HTTPClientConnection.Deadline(
                seconds: idleSeconds, .body, host, timeouts)
            if try !connection.receive(deadline, interruption) { throw truncated() }
        }
        return goesOn
    }

    private func truncated() -> HTTPClientError {
        cancel()
        return .truncated(host: host)
    }

    private func finish() {
        guard !isFinished else { return }
        isFinished = true
        if head.keepsAlive { pool.give(connection) } else { connection.close() }
    }
}

/// Decompresses gzip, in pieces of any size; several members in a row are one text.
final class Inflater {
    private let stream: UnsafeMutablePointer<z_stream>
    private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
    /// Whether the data may end here.
    private(set) var isBetweenMembers = true

    init?() {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard hw_gunzip_init(stream) == Z_OK else {
            stream.deallocate()
            room.deallocate()
            return nil
        }
    }

    deinit {
        inflateEnd(stream)
        stream.deallocate()
        room.deallocate()
    }

    /// False for data that is not gzip. Stops early when `consume` returns false.
    func inflate(
        _ piece: UnsafeRawBufferPointer, _ consume: (UnsafeRawBufferPointer) -> Bool
    ) -> Bool {
        let start = piece.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.next_in = start.map { UnsafeMutablePointer(mutating: $0) }
        stream.pointee.avail_in = UInt32(piece.count)
        repeat {
            stream.pointee.next_out = room.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = UInt32(room.count)
            if stream.pointee.avail_in > 0 { isBetweenMembers = false }
            let result = CZlib.inflate(stream, Z_NO_FLUSH)
            let count = room.count - Int(stream.pointee.avail_out)
            if count > 0, !consume(UnsafeRawBufferPointer(rebasing: room[..<count])) {
                return true
            }
            switch result {
            case Z_OK: break
            case Z_BUF_ERROR: return stream.pointee.avail_in == 0
            case Z_STREAM_END:
                isBetweenMembers = true
                guard inflateReset(stream) == Z_OK else { return false }
            default: return false
            }
        } while stream.pointee.avail_in > 0 || stream.pointee.avail_out == 0
        return true
    }
}
