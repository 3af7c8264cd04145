import Wire

/// `heapwire-aggregator doctor [flags]`: takes the flags of the aggregator, tries the apiserver, the
/// sinks and the store of history that they name, and prints what is wrong and how to mend it. Changes
/// nothing.
///
/// Exit codes: 0 all is well, or only something optional is missing; 1 something that is needed
/// does not work; 2 the command line.
struct Doctor {
    static let name = "doctor"

    static var help: String {
        """
        heapwire-aggregator doctor: looks whether an aggregator with these flags would work

        usage: heapwire-aggregator doctor [--source=SOURCE] [--sink=SINK] [flags of the aggregator]

        Looks, in this order, at the command line, the apiserver (name resolution, TCP, TLS,
        credentials, each permission that is needed), each sink, and the store of
        --historical-source. Prints a line for each: ok, warn (works without), FAIL with the remedy,
        or skip. Changes nothing.

        exit codes: 0 nothing that is needed fails; 1 something does; 2 the command line is wrong

        """
    }

    private let output: (String) -> Void
    private var hasFault = false

    init(output: @escaping (String) -> Void) { self.output = output }

    /// - Parameter arguments: those behind `doctor`.
    /// - Returns: the exit code.
    static func run(
        _ arguments: [String], output: @escaping (String) -> Void = { print($0) }
    ) -> Int32 {
        let commandLine = Wire.CommandLine(arguments, flags: AggregatorConfiguration.flags)
        if commandLine.wantsHelp {
            output(help)
            return 0
        }
        var doctor = Doctor(output: output)
        let configuration: AggregatorConfiguration
        do throws(UsageError) {
            configuration = try AggregatorConfiguration(commandLine)
        } catch {
            for problem in error.problems {
                doctor.report(Finding(.fault, "command line", problem))
            }
            return 2
        }
        doctor.report(Finding(.good, "command line", "understood"))
        doctor.examine(configuration)
        return doctor.hasFault ? 1 : 0
    }

    private mutating func report(_ finding: Finding) {
        if finding.outcome == .fault { hasFault = true }
        output(finding.description)
    }

    private mutating func examine(_ configuration: AggregatorConfiguration) {
        if let access = configuration.source.access {
            var findings: [Finding] = []
            let output = output
            APIServerCheck(
                access: access,
                permissions: APIServerCheck.permissions(
                    reviewsAgents: configuration.identity.policy != nil,
                    reviewsReaders: configuration.api.tls != nil
                        && !configuration.api.access.isOpen,
                    election: configuration.leader.election)
            ) { finding in
                // At once: a step may take seconds.
                output(finding.description)
                findings.append(finding)
            }.run()
            if findings.contains(where: { $0.outcome == .fault }) { hasFault = true }
        } else {
            let words =
                configuration.source.podsFile.map { "none; names come from \($0)" }
                ?? "none; pods go by their UIDs"
            report(Finding(.skipped, "source", words))
        }
        for sink in configuration.sinks.sinks {
            for check in sink.check() { report(Finding(check)) }
        }
        if let store = configuration.history.source { report(Finding(history: store)) }
    }
}

extension Finding {
    /// Asks the store of history for its nodes, as a request for `/api/v1/historical/nodes/` does.
    fileprivate init(history store: any HistoricalSource) {
        let subject = "--historical-source"
        do throws(HistoricalFailure) {
            let nodes = try store.nodes()
            if nodes.isEmpty {
                self.init(
                    .warning, subject,
                    "answers, but has no node: has a sink with the same database, prefix and "
                        + "cluster_name written to it?")
            } else {
                self.init(
                    .good, subject,
                    "answers, and has history of \(nodes.count) "
                        + (nodes.count == 1 ? "node" : "nodes"))
            }
        } catch {
            self.init(
                .fault, subject,
                "\(error.words); check its address, its credentials and, of InfluxDB, that the "
                    + "database is there")
        }
    }

    /// A sink that cannot be reached is a fault: it was asked for.
    fileprivate init(_ check: SinkCheck) {
        switch check.outcome {
        case .passed: self.init(.good, check.subject, "done")
        case .failed(let problem, let remedy):
            self.init(.fault, check.subject, "\(problem); \(remedy)")
        case .skipped(let reason): self.init(.skipped, check.subject, reason)
        }
    }
}
