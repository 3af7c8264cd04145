import Wire

extension SinkDefinition {
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
}
