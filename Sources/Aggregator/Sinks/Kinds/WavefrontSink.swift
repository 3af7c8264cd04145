import Wire

extension SinkDefinition {
    /// A Wavefront proxy.
    static let wavefront = SinkDefinition(
        "wavefront", "a Wavefront proxy, HOST:PORT",
        [
            SinkOption("clusterName", "the cluster's name; default k8s-cluster"),
            SinkOption("prefix", "before every metric; default heapster."),
            SinkOption("includeLabels", "true: the objects' labels as point tags"),
            SinkOption("includeContainers", "false: nothing below pods"),
        ]
    ) { (uri, options) throws(SinkConfigurationError) in
        guard !uri.host.isEmpty else {
            throw .malformedURI(sink: uri.kind, reason: "write the proxy's HOST:PORT")
        }
        let fallback = options.string("cluster_name", default: "k8s-cluster")
        let encoder = WavefrontEncoder(
            WavefrontEncoder.Options(
                clusterName: options.string("clusterName", default: fallback),
                prefix: options.string("prefix", default: "heapster."),
                includesLabels: try options.boolean("includeLabels", default: false),
                includesContainers: try options.boolean("includeContainers", default: true)))
        let endpoint = SinkEndpoint(
            address: HostAndPort(host: uri.host, port: uri.port ?? 2_878), tls: nil)
        return SinkPlan(encoder: encoder, order: .freshestFirst, overwrites: true) {
            LineDelivery(endpoint, environment: $0)
        }
    }
}
