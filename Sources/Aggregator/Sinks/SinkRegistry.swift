import Wire

/// A kind of sink: its name in `--sink=KIND:…`, its options, and how one is made of them.
struct SinkDefinition: Sendable {
    let kind: String
    /// One line for the help text.
    let summary: String
    /// Beside those that every sink has.
    let options: [SinkOption]
    /// `nil` for a kind that needs nothing to run.
    let make: @Sendable (SinkURI, SinkOptions) throws(SinkConfigurationError) -> SinkPlan?

    init(
        _ kind: String, _ summary: String, _ options: [SinkOption],
        _ make:
            @escaping @Sendable (SinkURI, SinkOptions) throws(SinkConfigurationError) -> SinkPlan?
    ) {
        self.kind = kind
        self.summary = summary
        self.options = options
        self.make = make
    }

    /// An option of the sink's own goes before a common one of that name.
    var allOptions: [SinkOption] {
        let own = Set(options.map(\.name))
        return options + SinkOption.common.filter { !own.contains($0.name) }
    }
}

/// Every kind of sink there is.
enum SinkRegistry {
    static let definitions: [SinkDefinition] = [
        .log, .metric, .stdout,
        .influxdb, .graphite, .statsd, .openTSDB, .remoteWrite, .otlp,
        .elasticsearch, .openSearch, .kafka, .redis, .riemann, .wavefront,
        .hawkular, .librato, .honeycomb, .stackdriver, .gcm, .bigQuery,
    ]

    static func definition(of kind: String) throws(SinkConfigurationError) -> SinkDefinition {
        guard let found = definitions.first(where: { $0.kind == kind }) else {
            throw .unknownKind(kind: kind, known: definitions.map(\.kind).sorted())
        }
        return found
    }
}

/// A sink of the command line, checked.
struct ConfiguredSink: Sendable {
    let uri: SinkURI
    let plan: SinkPlan
    var settings: SinkRunner.Settings
    /// `nil`: the machinery's default.
    let queueByteCountMax: Int?

    /// - Parameter clusterName: of the aggregator; the sink's own `cluster_name` goes before it.
    /// - Returns: `nil` for a sink that needs nothing to run (`metric`).
    /// - Throws: everything that is wrong with the flag.
    static func make(
        _ text: String, clusterName: String? = nil,
        environment: (String) -> String? = SinkURI.processEnvironment
    ) throws(SinkConfigurationError) -> ConfiguredSink? {
        let uri = try SinkURI(parsing: text, environment: environment)
        let definition = try SinkRegistry.definition(of: uri.kind)
        let options = try SinkOptions(
            uri, known: definition.allOptions, clusterName: clusterName)
        let timeout = try options.duration("timeout", defaultMilliseconds: 20_000)
        var settings = SinkRunner.Settings(
            name: options.string("name", default: uri.kind), target: uri.shown,
            intervalMilliseconds: try options.duration("interval", defaultMilliseconds: 0),
            timeoutMilliseconds: max(1, timeout),
            filter: options.filter(
                metricsIsOwn: definition.options.contains { $0.name == "metrics" }))
        let isSafe = settings.name.utf8.allSatisfy { byte in
            byte != UInt8(ascii: "/") && byte > 0x20
        }
        guard isSafe, !settings.name.isEmpty, !settings.name.hasPrefix(".") else {
            throw .badValue(sink: uri.kind, option: "name", expected: "a file name")
        }
        let queueByteCountMax =
            options.string("queue-bytes") == nil
            ? nil : try options.byteCount("queue-bytes", default: 0)
        guard let plan = try definition.make(uri, options) else { return nil }
        if plan.clusterIsLabel, let name = options.string("cluster_name"), !name.isEmpty {
            settings.cluster = Label(key: Label.clusterName, value: name)
        }
        return ConfiguredSink(
            uri: uri, plan: plan, settings: settings, queueByteCountMax: queueByteCountMax)
    }
}
