import Wire

extension SinkDefinition {
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
        var fields: [(name: String, value: String)] = [
            ("Content-Type", "application/x-protobuf")
        ]
        if isCompressed { fields.append(("Content-Encoding", "gzip")) }
        fields += try options.headerFields(kind: uri.kind)
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
}
