import Wire

/// One POST of JSON with an access token, to a path with the project in it.
struct GoogleBackend: HTTPSinkBackend {
    let endpoint: SinkEndpoint
    /// What stands around rows, where an answer of 200 can name some that were not taken.
    var rows: RequestEnvelope?
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
        guard response.status == 200, let rows else { return HTTPVerdict.byStatus(response) }
        guard let verdicts = ItemVerdicts(bigQuery: response.body) else {
            return .failed(reason: "the answer to insertAll is not JSON as documented")
        }
        // With skipInvalidRows the others were taken.
        return verdicts.outcome(of: request, in: rows)
    }
}
