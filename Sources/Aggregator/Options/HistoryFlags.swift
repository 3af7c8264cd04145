import Wire

/// Where the historical API reads.
struct HistoryFlags: Sendable {
    /// `nil` for the aggregator's own history.
    private(set) var source: (any HistoricalSource)?

    static let flags: [Flag] = [
        Flag(
            "historical-source", "KIND:URI?OPTIONS",
            "A store that /api/v1/historical reads instead of the aggregator's own history: influxdb:URL "
                + "with the sink's options, as in Heapster, or prometheus:URL of anything with "
                + "Prometheus's API, which the sink remotewrite fills. Options of prometheus: "
                + HistoricalSourceFlag.prometheusOptions.map(\.name).joined(separator: ", ")
                + ".")
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine) {
        guard let text = line.text("historical-source") else { return }
        do throws(SinkConfigurationError) {
            source = try HistoricalSourceFlag.source(text)
        } catch {
            line.report("--historical-source: \(error)")
        }
    }
}
