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

    /// A StatsD server.
    static let statsd = SinkDefinition(
        "statsd", "a StatsD server, udp://HOST:PORT",
        [
            SinkOption("prefix", "before every metric"),
            SinkOption("protocolType", "etsystatsd (default) or influxstatsd"),
            SinkOption("numMetricsPerMsg", "metrics in a datagram; default 5"),
            SinkOption("renameLabels", "labels to rename: old:new,old:new"),
            SinkOption("allowedLabels", "labels to send; default all"),
            SinkOption("labelStyle", "lowerCamelCase or upperCamelCase; default: as they are"),
        ]
    ) { (uri, options) throws(SinkConfigurationError) in
        guard ["", "udp"].contains(uri.scheme) else {
            throw .malformedURI(sink: uri.kind, reason: "write udp://HOST:PORT")
        }
        var settings = StatsdEncoder.Options()
        let dialect = try options.choice(
            "protocolType", default: "etsystatsd", of: ["etsystatsd", "influxstatsd"])
        settings.dialect = dialect == "etsystatsd" ? .etsy : .influx
        settings.prefix = options.prefix(default: "", withCluster: dialect == "etsystatsd")
        settings.metricsPerDatagram = try options.integer(
            "numMetricsPerMsg", default: 5, in: 1...1_000)
        settings.allowed = Set(options.list("allowedLabels"))
        for pair in options.list("renameLabels") {
            guard let colon = pair.firstIndex(of: ":") else {
                throw .badValue(
                    sink: uri.kind, option: "renameLabels", expected: "old:new,old:new")
            }
            settings.renamed[String(pair[..<colon])] = String(pair[pair.index(after: colon)...])
        }
        switch try options.choice(
            "labelStyle", default: "asIs",
            of: ["lowerCamelCase", "upperCamelCase", "asIs"])
        {
        case "upperCamelCase": settings.labelStyle = .upperCamelCase
        case "lowerCamelCase": settings.labelStyle = .lowerCamelCase
        default: settings.labelStyle = .asIs
        }
        let address = HostAndPort(
            host: uri.host.isEmpty ? "localhost" : uri.host, port: uri.port ?? 8_125)
        // StatsD stamps what it gets with its own clock.
        return SinkPlan(
            encoder: StatsdEncoder(settings), order: .oldestFirst, overwrites: false,
            latePoints: .never, clusterIsLabel: dialect == "influxstatsd"
        ) { _ in DatagramDelivery(address) }
    }
}

extension SinkOptions {
    /// What stands before every path; with the cluster's name behind it, where there is one, because
    /// a path has no labels.
    fileprivate func prefix(default value: String, withCluster: Bool) -> String {
        let own = string("prefix", default: value)
        guard withCluster, let cluster = string("cluster_name"), !cluster.isEmpty else {
            return own
        }
        let part = String(cluster.map { "./=|: ".contains($0) ? "_" : $0 })
        return own.isEmpty ? part : "\(own).\(part)"
    }
}
