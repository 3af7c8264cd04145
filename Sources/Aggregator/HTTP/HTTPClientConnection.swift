import Glibc
import Wire
import WireTLS

/// One connection of a client, used by one thread at a time, which waits in `poll`.
///
/// Clients run on threads of their own (a watch, a sink), where waiting is simple and hurts nobody;
/// the event loops are for what there are thousands of.
final class HTTPClientConnection: @unchecked Sendable {
    // Handed from thread to thread by the client's pool, under its lock.
    private let stream: any ByteStream
    private let host: String
    private(set) var input: ByteQueue
    private(set) var idleSince: UInt64 = 0
    private var isOpen = true

    /// More than a head or a chunk's line; bodies are consumed as they come.
    private static let inputLimit = 1 << 18

    private init(_ stream: any ByteStream, host: String) {
        self.stream = stream
        self.host = host
        input = ByteQueue(byteCountMax: Self.inputLimit)
    }

    deinit { close() }

    // MARK: Opening

    /// Connects to the first address that answers, through TLS for https, by a proxy if there is one.
    static func open(
        _ destination: HTTPDestination, timeouts: HTTPTimeouts, interruption: Interruption?
    ) throws(HTTPClientError) -> HTTPClientConnection {
        let url = destination.url
        if let dial = destination.dial {
            return HTTPClientConnection(try dial(timeouts.deadline ?? .max), host: url.hostField)
        }
        let near = destination.proxy?.url ?? url
        let deadline = Deadline(
            seconds: timeouts.connectSeconds, .connecting, "\(near.hostAndPort)", timeouts)
        let socket = try connect(near.hostAndPort, deadline, interruption)
        guard url.scheme == .https else {
            return HTTPClientConnection(socket, host: url.hostField)
        }
        if let proxy = destination.proxy {
            try tunnel(through: proxy, to: url, socket, timeouts, interruption)
        }
        guard let context = destination.tls else {
            socket.close()
            throw .malformedURL(text: url.description, reason: "there are no TLS settings for it")
        }
        let name = destination.serverName ?? url.host
        let stream: TLSStream
        do {
            stream = try TLSStream(
                client: socket, context, peer: TLSStream.PeerName(name))
        } catch {
            socket.close()
            throw .tls(error)
        }
        let connection = HTTPClientConnection(stream, host: url.hostField)
        try connection.wait(deadline, interruption) { stream.establish() }
        return connection
    }

    private static func connect(
        _ target: HostAndPort, _ deadline: Deadline, _ interruption: Interruption?
    ) throws(HTTPClientError) -> SocketStream {
        let addresses: [SocketAddress]
        do {
            addresses = try target.resolve()
        } catch {
            throw .transport(error)
        }
        var failure: HTTPClientError?
        for address in addresses {
            do throws(HTTPClientError) {
                let socket = try begin(address)
                let connection = HTTPClientConnection(borrowing: socket, host: "\(address)")
                try connection.wait(deadline, interruption) { socket.establish() }
                connection.isOpen = false
                return socket
            } catch {
                if error == .interrupted { throw error }
                failure = error
            }
        }
        throw failure ?? .transport(.cannotResolve(host: target.host, code: EAI_NONAME, errno: 0))
    }

    private static func begin(_ address: SocketAddress) throws(HTTPClientError) -> SocketStream {
        do {
            return try SocketStream(connectingTo: address)
        } catch {
            throw .transport(error)
        }
    }

    /// For the time before TLS: whoever keeps the socket sets `isOpen` to false.
    private convenience init(borrowing socket: SocketStream, host: String) {
        self.init(socket, host: host)
    }

    /// Asks the proxy for a tunnel (RFC 9110, 9.3.6). Closes the socket if there is none.
    private static func tunnel(
        through proxy: HTTPProxy, to url: HTTPURL, _ socket: SocketStream,
        _ timeouts: HTTPTimeouts, _ interruption: Interruption?
    ) throws(HTTPClientError) {
        let connection = HTTPClientConnection(borrowing: socket, host: proxy.url.hostField)
        // Closed with this object unless the tunnel stands.
        defer { connection.close() }
        var request = "CONNECT \(url.hostAndPort) HTTP/1.1\r\nHost: \(url.hostAndPort)\r\n"
        if let authorization = proxy.authorization {
            request += "Proxy-Authorization: \(authorization)\r\n"
        }
        try connection.send(Array((request + "\r\n").utf8), timeouts, interruption)
        let head = try connection.readHead(timeouts, interruption)
        guard head.status / 100 == 2 else {
            throw .proxyRefused(proxy: proxy.url.hostField, status: head.status)
        }
        guard connection.input.isEmpty else {
            throw .malformedResponse(reason: "the proxy spoke before the tunnel's far end did")
        }
        connection.isOpen = false
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        stream.close()
    }

    // MARK: Idle

    /// Whether it can be used again: nothing unread and the peer has neither closed nor spoken.
    func restIfClean(now: UInt64) -> Bool {
        guard isOpen, input.isEmpty, !stream.hasBufferedInput else { return false }
        input.releaseWhenEmpty()
        idleSince = now
        return true
    }

    var isStillUsable: Bool {
        var entry = pollfd(fd: stream.descriptor, events: Int16(POLLIN), revents: 0)
        return isOpen && poll(&entry, 1, 0) == 0
    }

    // MARK: Bytes

    func send(
        _ bytes: [UInt8], _ timeouts: HTTPTimeouts, _ interruption: Interruption?
    ) throws(HTTPClientError) {
        var offset = 0
        while offset < bytes.count {
            // Anew for each piece: a slow peer is fine, one that takes nothing is not.
            let deadline = Deadline(
                seconds: timeouts.headSeconds, .sending, host, timeouts)
            try wait(deadline, interruption) {
                let outcome = bytes.withUnsafeBytes {
                    stream.write(UnsafeRawBufferPointer(rebasing: $0[offset...]))
                }
                if case .done(let count) = outcome { offset += count }
                return outcome
            }
        }
    }

    /// Reads what there is, at least a byte; false at the peer's end.
    func receive(
        _ deadline: Deadline, _ interruption: Interruption?
    ) throws(HTTPClientError) -> Bool {
        guard let room = input.room(forAtLeast: 16_384) else {
            throw .malformedResponse(reason: "a part of it is longer than \(Self.inputLimit) bytes")
        }
        var count = 0
        var isAtEnd = false
        try wait(deadline, interruption) {
            let outcome = stream.read(into: room)
            if case .done(let moved) = outcome { count = moved }
            if outcome == .endOfStream {
                isAtEnd = true
                return .done(0)
            }
            return outcome
        }
        input.commit(count)
        return !isAtEnd
    }

    func consume(_ byteCount: Int) { input.consume(byteCount) }

    /// The head of the answer; interim answers are passed over.
    func readHead(
        _ timeouts: HTTPTimeouts, _ interruption: Interruption?
    ) throws(HTTPClientError) -> HTTPClientHead {
        let limits = HTTPLimits()
        let deadline = Deadline(seconds: timeouts.headSeconds, .answer, host, timeouts)
        for _ in 0..<8 {
            var scanner = HeadScanner()
            var byteCount: Int?
            while byteCount == nil {
                do {
                    let progress = try scanner.scan(input.readable, limits: limits)
                    if case .complete(let count) = progress { byteCount = count }
                } catch {
                    throw .malformedResponse(reason: error.reason.description)
                }
                if byteCount == nil, try !receive(deadline, interruption) {
                    throw .truncated(host: host)
                }
            }
            let count = byteCount ?? 0
            let head = try HTTPClientHead(
                parsing: UnsafeRawBufferPointer(rebasing: input.readable[..<count]))
            input.consume(count)
            if head.status >= 200 || head.status == 101 { return head }
        }
        throw .malformedResponse(reason: "too many interim answers")
    }

    // MARK: Waiting

    /// A moment after which waiting ends, and what is said then.
    struct Deadline {
        let nanoseconds: UInt64
        let what: HTTPClientError.TimedOut
        let host: String
        let seconds: Int

        /// - Parameter timeouts: whose own deadline may come before.
        init(
            seconds: Int, _ what: HTTPClientError.TimedOut, _ host: String,
            _ timeouts: HTTPTimeouts
        ) {
            let now = Clock.system.monotonicNanoseconds
            let end = now + UInt64(seconds) * 1_000_000_000
            nanoseconds = min(end, timeouts.deadline ?? end)
            self.what = what
            self.host = host
            self.seconds = Int((max(nanoseconds, now) - now + 500_000_000) / 1_000_000_000)
        }
    }

    /// Repeats a step until it is done. Closes the connection on every failure.
    private func wait(
        _ deadline: Deadline, _ interruption: Interruption?, _ step: () -> StreamOutcome
    ) throws(HTTPClientError) {
        while true {
            let events: Int32
            switch step() {
            case .done: return
            case .wantsRead: events = POLLIN
            case .wantsWrite: events = POLLOUT
            case .endOfStream:
                close()
                throw .truncated(host: host)
            case .failed(let error):
                close()
                throw .transport(error)
            }
            let now = Clock.system.monotonicNanoseconds
            if interruption?.isInterrupted == true {
                close()
                throw .interrupted
            }
            guard now < deadline.nanoseconds else {
                close()
                throw .timedOut(what: deadline.what, host: deadline.host, seconds: deadline.seconds)
            }
            var entries = [pollfd(fd: stream.descriptor, events: Int16(events), revents: 0)]
            if let interruption {
                entries.append(
                    pollfd(fd: interruption.descriptor, events: Int16(POLLIN), revents: 0))
            }
            let left = (deadline.nanoseconds - now + 999_999) / 1_000_000
            poll(&entries, nfds_t(entries.count), Int32(clamping: left))
        }
    }
}
