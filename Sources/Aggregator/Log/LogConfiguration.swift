/// What the log may cost.
struct LogConfiguration: Sendable {
    /// Time between group commits, `--log-sync`, milliseconds.
    var syncMilliseconds: Int64 = 1_000
    /// Bytes of frames after which a new segment begins, and with it every node's state is written
    /// anew: what a restart has to decode.
    var segmentBytes = 64 << 20
    /// Age at which a segment ends, milliseconds, so that retention by age has something to remove.
    var segmentMilliseconds: Int64 = 3_600_000
    /// Appended but not yet on the disk; more is given up and counted.
    var pendingBytes = 256 << 20
    /// How long acknowledgements wait for a disk that fails, milliseconds. Agents that wait longer
    /// than 10 s reconnect for ever; what they were told is kept they still have for ten minutes.
    var patienceMilliseconds: Int64 = 5_000
    /// Segments whose newest record is older are removed, milliseconds.
    var retention: Int64 = 24 * 3_600_000
    /// Segments beyond this many bytes are removed, oldest first.
    var retentionBytes = 64 << 30
}
