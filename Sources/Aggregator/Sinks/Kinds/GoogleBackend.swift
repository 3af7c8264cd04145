import Wire

/// One POST of JSON with an access token, to a path with the project in it.
struct GoogleBackend: HTTPSinkBackend {
    let endpoint: SinkEndpoint
    /// What an answer means, where its status is not enough.
    var verdict: @Sendable (HTTPClientAnswer, SinkRequest) -> DeliveryOutcome = { response, _ in
        HTTPVerdict.byStatus(response)
    }
    private var credentials: GoogleCredentials
    private let path: @Sendable (String) -> String
    private var authorization: [(name: String, value: String)] = []

    init(
        _ options: SinkOptions, kind: String, scope: String, server: String,
        path: @escaping @Sendable (String) -> String
    ) throws(SinkConfigurationError) {
        credentials = try GoogleCredentials(options, kind: kind, scope: scope)
        self.path = path
        let uri = try SinkURI(
            parsing: "\(kind):\(options.string("api", default: "https://\(server)"))")
        let isSecure = uri.scheme != "http"
        endpoint = SinkEndpoint(
            address: HostAndPort(host: uri.host, port: uri.port ?? (isSecure ? 443 : 80)),
            tls: isSecure ? SinkTLS() : nil)
    }

    mutating func deliver(
        _ request: SinkRequest, _ exchange: HTTPExchange
    ) throws(SinkError) -> DeliveryOutcome? {
        authorization = try credentials.fields(exchange)
        _ = try credentials.findProject(exchange)
        return nil
    }

    /// A token and the project; writing nothing is an error in these interfaces.
    mutating func probe(_ exchange: HTTPExchange) throws(SinkError) -> HTTPClientAnswer? {
        authorization = try credentials.fields(exchange)
        _ = try credentials.findProject(exchange)
        return nil
    }

    func httpRequest(for request: SinkRequest) throws(SinkError) -> HTTPClientRequest {
        HTTPClientRequest(
            .post, path(credentials.project ?? ""),
            fields: authorization + [("Content-Type", "application/json")], body: request.body)
    }

    func judge(_ response: HTTPClientAnswer, _ request: SinkRequest) -> DeliveryOutcome {
        verdict(response, request)
    }

    /// `timeSeries.create`: a request can be written in part, whatever the status.
    static func judgeTimeSeries(
        _ response: HTTPClientAnswer, _ request: SinkRequest
    ) -> DeliveryOutcome {
        let byStatus = HTTPVerdict.byStatus(response)
        guard byStatus != .accepted,
            let verdicts = ItemVerdicts(
                monitoring: response.body, itemCount: request.pointCount)
        else { return byStatus }
        if verdicts.failures.count == request.pointCount,
            verdicts.failures.allSatisfy(\.isTransient)
        {
            return .failed(
                reason: "HTTP \(response.status) \(response.excerpt)",
                retryAfterSeconds: response.retryAfterSeconds)
        }
        return verdicts.outcome(of: request, in: TimeSeriesWriter.envelope)
    }
}
