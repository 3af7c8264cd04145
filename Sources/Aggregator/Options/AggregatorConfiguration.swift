import Wire

/// Every flag of the aggregator: one file for each area beside this one.
struct AggregatorConfiguration: Sendable {
    let source: SourceFlags
    let cluster: ClusterFlags
    let labels: LabelFlags
    let listen: ListenFlags
    let model: ModelFlags
    let memory: MemoryFlags
    let ingest: IngestFlags
    let identity: AgentIdentityFlags
    let api: APIFlags
    let apiLimits: APILimitFlags
    let history: HistoryFlags
    let data: DataFlags
    let log: LogFlags
    let sinks: SinkFlags
    let leader: LeaderFlags
    let logLevel: Diagnostics.Level

    static let flags: [Flag] =
        SourceFlags.flags + ClusterFlags.flags + LabelFlags.flags + ListenFlags.flags
        + ModelFlags.flags + MemoryFlags.flags + IngestFlags.flags
        + AgentIdentityFlags.flags
        + APIFlags.flags + APILimitFlags.flags + HistoryFlags.flags + DataFlags.flags
        + LogFlags.flags + SinkFlags.flags + LeaderFlags.flags + [
            Flag("log-level", "LEVEL", default: "info", "debug, info, warning or error.")
        ]

    static var help: String {
        CommandLine.help(
            program: "heapwire-aggregator",
            summary: "takes frames from Heapwire agents and answers Heapster's model API; "
                + "as `heapwire-aggregator doctor [flags]` looks whether these flags would work",
            usage: "[--port=8082] [--ingest-port=8090] [--pods=FILE] [flags]", flags: flags)
    }

    /// Reads and checks all flags.
    ///
    /// - Throws: every problem at once, each a sentence with its remedy.
    init(_ commandLine: CommandLine) throws(UsageError) {
        var line = commandLine
        source = SourceFlags(&line)
        cluster = ClusterFlags(&line)
        labels = LabelFlags(
            &line, hostIDAnnotation: source.options?.hostIDAnnotation, clusterName: cluster.name)
        listen = ListenFlags(&line)
        model = ModelFlags(&line)
        memory = MemoryFlags(&line)
        ingest = IngestFlags(
            &line, address: listen.ingest, resolution: model.model.resolution)
        identity = AgentIdentityFlags(
            &line, source: source, ingest: ingest.ingest, address: listen.ingest)
        api = APIFlags(&line, address: listen.api, apiserver: source.access)
        apiLimits = APILimitFlags(&line)
        history = HistoryFlags(&line)
        data = DataFlags(&line)
        log = LogFlags(&line, data)
        sinks = SinkFlags(&line, clusterName: cluster.name)
        leader = LeaderFlags(&line, source: source)
        logLevel = Self.logLevel(&line)
        guard line.problems.isEmpty else { throw UsageError(problems: line.problems) }
    }

    private static func logLevel(_ line: inout CommandLine) -> Diagnostics.Level {
        switch line.text("log-level") {
        case "debug": return .debug
        case "info": return .info
        case "warning": return .warning
        case "error": return .error
        case let other:
            line.report(
                "--log-level=\(other ?? "") is not known; write debug, info, warning or error")
            return .info
        }
    }
}

/// A command line that cannot be followed.
struct UsageError: Error {
    let problems: [String]
}
