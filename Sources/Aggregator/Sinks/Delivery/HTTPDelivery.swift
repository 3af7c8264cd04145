import Wire

/// What one backend's protocol over HTTP asks for. Belongs to one delivery and its thread.
protocol HTTPSinkBackend {
    /// Makes the backend ready (databases, templates); before the first request and again after
    /// `needsPreparation`.
    mutating func prepare(_ exchange: HTTPExchange) throws(SinkError)
    /// The HTTP request that carries a request. Secrets are read here.
    mutating func httpRequest(for request: SinkRequest) throws(SinkError) -> HTTPClientRequest
    /// What an answer means for the request.
    func judge(_ response: HTTPClientAnswer, _ request: SinkRequest) -> DeliveryOutcome
    /// Asks more where an answer leaves open what became of parts of the request; `nil` where `judge` is enough.
    mutating func inquire(
        after response: HTTPClientAnswer, _ request: SinkRequest, _ exchange: HTTPExchange
    ) -> DeliveryOutcome?
    /// Whether an answer says that what `prepare` made is gone.
    mutating func needsPreparation(after response: HTTPClientAnswer) -> Bool
    /// Asks a server which others there are; `nil` where nobody wants to know. Asked anew every quarter
    /// of an hour.
    mutating func findServers(_ exchange: HTTPExchange) throws(SinkError) -> [SinkEndpoint]?
    /// Delivers one request where that takes several exchanges; `nil` for one.
    mutating func deliver(
        _ request: SinkRequest, _ exchange: HTTPExchange
    ) throws(SinkError) -> DeliveryOutcome?
    /// The answer to a harmless request with the credentials of a delivery; `nil` where the
    /// protocol has none.
    mutating func probe(_ exchange: HTTPExchange) throws(SinkError) -> HTTPClientAnswer?
}

extension HTTPSinkBackend {
    mutating func prepare(_ exchange: HTTPExchange) throws(SinkError) {}
    mutating func needsPreparation(after response: HTTPClientAnswer) -> Bool { false }
    mutating func findServers(_ exchange: HTTPExchange) throws(SinkError) -> [SinkEndpoint]? { nil }
    func judge(_ response: HTTPClientAnswer, _ request: SinkRequest) -> DeliveryOutcome {
        HTTPVerdict.byStatus(response)
    }
    mutating func inquire(
        after response: HTTPClientAnswer, _ request: SinkRequest, _ exchange: HTTPExchange
    ) -> DeliveryOutcome? { nil }
    mutating func deliver(
        _ request: SinkRequest, _ exchange: HTTPExchange
    ) throws(SinkError) -> DeliveryOutcome? { nil }
    mutating func probe(_ exchange: HTTPExchange) throws(SinkError) -> HTTPClientAnswer? { nil }
}

/// One exchange after the other with a server, under one deadline.
struct HTTPExchange {
    private let client: BackendClient
    private let deadline: UInt64
    let environment: SinkEnvironment
    private let signer: (any HTTPRequestSigner)?

    init(
        _ client: BackendClient, deadline: UInt64, environment: SinkEnvironment,
        signer: (any HTTPRequestSigner)? = nil
    ) {
        self.client = client
        self.deadline = deadline
        self.environment = environment
        self.signer = signer
    }

    func callAsFunction(_ request: HTTPClientRequest) throws(SinkError) -> HTTPClientAnswer {
        var request = request
        if let signer {
            let now = Int64(environment.clock.realtimeNanoseconds / 1_000_000_000)
            request = try signer.sign(request, to: client.endpoint, unixSeconds: now)
        }
        return try client.perform(request, deadline: deadline)
    }

    /// An exchange with another server, for credentials.
    func other(
        _ endpoint: SinkEndpoint, _ request: HTTPClientRequest
    ) throws(SinkError) -> HTTPClientAnswer {
        try BackendClient(endpoint, environment: environment)
            .perform(request, deadline: deadline)
    }
}

/// Statuses as most backends mean them.
enum HTTPVerdict {
    /// What a person can do about a status that is no success.
    static func remedy(_ status: Int) -> String {
        switch status {
        case 401: "give the sink credentials that the server knows"
        case 403: "give the sink's user the right to write"
        case 404: "check the path of the sink's URI: nothing answers there"
        case 429: "the server refuses for its rate limit; raise the limit or the sink's interval"
        case 500...: "the server has a problem of its own; see its log"
        default: "check the sink's address and options against the server's documentation"
        }
    }

    static func byStatus(_ response: HTTPClientAnswer) -> DeliveryOutcome {
        let reason = "HTTP \(response.status) \(response.excerpt)"
        switch response.status {
        case 200..<300: return .accepted
        // What is wrong is the request itself; it would be refused for ever.
        case 400, 405, 406, 409, 410, 411, 413, 414, 415, 422: return .refused(reason: reason)
        // Credentials, addresses and quotas can be put right without losing anything.
        default: return .failed(reason: reason, retryAfterSeconds: response.retryAfterSeconds)
        }
    }
}

/// Delivers over HTTP.
final class HTTPDelivery<Backend: HTTPSinkBackend>: SinkDelivery {
    private var backend: Backend
    /// Those of the configuration.
    let endpoints: [SinkEndpoint]
    /// Those that were found, if any, and then those of the configuration.
    private var clients: [BackendClient]
    private let environment: SinkEnvironment
    private let signer: (any HTTPRequestSigner)?
    /// Which server is used; the next one after a failure.
    private var serverIndex = 0
    private var isPrepared = false
    /// Whether the last answer said that something has to be made, too.
    private var wasJustPrepared = false
    /// When servers are looked for again, monotonic nanoseconds.
    private var searchAt: UInt64 = 0

    private static var searchIntervalNanoseconds: UInt64 { 900_000_000_000 }
    private static var serverCountMax: Int { 256 }

    /// - Parameters:
    ///   - endpoints: servers of which any will do.
    ///   - signer: what each request passes last.
    init(
        _ backend: Backend, _ endpoints: [SinkEndpoint], environment: SinkEnvironment,
        signer: (any HTTPRequestSigner)? = nil
    ) {
        precondition(!endpoints.isEmpty)
        self.backend = backend
        self.endpoints = endpoints
        self.environment = environment
        self.signer = signer
        clients = endpoints.map { BackendClient($0, environment: environment) }
    }

    func disconnect() {
        for client in clients { client.disconnect() }
    }

    private func exchange(_ deadline: UInt64) -> HTTPExchange {
        HTTPExchange(
            clients[serverIndex], deadline: deadline, environment: environment, signer: signer)
    }

    private func prepare(_ exchange: HTTPExchange) throws(SinkError) {
        if !isPrepared {
            try backend.prepare(exchange)
            isPrepared = true
        }
        let now = environment.clock.monotonicNanoseconds
        guard now >= searchAt, let found = try backend.findServers(exchange) else { return }
        searchAt = now + Self.searchIntervalNanoseconds
        let all = found + endpoints.filter { !found.contains($0) }
        clients = all.prefix(Self.serverCountMax).map { endpoint in
            clients.first { $0.endpoint == endpoint }
                ?? BackendClient(endpoint, environment: environment)
        }
        // Not all who look for servers begin with the first one.
        let count = UInt64(max(1, min(found.count, clients.count)))
        serverIndex = Int(now / 1_000 % count)
    }

    func deliver(_ request: SinkRequest, deadline: UInt64) -> DeliveryOutcome {
        do throws(SinkError) {
            try prepare(self.exchange(deadline))
            let exchange = self.exchange(deadline)
            if let outcome = try backend.deliver(request, exchange) { return outcome }
            let response = try exchange(backend.httpRequest(for: request))
            if backend.needsPreparation(after: response) {
                isPrepared = false
                let reason = "HTTP \(response.status) \(response.excerpt)"
                // Once at once; if that did not help, later.
                defer { wasJustPrepared = true }
                return .failed(reason: reason, retryAfterSeconds: wasJustPrepared ? nil : 0)
            }
            wasJustPrepared = false
            let outcome =
                backend.inquire(after: response, request, exchange)
                ?? backend.judge(response, request)
            if case .failed = outcome { nextServer() }
            return outcome
        } catch {
            nextServer()
            return .failed(reason: error.description)
        }
    }

    private func nextServer() { serverIndex = (serverIndex + 1) % clients.count }

    func probe(deadline: UInt64) -> SinkProbe {
        do throws(SinkError) {
            guard let response = try backend.probe(exchange(deadline)) else {
                return .untested(reason: "the protocol has no request that changes nothing")
            }
            if (200..<300).contains(response.status) { return .passed }
            return .failed(
                problem: "HTTP \(response.status) \(response.excerpt)",
                remedy: HTTPVerdict.remedy(response.status))
        } catch {
            return .failed(
                problem: error.description,
                remedy: "check the address and the sink's options against the server's log")
        }
    }
}
