import Wire

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
        var fields: [(name: String, value: String)] = [
            ("Content-Encoding", "snappy"),
            (
                "Content-Type",
                "application/x-protobuf" + (isSecond ? ";proto=io.prometheus.write.v2.Request" : "")
            ),
            ("X-Prometheus-Remote-Write-Version", isSecond ? "2.0.0" : "0.1.0"),
        ]
        fields += try options.headerFields(kind: uri.kind)
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
}
