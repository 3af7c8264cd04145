import Wire

/// What the log in `--data-dir` may cost.
struct LogFlags: Sendable {
    private(set) var log = LogConfiguration()

    static let flags: [Flag] = [
        Flag(
            "log-sync", "DURATION", default: "1s",
            "Time between commits of the log to --data-dir, 10ms to 5s. Agents keep their frames until then."
        ),
        Flag(
            "retention", "DURATION", default: "24h",
            "How long the log is kept, 1m to 9600h. Needs --data-dir."),
        Flag(
            "retention-bytes", "BYTES", default: "64Gi",
            "How large the log may get before its oldest part is removed, 64MiB at least. Needs "
                + "--data-dir."),
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine, _ data: DataFlags) {
        log.syncMilliseconds =
            line.milliseconds("log-sync", in: 10...5_000) ?? log.syncMilliseconds
        log.retention = line.milliseconds("retention", in: 60_000...34_560_000_000) ?? log.retention
        log.retentionBytes =
            line.bytes("retention-bytes", in: 64 << 20...1 << 60) ?? log.retentionBytes
        // A fraction of what may be kept goes at once.
        log.segmentBytes = min(log.segmentBytes, max(4 << 20, log.retentionBytes / 8))
        log.segmentMilliseconds = min(log.segmentMilliseconds, max(60_000, log.retention / 8))
        guard data.directory == nil else { return }
        for flag in ["log-sync", "retention", "retention-bytes"] where line.isGiven(flag) {
            line.report("--\(flag) needs --data-dir: without one there is no log")
        }
    }
}
