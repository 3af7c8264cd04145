import Wire

/// The HTTP client of one backend: requests with a deadline, answers whole.
struct BackendClient: Sendable {
    let endpoint: SinkEndpoint
    private let client: HTTPClient

    private static let bodyByteCountMax = 64 << 20

    init(_ endpoint: SinkEndpoint, environment: SinkEnvironment) {
        self.endpoint = endpoint
        let url = HTTPURL(
            endpoint.tls == nil ? .http : .https, host: endpoint.address.host,
            port: endpoint.address.port)
        let destination = HTTPDestination(url) { (deadline) throws(HTTPClientError) in
            do throws(SinkError) {
                return try BlockingConnection.dial(
                    endpoint, environment: environment, deadline: deadline)
            } catch {
                throw HTTPClientError(error, endpoint.address)
            }
        }
        client = HTTPClient(destination, timeouts: .deadlineAlone)
    }

    /// Closes what waits for the next request.
    func disconnect() { client.closeIdle() }

    /// - Parameter deadline: monotonic nanoseconds, for all of it.
    /// - Throws: when there is no complete answer; the request may or may not have been served.
    func perform(
        _ request: HTTPClientRequest, deadline: UInt64
    ) throws(SinkError) -> HTTPClientAnswer {
        var request = request
        request.deadline = deadline
        request.fields.append(("User-Agent", "heapwire-aggregator/\(HeapwireVersion.current)"))
        do throws(HTTPClientError) {
            return try client.send(request, bodyLimit: Self.bodyByteCountMax)
        } catch {
            throw SinkError(error)
        }
    }
}

extension HTTPClientError {
    fileprivate init(_ error: SinkError, _ address: HostAndPort) {
        switch error {
        case .transport(let error): self = .transport(error)
        case .tls(let error): self = .tls(error)
        case .endOfStream, .timedOut, .malformedAnswer, .backend, .cannotReadFile, .unavailable:
            self = .cannotConnect(reason: error.description)
        }
    }
}

extension SinkError {
    /// Why a request got no answer.
    init(_ error: HTTPClientError) {
        switch error {
        case .transport(let error): self = .transport(error)
        case .tls(let error): self = .tls(error)
        case .timedOut(let what, let host, _): self = .timedOut(what: "\(what.rawValue) \(host)")
        case .truncated: self = .endOfStream(what: "while answering")
        case .malformedResponse(let reason): self = .malformedAnswer(reason)
        case .bodyTooLarge: self = .malformedAnswer(error.description)
        case .malformedURL, .malformedField, .cannotConnect, .interrupted, .proxyRefused:
            self = .backend(error.description)
        }
    }
}
