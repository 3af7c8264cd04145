import Wire
import WireTLS

/// Every flag of the aggregator.
struct AggregatorConfiguration: Sendable {
    var source = Source.none
    /// A PodList to name pods by, where there is no apiserver.
    var podsFile: String?
    var apiAddress = SocketAddress.loopback(port: 8_082)
    var ingestAddress = SocketAddress.loopback(port: 8_090)
    var model = ModelConfiguration()
    var ingest = IngestConfiguration()
    var ingestThreads = 1
    var logLevel = Diagnostics.Level.info

    enum Source: Sendable {
        /// The agents' own view, and `--pods`.
        case none
        case kubernetes(SourceOptions, APIServerAccess)
    }

    /// The apiserver that names come from; `nil` without one.
    var access: APIServerAccess? {
        if case .kubernetes(_, let access) = source { return access }
        return nil
    }

    static let flags: [Flag] = [
        Flag(
            "source", "SOURCE", default: "none",
            "Where names come from: none (pods go by their UIDs, or by --pods) or "
                + "kubernetes[:URL][?inClusterConfig=true&auth=KUBECONFIG&insecure=false&"
                + "useServiceAccount=false&host_id_annotation=KEY]."),
        Flag(
            "pods", "FILE",
            "A list of pods as `kubectl get pods -A -o json` prints it. Read again when it changes."
        ),
        Flag(
            "port", "PORT", default: "8082", aliases: ["heapster-port"],
            "TCP port of the API. 0 lets the kernel choose; the log says which."),
        Flag(
            "listen-ip", "IP", default: "127.0.0.1",
            "Address on which API and ingest listen."),
        Flag(
            "ingest-port", "PORT", default: "8090",
            "TCP port that takes frames from agents. 0 lets the kernel choose."),
        Flag(
            "metric-resolution", "DURATION", default: "10s",
            "Time between cycles, 1s to 1h. Agents without --resolution send at it."),
        Flag(
            "history", "DURATION", default: "15m",
            "How much history is kept in memory, 1m to 24h."),
        Flag(
            "agent-token-file", "FILE",
            "A secret that agents must present (their --agent-token-file); at least 16 bytes."),
        Flag(
            "ingest-tls-cert", "FILE",
            "Takes frames over TLS 1.3 with this certificate chain (PEM). Read again when it changes."
        ),
        Flag("ingest-tls-key", "FILE", "The key of --ingest-tls-cert (PEM)."),
        Flag(
            "ingest-client-ca", "FILE",
            "Agents must present a certificate that these authorities signed; its common name is the "
                + "node's name, or system:node:NAME."),
        Flag(
            "insecure-ingest", "",
            "Take frames over plain TCP on addresses other than loopback."),
        Flag(
            "insecure-http", "",
            "Serve the API over plain HTTP on addresses other than loopback."),
        Flag(
            "ingest-threads", "COUNT", default: "1", "Threads that take frames, 1 to 64."),
        Flag(
            "max-nodes", "COUNT", default: "20000", "Nodes that may be known at once."),
        Flag(
            "max-connections", "COUNT", default: "20000",
            "Connections to the ingest port that may be open at once."),
        Flag("log-level", "LEVEL", default: "info", "debug, info, warning or error."),
    ]

    static var help: String {
        CommandLine.help(
            program: "heapwire-aggregator",
            summary: "takes frames from Heapwire agents and answers Heapster's model API",
            usage: "[--port=8082] [--ingest-port=8090] [--pods=FILE] [flags]", flags: flags)
    }

    /// Reads and checks all flags.
    ///
    /// - Throws: every problem at once, each a sentence with its remedy.
    init(_ commandLine: CommandLine) throws(UsageError) {
        var line = commandLine
        source = Self.source(&line)
        podsFile = line.text("pods")
        if case .kubernetes = source, podsFile != nil {
            line.report("--pods and --source=kubernetes both name pods; give one of them")
        }
        let host = line.text("listen-ip") ?? "127.0.0.1"
        let apiPort = line.integer("port", in: 0...65_535) ?? 8_082
        let ingestPort = line.integer("ingest-port", in: 0...65_535) ?? 8_090
        if apiPort == ingestPort, apiPort != 0 {
            line.report("--port and --ingest-port are both \(apiPort); choose two ports")
        }
        if let api = SocketAddress(numericHost: host, port: UInt16(apiPort)),
            let ingest = SocketAddress(numericHost: host, port: UInt16(ingestPort))
        {
            (apiAddress, ingestAddress) = (api, ingest)
        } else {
            line.report("--listen-ip=\(host) is not an IP address; write 127.0.0.1, 0.0.0.0 or ::")
        }
        model.resolution =
            line.milliseconds("metric-resolution", in: 1_000...3_600_000) ?? model.resolution
        model.window = line.milliseconds("history", in: 60_000...86_400_000) ?? model.window
        model.nodes = line.integer("max-nodes", in: 1...1_000_000) ?? model.nodes
        ingest.connections =
            line.integer("max-connections", in: 1...1_000_000) ?? ingest.connections
        ingest.silenceMilliseconds = max(30_000, 3 * UInt64(model.resolution))
        ingestThreads = line.integer("ingest-threads", in: 1...64) ?? 1
        readSecurity(&line)
        switch line.text("log-level") {
        case "debug": logLevel = .debug
        case "info": logLevel = .info
        case "warning": logLevel = .warning
        case "error": logLevel = .error
        case let other:
            line.report(
                "--log-level=\(other ?? "") is not known; write debug, info, warning or error")
        }
        guard line.problems.isEmpty else { throw UsageError(problems: line.problems) }
    }

    /// What `--source` asks for; problems are reported to the command line.
    private static func source(_ line: inout CommandLine) -> Source {
        let environment = ProcessEnvironment.all
        do {
            let options = try SourceOptions(
                parsing: line.text("source") ?? "none", environment: environment)
            guard options.kind == .kubernetes else { return .none }
            let access = try APIServerAccess(options, environment: environment)
            // Unusable files are said now, not only when the first request fails.
            _ = try access.destination()
            return .kubernetes(options, access)
        } catch {
            line.report("\(error)")
            return .none
        }
    }

    private mutating func readSecurity(_ line: inout CommandLine) {
        if let path = line.text("agent-token-file") {
            do throws(SmallFileError) {
                ingest.authentication.token = try TokenFile(path)
            } catch {
                line.report("--agent-token-file: \(error)")
            }
        }
        readIngestTLS(&line)
        if !ingestAddress.isLoopback, ingest.tls == nil, !line.bool("insecure-ingest") {
            line.report(
                "--listen-ip=\(ingestAddress.host) would take frames unencrypted from other "
                    + "machines; give --ingest-tls-cert and --ingest-tls-key, or --insecure-ingest if "
                    + "the network is trusted")
        }
        if !apiAddress.isLoopback, !line.bool("insecure-http") {
            line.report(
                "--listen-ip=\(apiAddress.host) would serve the API unencrypted to other machines; "
                    + "give --insecure-http if the network is trusted")
        }
    }
}

extension AggregatorConfiguration {
    fileprivate mutating func readIngestTLS(_ line: inout CommandLine) {
        let paths = TLSFiles.Paths(
            certificate: line.text("ingest-tls-cert"), key: line.text("ingest-tls-key"),
            authorities: line.text("ingest-client-ca"))
        guard paths != TLSFiles.Paths() else { return }
        guard paths.certificate != nil, paths.key != nil else {
            return line.report(
                "TLS for agents needs both --ingest-tls-cert and --ingest-tls-key")
        }
        do throws(TLSFilesError) {
            ingest.authentication.requiresCertificate = paths.authorities != nil
            ingest.tls = try TLSFiles(
                paths, role: .server(requiresClient: paths.authorities != nil), minimum: .tls13)
        } catch {
            line.report("TLS for agents: \(error)")
        }
    }
}

/// A command line that cannot be followed.
struct UsageError: Error {
    let problems: [String]
}
