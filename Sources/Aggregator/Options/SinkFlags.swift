import Wire

/// `--sink` and what all sinks share.
struct SinkFlags: Sendable {
    /// In the order of the flags; those that need nothing to run (`metric`) are left out.
    private(set) var sinks: [ConfiguredSink] = []
    private(set) var shutdownTimeoutMilliseconds: Int64 = 10_000

    static let flags: [Flag] = [
        Flag(
            "sink", "KIND:URI?OPTIONS", repeatable: true,
            "Where closed cycles go; once for each sink. Kinds: "
                + SinkRegistry.definitions.map(\.kind).joined(separator: ", ")
                + ". Options of all: "
                + SinkOption.common.map(\.name).joined(separator: ", ")
                + ". Secrets: OPTION=${VARIABLE} or OPTIONfile=PATH. See docs/sinks.md."),
        Flag(
            "shutdown-timeout", "DURATION", default: "10s",
            "How long sinks may go on delivering when the aggregator stops, 0s to 1h."),
    ]

    /// Reads its flags; problems are reported to the command line.
    ///
    /// - Parameter clusterName: `--cluster-name`.
    init(_ line: inout CommandLine, clusterName: String? = nil) {
        for text in line.texts("sink") {
            do throws(SinkConfigurationError) {
                if let sink = try ConfiguredSink.make(text, clusterName: clusterName) {
                    sinks.append(sink)
                }
            } catch {
                line.report("--sink: \(error)")
            }
        }
        shutdownTimeoutMilliseconds =
            line.milliseconds("shutdown-timeout", in: 0...3_600_000)
            ?? shutdownTimeoutMilliseconds
    }
}
