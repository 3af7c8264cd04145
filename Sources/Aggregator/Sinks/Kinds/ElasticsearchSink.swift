import Wire

extension SinkDefinition {
    static let elasticsearch = elasticsearch(kind: "elasticsearch")
    /// The same protocol under the other name.
    static let openSearch = elasticsearch(kind: "opensearch")

    private static func elasticsearch(kind: String) -> SinkDefinition {
        SinkDefinition(
            kind, "Elasticsearch 5 to 9 and OpenSearch by _bulk",
            [
                SinkOption("nodes", "a server's URL; may be repeated", repeatable: true),
                SinkOption("index", "index or data stream; default heapster"),
                SinkOption("data_stream", "true: a data stream instead of an index a day"),
                SinkOption("pipeline", "ingest pipeline"),
                SinkOption("esUserName", "user name"),
                SinkOption("esUserSecret", "password", secret: true),
                SinkOption("api_key", "API key, as base64 of id:key", secret: true),
                SinkOption("ver", "accepted for Heapster's sake: the server is asked"),
                SinkOption("sniff", "true: ask the servers for all others; default false"),
                SinkOption("healthCheck", "accepted: a failing server is left at once"),
                SinkOption("startupHealthcheckTimeout", "accepted: starting never waits"),
                SinkOption("maxRetries", "accepted: a request is tried until it arrives"),
                SinkOption("bulkWorkers", "requests in flight; default 1"),
                SinkOption("gzip", "true: compress"),
            ] + AWSSigner.options + SinkOption.tls
        ) { (uri, options) throws(SinkConfigurationError) in
            try make(uri, options)
        }
    }

    private static func make(
        _ uri: SinkURI, _ options: SinkOptions
    ) throws(SinkConfigurationError) -> SinkPlan {
        var target = try HTTPTarget(uri, options, defaultHost: "localhost", defaultPort: 9_200)
        var endpoints: [SinkEndpoint] = []
        for node in options.strings("nodes") {
            let parsed = try SinkURI(parsing: "\(uri.kind):\(node)")
            endpoints += try HTTPTarget(
                parsed, options, defaultHost: nil, defaultPort: 9_200
            ).endpoints
        }
        if !endpoints.isEmpty { target.endpoints = endpoints }
        let servers = target.endpoints
        let signer = try AWSSigner(options, kind: uri.kind)
        let backend = try ElasticsearchBackend(
            options, basePath: target.basePath, tls: servers[0].tls, isSigned: signer != nil)
        let encoder = ElasticsearchEncoder(
            clusterName: options.string("cluster_name", default: "default"),
            isDataStream: backend.isDataStream)
        return SinkPlan(
            encoder: encoder, order: .freshestFirst, overwrites: !backend.isDataStream,
            concurrency: try options.integer("bulkWorkers", default: 1, in: 1...64)
        ) { HTTPDelivery(backend, servers, environment: $0, signer: signer) }
    }
}

/// `_bulk` of Elasticsearch 5 to 9 and OpenSearch. The server is asked for its version, and a template
/// of that version's shape is installed before the first document.
struct ElasticsearchBackend: HTTPSinkBackend {
    let isDataStream: Bool
    private let index: String
    private let pipeline: String?
    private let basePath: String
    private let credentials: HTTPCredentials
    private let isCompressed: Bool
    private let sniffs: Bool
    private let tls: SinkTLS?
    /// `nil` until the server was asked.
    private var version: ElasticsearchVersion?

    /// - Parameters:
    ///   - tls: for servers that are found.
    ///   - isSigned: whether requests are signed. The services that want it do not show their nodes.
    init(
        _ options: SinkOptions, basePath: String, tls: SinkTLS?, isSigned: Bool
    ) throws(SinkConfigurationError) {
        self.tls = tls
        sniffs = try options.boolean("sniff", default: false) && !isSigned
        isDataStream = try options.boolean("data_stream", default: false)
        index = options.string("index", default: "heapster")
        pipeline = options.string("pipeline")
        self.basePath = basePath
        isCompressed = try options.boolean("gzip", default: false)
        if let key = options.secret("api_key") {
            credentials = .token(scheme: "ApiKey", key)
        } else if let user = options.string("esUserName") {
            credentials = .basic(user: user, password: try options.requiredSecret("esUserSecret"))
        } else {
            credentials = .none
        }
    }

    mutating func prepare(_ exchange: HTTPExchange) throws(SinkError) {
        let answer = try call(exchange, .get, "/", "")
        guard answer.status / 100 == 2 else {
            throw .backend("cannot ask for the version: HTTP \(answer.status) \(answer.excerpt)")
        }
        let version = try ElasticsearchVersion(rootDocument: answer.body)
        if isDataStream, !version.hasDataStreams {
            throw .backend("data streams need Elasticsearch 7.9; this is \(version)")
        }
        self.version = version
        let name = "heapwire-\(URLText.encode(index))"
        let path =
            version.hasComposableTemplates ? "/_index_template/\(name)" : "/_template/\(name)"
        let response = try call(exchange, .put, path, template(version))
        guard response.status / 100 == 2 else {
            throw .backend(
                "cannot install the template: HTTP \(response.status) \(response.excerpt)")
        }
    }

    /// The addresses under which nodes say that they can be reached
    /// (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-nodes-info>).
    mutating func findServers(_ exchange: HTTPExchange) throws(SinkError) -> [SinkEndpoint]? {
        guard sniffs else { return nil }
        let answer = try call(exchange, .get, "/_nodes/http", "")
        guard answer.status == 200, let addresses = NodesAnswer.addresses(in: answer.body) else {
            throw .backend("cannot ask for nodes: HTTP \(answer.status) \(answer.excerpt)")
        }
        return addresses.map { SinkEndpoint(address: $0, tls: tls) }
    }

    /// The root document, which wants credentials but nothing else.
    mutating func probe(_ exchange: HTTPExchange) throws(SinkError) -> HTTPClientAnswer? {
        try call(exchange, .get, "/", "")
    }

    private func call(
        _ exchange: HTTPExchange, _ method: HTTPMethod, _ path: String, _ body: String
    ) throws(SinkError) -> HTTPClientAnswer {
        var fields = try credentials.fields()
        if !body.isEmpty { fields.append(("Content-Type", "application/json")) }
        return try exchange(
            HTTPClientRequest(method, basePath + path, fields: fields, body: Array(body.utf8)))
    }

    /// Texts are kept as they are, values are doubles, so that no document meets a mapping of
    /// another type.
    private func template(_ version: ElasticsearchVersion) -> String {
        let properties = """
            "dynamic_templates":[\
            {"values":{"path_match":"*.value","mapping":{"type":"double"}}},\
            {"texts":{"match_mapping_type":"string","mapping":{"type":"keyword"}}}],\
            "properties":{"@timestamp":{"type":"date"}}
            """
        let pattern = isDataStream ? index : "\(index)-*"
        if version.hasComposableTemplates {
            let stream = isDataStream ? ",\"data_stream\":{}" : ""
            return "{\"index_patterns\":[\"\(pattern)\"],\"priority\":200\(stream),"
                + "\"template\":{\"mappings\":{\(properties)}}}"
        }
        let patterns =
            version.major < 6
            ? "\"template\":\"\(pattern)\"" : "\"index_patterns\":[\"\(pattern)\"]"
        let mappings = version.hasTypes ? "{\"doc\":{\(properties)}}" : "{\(properties)}"
        return "{\(patterns),\"mappings\":\(mappings)}"
    }

    func httpRequest(for request: SinkRequest) throws(SinkError) -> HTTPClientRequest {
        var path = "/\(URLText.encode(isDataStream ? index : dailyIndex(of: request.cycle)))"
        if version?.hasTypes == true { path += "/doc" }
        path += "/_bulk"
        if let pipeline { path += "?pipeline=\(URLText.encode(pipeline))" }
        var fields = try credentials.fields()
        fields.append(("Content-Type", "application/x-ndjson"))
        var body = request.body
        if isCompressed {
            fields.append(("Content-Encoding", "gzip"))
            body = BodyPacking.gzip.pack(body)
        }
        return HTTPClientRequest(.post, basePath + path, fields: fields, body: body)
    }

    /// `heapster-2026.01.31`.
    private func dailyIndex(of cycle: Int64) -> String {
        let day = RFC3339.string(milliseconds: cycle).prefix(10)
        return "\(index)-\(String(day.map { $0 == "-" ? "." : $0 }))"
    }

    /// The index, or what a template names, was taken away.
    mutating func needsPreparation(after response: HTTPClientAnswer) -> Bool {
        response.status == 404
    }

    func judge(_ response: HTTPClientAnswer, _ request: SinkRequest) -> DeliveryOutcome {
        guard response.status == 200 else { return HTTPVerdict.byStatus(response) }
        guard let items = BulkAnswer.failures(in: response.body) else {
            return .failed(reason: "the answer to _bulk is not JSON as documented")
        }
        return BulkAnswer.outcome(of: request, failures: items)
    }
}
