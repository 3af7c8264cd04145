import Wire

extension SinkDefinition {
    /// Apache Kafka and what speaks its protocol.
    static let kafka = SinkDefinition(
        "kafka", "Kafka: one message for each value",
        [
            SinkOption("brokers", "HOST:PORT of a broker; may be repeated", repeatable: true),
            SinkOption("timeseriestopic", "topic; default heapster-metrics"),
            SinkOption("eventstopic", "topic of events; default heapster-events"),
            SinkOption("compression", "none (default), gzip, snappy, lz4 or zstd"),
            SinkOption("user", "user name"),
            SinkOption("password", "password", secret: true),
            SinkOption("sasl", "plain (default), scram-sha-256 or scram-sha-512"),
            SinkOption("secure", "true: TLS; also when cacert or cert is given"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        var brokers = options.list("brokers")
        if !uri.host.isEmpty { brokers.append("\(uri.host):\(uri.port ?? 9_092)") }
        if brokers.isEmpty { brokers = ["localhost:9092"] }
        var addresses: [HostAndPort] = []
        for broker in brokers {
            do throws(TransportError) {
                addresses.append(try HostAndPort(parsing: broker, defaultPort: 9_092))
            } catch {
                throw .badValue(sink: uri.kind, option: "brokers", expected: "HOST:PORT")
            }
        }
        let names: [String: KafkaRecordBatch.Compression] = [
            "none": .none, "gzip": .gzip, "snappy": .snappy, "lz4": .lz4, "zstd": .zstd,
        ]
        let compression = try options.choice(
            "compression", default: "none", of: names.keys.sorted())
        var usesTLS = try options.boolean("secure", default: false)
        for name in ["cacert", "cert", "insecuressl"] where options.string(name) != nil {
            usesTLS = true
        }
        var login: KafkaLogin?
        if let user = options.string("user") {
            let mechanism = try options.choice(
                "sasl", default: "plain", of: ["plain", "scram-sha-256", "scram-sha-512"])
            login = KafkaLogin(
                mechanism: mechanism, user: user,
                password: try options.requiredSecret("password"))
        }
        let settings = KafkaDelivery.Settings(
            bootstrap: addresses, tls: usesTLS ? try SinkTLS(options) : nil, login: login,
            topic: options.string("timeseriestopic", default: "heapster-metrics"),
            compression: names[compression] ?? .none)
        return SinkPlan(
            encoder: KafkaEncoder(clusterName: options.string("cluster_name")),
            order: .oldestFirst, overwrites: false
        ) { KafkaDelivery(settings, environment: $0) }
    }
}
