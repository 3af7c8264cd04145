import Wire

/// A backend to which a request is one POST, always to the same path.
struct PostBackend: HTTPSinkBackend {
    var target: String
    var fields: [(name: String, value: String)]
    var credentials: HTTPCredentials = .none
    /// What an answer means, where its status is not enough.
    var verdict: @Sendable (HTTPSinkResponse, SinkRequest) -> DeliveryOutcome = { response, _ in
        HTTPVerdict.byStatus(response)
    }
    /// A body without any point, which the server takes or refuses as it would another; `nil`
    /// where it takes none.
    var emptyBody: [UInt8]?

    mutating func probe(_ exchange: HTTPExchange) throws(SinkError) -> HTTPSinkResponse? {
        guard let emptyBody else { return nil }
        return try exchange(
            httpRequest(for: SinkRequest(cycle: 0, pointCount: 0, body: emptyBody)))
    }

    func judge(_ response: HTTPSinkResponse, _ request: SinkRequest) -> DeliveryOutcome {
        verdict(response, request)
    }

    func httpRequest(for request: SinkRequest) throws(SinkError) -> HTTPSinkRequest {
        HTTPSinkRequest(
            "POST", target, fields: try credentials.fields() + fields, body: request.body)
    }
}

extension HTTPCredentials {
    /// The options that sinks with the usual credentials have.
    static let options = [
        SinkOption("user", "user name"),
        SinkOption("pw", "password", secret: true),
        SinkOption("token", "bearer token", secret: true),
    ]

    init(_ options: SinkOptions) throws(SinkConfigurationError) {
        if let token = options.secret("token") {
            self = .token(scheme: "Bearer", token)
        } else if let user = options.string("user") {
            self = .basic(user: user, password: try options.requiredSecret("pw"))
        } else {
            self = .none
        }
    }
}

extension SinkDefinition {
    /// Prometheus remote write, 1.0 and 2.0.
    static let remoteWrite = SinkDefinition(
        "remotewrite", "Prometheus remote write: VictoriaMetrics, Mimir, Thanos, Prometheus",
        [
            SinkOption("version", "1 (default) or 2"),
            SinkOption("prefix", "before every name; default heapwire_"),
            SinkOption("object_labels", "true: the objects' own labels as label_…"),
            SinkOption(
                "header", "NAME:VALUE, another header field, such as X-Scope-OrgID", secret: true,
                repeatable: true),
            SinkOption("order", "freshest (default) or oldest first after an outage"),
            SinkOption("concurrency", "requests in flight; default 1"),
        ] + HTTPCredentials.options + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        var target = try HTTPTarget(uri, options, defaultHost: nil, defaultPort: 8_428)
        if target.basePath.isEmpty { target.basePath = "/api/v1/write" }
        let settings = RemoteWriteEncoder.Options(
            prefix: options.string("prefix", default: "heapwire_"),
            clusterName: options.string("cluster_name", default: "default"),
            sendsObjectLabels: try options.boolean("object_labels", default: false))
        let isSecond = try options.choice("version", default: "1", of: ["1", "2"]) == "2"
        var fields = [
            ("Content-Encoding", "snappy"),
            (
                "Content-Type",
                "application/x-protobuf" + (isSecond ? ";proto=io.prometheus.write.v2.Request" : "")
            ),
            ("X-Prometheus-Remote-Write-Version", isSecond ? "2.0.0" : "0.1.0"),
        ]
        for header in options.strings("header") {
            guard let colon = header.firstIndex(of: ":") else {
                throw .badValue(sink: uri.kind, option: "header", expected: "NAME:VALUE")
            }
            fields.append(
                (String(header[..<colon]), String(header[header.index(after: colon)...])))
        }
        let order = try options.choice("order", default: "freshest", of: ["freshest", "oldest"])
        let backend = PostBackend(
            target: target.basePath, fields: fields, credentials: try HTTPCredentials(options),
            emptyBody: BodyPacking.snappy.pack([]))
        let encoder: any SinkEncoder =
            isSecond ? RemoteWrite2Encoder(settings) : RemoteWriteEncoder(settings)
        return SinkPlan(
            encoder: encoder, order: order == "freshest" ? .freshestFirst : .oldestFirst,
            overwrites: order == "freshest",
            latePoints: order == "freshest" ? .taken : .onlyInOrder,
            concurrency: try options.integer("concurrency", default: 1, in: 1...64)
        ) { [endpoints = target.endpoints] in HTTPDelivery(backend, endpoints, environment: $0) }
    }

    /// OpenTelemetry over HTTP.
    static let otlp = SinkDefinition(
        "otlp", "OpenTelemetry metrics over OTLP/HTTP",
        [
            SinkOption(
                "header", "NAME:VALUE, another header field", secret: true, repeatable: true),
            SinkOption("gzip", "false: do not compress"),
        ] + HTTPCredentials.options + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        var target = try HTTPTarget(uri, options, defaultHost: "localhost", defaultPort: 4_318)
        if target.basePath.isEmpty { target.basePath = "/v1/metrics" }
        let isCompressed = try options.boolean("gzip", default: true)
        var fields = [("Content-Type", "application/x-protobuf")]
        if isCompressed { fields.append(("Content-Encoding", "gzip")) }
        for header in options.strings("header") {
            guard let colon = header.firstIndex(of: ":") else {
                throw .badValue(sink: uri.kind, option: "header", expected: "NAME:VALUE")
            }
            fields.append(
                (String(header[..<colon]), String(header[header.index(after: colon)...])))
        }
        let backend = PostBackend(
            target: target.basePath, fields: fields, credentials: try HTTPCredentials(options),
            emptyBody: isCompressed ? BodyPacking.gzip.pack([]) : [])
        let encoder = OTLPEncoder(
            clusterName: options.string("cluster_name", default: "default"),
            packing: isCompressed ? .gzip : .none)
        return SinkPlan(encoder: encoder, order: .freshestFirst, overwrites: true) {
            [endpoints = target.endpoints] in
            HTTPDelivery(backend, endpoints, environment: $0)
        }
    }

    /// OpenTSDB over HTTP.
    static let openTSDB = SinkDefinition(
        "opentsdb", "OpenTSDB over HTTP",
        [SinkOption("cluster", "the cluster's name; default k8s-cluster")] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        let target = try HTTPTarget(uri, options, defaultHost: "127.0.0.1", defaultPort: 4_242)
        let fallback = options.string("cluster_name", default: "k8s-cluster")
        let encoder = OpenTSDBEncoder(
            clusterName: options.string("cluster", default: fallback))
        var backend = PostBackend(
            target: "\(target.basePath)/api/put?summary",
            fields: [("Content-Type", "application/json; charset=UTF-8")])
        backend.verdict = { response, request in
            // The others were stored; which ones it does not say.
            guard response.status == 400, let failed = FlatJSON.number("failed", in: response.body),
                (1...Int64(request.pointCount)).contains(failed), failed < request.pointCount
            else { return HTTPVerdict.byStatus(response) }
            var refused = request
            refused.pointCount = Int(failed)
            return .partly(
                remaining: nil, refused: refused, reason: "HTTP 400 \(response.excerpt)")
        }
        return SinkPlan(encoder: encoder, order: .freshestFirst, overwrites: true) {
            [backend, endpoints = target.endpoints] in
            HTTPDelivery(backend, endpoints, environment: $0)
        }
    }

    /// Honeycomb.
    static let honeycomb = SinkDefinition(
        "honeycomb", "Honeycomb's batch of events",
        [
            SinkOption("dataset", "the dataset; default heapster"),
            SinkOption("writekey", "the key; default from HONEYCOMB_WRITEKEY", secret: true),
            SinkOption("apihost", "the server; default https://api.honeycomb.io"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        let server = try SinkURI(
            parsing: "honeycomb:\(options.string("apihost", default: "https://api.honeycomb.io"))")
        let target = try HTTPTarget(
            uri.host.isEmpty ? server : uri, options, defaultHost: nil, defaultPort: 443)
        let fromEnvironment = SinkURI.processEnvironment("HONEYCOMB_WRITEKEY")
        guard let key = options.secret("writekey") ?? fromEnvironment.map({ .value($0) }) else {
            throw .missingOption(sink: uri.kind, option: "writekey")
        }
        let dataset = URLText.encode(options.string("dataset", default: "heapster"))
        let encoder = HoneycombEncoder()
        var backend = PostBackend(
            target: "\(target.basePath)/1/batch/\(dataset)",
            fields: [("Content-Type", "application/json")],
            credentials: .field("X-Honeycomb-Team", key))
        backend.verdict = { [envelope = encoder.envelope] response, request in
            guard response.status == 200 else { return HTTPVerdict.byStatus(response) }
            guard let verdicts = ItemVerdicts(honeycomb: response.body) else {
                return .failed(reason: "the answer to a batch is not JSON as documented")
            }
            return verdicts.outcome(of: request, in: envelope)
        }
        return SinkPlan(
            encoder: encoder, order: .freshestFirst, overwrites: false, clusterIsLabel: true
        ) {
            [backend, endpoints = target.endpoints] in
            HTTPDelivery(backend, endpoints, environment: $0)
        }
    }

    /// Librato.
    static let librato = SinkDefinition(
        "librato", "Librato's measurements with tags",
        [
            SinkOption("username", "user name"),
            SinkOption("token", "the user's token", secret: true),
            SinkOption("prefix", "before every name"),
            SinkOption("tags", "names of tags for all measurements, separated by commas"),
            SinkOption("tag_*", "the value of the tag of that name"),
            SinkOption("api", "the server; default https://metrics-api.librato.com"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        let address = options.string("api", default: "https://metrics-api.librato.com")
        let target = try HTTPTarget(
            try SinkURI(parsing: "librato:\(address)"), options, defaultHost: nil, defaultPort: 443)
        var tags: [Label] = []
        for name in options.list("tags") {
            if let value = options.string("tag_\(name)") {
                tags.append(Label(key: name, value: value))
            }
        }
        let backend = PostBackend(
            target: "\(target.basePath)/v1/measurements",
            fields: [("Content-Type", "application/json")],
            credentials: .basic(
                user: try options.required("username"),
                password: try options.requiredSecret("token")))
        let encoder = LibratoEncoder(prefix: options.string("prefix", default: ""), tags: tags)
        return SinkPlan(
            encoder: encoder, order: .freshestFirst, overwrites: true, clusterIsLabel: true
        ) {
            [endpoints = target.endpoints] in
            HTTPDelivery(backend, endpoints, environment: $0)
        }
    }
}
