import Wire

extension SinkDefinition {
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
