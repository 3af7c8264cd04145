import Wire
import WireTLS

/// Where a client's requests go.
struct HTTPDestination: Sendable {
    let url: HTTPURL
    /// For https.
    let tls: TLSContext?
    let proxy: HTTPProxy?
    /// The name that the certificate must have, where it is not the URL's host.
    let serverName: String?
    /// Makes the byte stream, where that is not this client's to do; until a moment, monotonic
    /// nanoseconds.
    let dial: Dial?

    typealias Dial = @Sendable (_ deadline: UInt64) throws(HTTPClientError) -> any ByteStream

    init(
        _ url: HTTPURL, tls: TLSContext? = nil, proxy: HTTPProxy? = nil, serverName: String? = nil
    ) {
        self.url = url
        self.tls = tls
        self.proxy = proxy
        self.serverName = serverName
        dial = nil
    }

    /// - Parameter url: for the field `Host`.
    init(_ url: HTTPURL, dial: @escaping Dial) {
        self.url = url
        (tls, proxy, serverName) = (nil, nil, nil)
        self.dial = dial
    }
}

/// How long a client waits.
struct HTTPTimeouts: Sendable {
    /// For name, TCP and TLS together.
    var connectSeconds = 10
    /// For the answer to begin, and for the peer to take any byte of the request.
    var headSeconds = 30
    /// For the body to go on.
    var idleSeconds = 60
    /// For all of it, monotonic nanoseconds; each request brings its own.
    fileprivate(set) var deadline: UInt64?

    init(connectSeconds: Int = 10, headSeconds: Int = 30, idleSeconds: Int = 60) {
        self.connectSeconds = connectSeconds
        self.headSeconds = headSeconds
        self.idleSeconds = idleSeconds
    }

    /// For requests that have a deadline, which is enough.
    static let deadlineAlone = HTTPTimeouts(
        connectSeconds: 86_400, headSeconds: 86_400, idleSeconds: 86_400)
}

/// An HTTP/1.1 client of one destination: keeps connections for the next request, reads bodies as
/// they come. May be used from several threads, each of which waits for its own answer.
///
/// Follows no redirects: the servers meant here (apiserver, databases) make none, and credentials must
/// not wander.
final class HTTPClient: Sendable {
    let destination: HTTPDestination
    let timeouts: HTTPTimeouts
    private static let joinedByteCountMax = 16_384
    private let pool = ConnectionPool()

    init(_ destination: HTTPDestination, timeouts: HTTPTimeouts = HTTPTimeouts()) {
        self.destination = destination
        self.timeouts = timeouts
    }

    /// Sends a request and reads the answer's head. The body is the caller's to read.
    ///
    /// A kept connection that turns out to be closed is replaced once, for requests that may be
    /// repeated.
    func open(
        _ request: HTTPClientRequest, interruption: Interruption? = nil
    ) throws(HTTPClientError) -> HTTPClientResponse {
        let isForProxy = destination.proxy != nil && destination.url.scheme == .http
        var request = request
        if isForProxy, let authorization = destination.proxy?.authorization {
            request.fields.append((name: "Proxy-Authorization", value: authorization))
        }
        var bytes = try request.head(for: destination.url, absolute: isForProxy)
        // A small body goes in one packet with the head, a large one is not copied.
        let isSmall = request.body.count <= Self.joinedByteCountMax
        if isSmall { bytes += request.body }
        let body = isSmall ? [] : request.body
        var timeouts = timeouts
        timeouts.deadline = request.deadline
        if let kept = pool.take() {
            do throws(HTTPClientError) {
                return try exchange(request, bytes, body, kept, timeouts, interruption)
            } catch {
                guard request.isIdempotent, error.mayBeStaleConnection else { throw error }
            }
        }
        let fresh = try HTTPClientConnection.open(
            destination, timeouts: timeouts, interruption: interruption)
        return try exchange(request, bytes, body, fresh, timeouts, interruption)
    }

    private func exchange(
        _ request: HTTPClientRequest, _ head: [UInt8], _ body: [UInt8],
        _ connection: HTTPClientConnection, _ timeouts: HTTPTimeouts, _ interruption: Interruption?
    ) throws(HTTPClientError) -> HTTPClientResponse {
        do throws(HTTPClientError) {
            try connection.send(head, timeouts, interruption)
            if !body.isEmpty { try connection.send(body, timeouts, interruption) }
            let head = try connection.readHead(timeouts, interruption)
            return try HTTPClientResponse(
                head, to: request, connection, pool: pool, timeouts: timeouts,
                interruption: interruption)
        } catch {
            connection.close()
            throw error
        }
    }

    /// A request whose answer is small enough to be kept whole.
    func send(
        _ request: HTTPClientRequest, bodyLimit: Int = 1 << 20, interruption: Interruption? = nil
    ) throws(HTTPClientError) -> HTTPClientAnswer {
        let response = try open(request, interruption: interruption)
        var body: [UInt8] = []
        var isTooLarge = false
        try response.readBody { piece in
            guard body.count + piece.count <= bodyLimit else {
                isTooLarge = true
                return false
            }
            body.append(contentsOf: piece)
            return true
        }
        if isTooLarge { throw .bodyTooLarge(limit: bodyLimit) }
        return HTTPClientAnswer(head: response.head, body: body)
    }

    /// Closes the connections that wait for work.
    func closeIdle() { pool.removeAll() }
}

extension HTTPClientError {
    /// What a connection looks like that the peer closed while nobody used it.
    fileprivate var mayBeStaleConnection: Bool {
        switch self {
        case .truncated, .transport(.connectionFailed), .transport(.streamFailed): true
        default: false
        }
    }
}

/// Connections without work.
final class ConnectionPool: @unchecked Sendable {
    private let lock = Lock()
    private var idle: [HTTPClientConnection] = []

    private static let countMax = 8
    /// Less than servers usually wait before they close.
    private static let idleNanosecondsMax: UInt64 = 30_000_000_000

    func take() -> HTTPClientConnection? {
        while let connection = lock.withLock({ idle.popLast() }) {
            let age = Clock.system.monotonicNanoseconds &- connection.idleSince
            if age < Self.idleNanosecondsMax, connection.isStillUsable { return connection }
            connection.close()
        }
        return nil
    }

    func give(_ connection: HTTPClientConnection) {
        guard connection.restIfClean(now: Clock.system.monotonicNanoseconds) else {
            return connection.close()
        }
        let surplus = lock.withLock { () -> HTTPClientConnection? in
            idle.append(connection)
            return idle.count > Self.countMax ? idle.removeFirst() : nil
        }
        surplus?.close()
    }

    func removeAll() {
        let all = lock.withLock { () -> [HTTPClientConnection] in
            defer { idle = [] }
            return idle
        }
        for connection in all { connection.close() }
    }
}
