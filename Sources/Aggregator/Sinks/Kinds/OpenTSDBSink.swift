import Wire

extension SinkDefinition {
    /// OpenTSDB over HTTP.
    static let openTSDB = SinkDefinition(
        "opentsdb", "OpenTSDB over HTTP",
        [
            SinkOption("cluster", "the cluster's name; default k8s-cluster"),
            SinkOption(
                "sync",
                "true: a point counts as taken when it is in storage, not in OpenTSDB's memory"),
            SinkOption("concurrency", "requests in flight; default 1"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        let target = try HTTPTarget(uri, options, defaultHost: "127.0.0.1", defaultPort: 4_242)
        let fallback = options.string("cluster_name", default: "k8s-cluster")
        let encoder = OpenTSDBEncoder(
            clusterName: options.string("cluster", default: fallback))
        let waits = try options.boolean("sync", default: false)
        var backend = PostBackend(
            target: "\(target.basePath)/api/put?details\(waits ? "&sync" : "")",
            fields: [("Content-Type", "application/json; charset=UTF-8")])
        backend.verdict = { [envelope = encoder.envelope] response, request in
            guard response.status == 400 || response.status == 200,
                let verdicts = ItemVerdicts(openTSDB: response.body, of: request, in: envelope)
            else { return HTTPVerdict.byStatus(response) }
            return verdicts.outcome(of: request, in: envelope)
        }
        return SinkPlan(
            encoder: encoder, order: .freshestFirst, overwrites: true,
            concurrency: try options.integer("concurrency", default: 1, in: 1...64)
        ) {
            [backend, endpoints = target.endpoints] in
            HTTPDelivery(backend, endpoints, environment: $0)
        }
    }
}
