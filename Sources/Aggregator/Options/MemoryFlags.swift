import Wire

/// How much memory the aggregator may use.
struct MemoryFlags: Sendable {
    /// `nil`: nobody knows how much there is, or it shall not be limited.
    private(set) var limit: MemoryLimit?

    static let flags: [Flag] = [
        Flag(
            "memory-limit", "BYTES",
            "Memory that the aggregator may use: 4Gi, 500M, or a part of what there is, 60%. Below it "
                + "history shortens first, then new subjects and nodes are refused. Default: 80% of its "
                + "cgroup's limit or of the machine's memory. 0 for none.")
    ]

    private static let range = (64 << 20)...(1 << 50)

    /// Reads its flags; problems are reported to the command line.
    ///
    /// - Parameter available: how much there is.
    init(_ line: inout CommandLine, available: MemoryLimit? = .find()) {
        let text = line.text("memory-limit") ?? "\(MemoryLimit.defaultPercent)%"
        guard text != "0" else { return }
        if text.hasSuffix("%") {
            guard let percent = Int(text.dropLast()), (1...100).contains(percent) else {
                line.report("--memory-limit=\(text) is not a part; write 1% to 100%")
                return
            }
            limit = available.map {
                MemoryLimit(
                    byteCount: $0.byteCount / 100 * percent, origin: "\(percent) % of \($0.origin)")
            }
            return
        }
        guard let byteCount = parseByteCount(text), Self.range.contains(byteCount) else {
            line.report(
                "--memory-limit=\(text) is not a size of at least 64Mi; write 4Gi, 500M, 60% or 0")
            return
        }
        limit = MemoryLimit(byteCount: byteCount, origin: "--memory-limit")
    }
}
