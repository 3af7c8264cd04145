import Wire

extension SinkDefinition {
    /// Graphite's carbon over TCP or UDP.
    static let graphite = SinkDefinition(
        "graphite", "Graphite's carbon, tcp:// or udp://",
        [
            SinkOption("prefix", "before every path; default kubernetes"),
            SinkOption("secure", "true: TLS"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        guard ["tcp", "udp"].contains(uri.scheme) else {
            throw .malformedURI(sink: uri.kind, reason: "write tcp://HOST:PORT or udp://HOST:PORT")
        }
        let address = HostAndPort(
            host: uri.host.isEmpty ? "localhost" : uri.host, port: uri.port ?? 2_003)
        let isDatagram = uri.scheme == "udp"
        let encoder = GraphiteEncoder(
            prefix: options.prefix(default: "kubernetes", withCluster: true),
            isDatagram: isDatagram)
        let tls = try options.boolean("secure", default: false) ? SinkTLS(options) : nil
        return SinkPlan(encoder: encoder, order: .freshestFirst, overwrites: true) { environment in
            if isDatagram { return DatagramDelivery(address) }
            return LineDelivery(SinkEndpoint(address: address, tls: tls), environment: environment)
        }
    }
}

extension SinkOptions {
    /// What stands before every path; with the cluster's name behind it, where there is one, because
    /// a path has no labels.
    func prefix(default value: String, withCluster: Bool) -> String {
        let own = string("prefix", default: value)
        guard withCluster, let cluster = string("cluster_name"), !cluster.isEmpty else {
            return own
        }
        let part = String(cluster.map { "./=|: ".contains($0) ? "_" : $0 })
        return own.isEmpty ? part : "\(own).\(part)"
    }
}
