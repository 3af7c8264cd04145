import Wire

/// What the model keeps: cycles, window, nodes.
struct ModelFlags: Sendable {
    var model = ModelConfiguration()

    static let flags: [Flag] = [
        Flag(
            "metric-resolution", "DURATION", default: "10s",
            "Time between cycles, 1s to 1h. Agents without --resolution send at it."),
        Flag(
            "history", "DURATION", default: "15m",
            "How much history is kept in memory, 1m to 24h."),
        Flag(
            "max-nodes", "COUNT", default: "20000", "Nodes that may be known at once."),
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine) {
        model.resolution =
            line.milliseconds("metric-resolution", in: 1_000...3_600_000) ?? model.resolution
        model.window = line.milliseconds("history", in: 60_000...86_400_000) ?? model.window
        model.nodes = line.integer("max-nodes", in: 1...1_000_000) ?? model.nodes
    }
}
