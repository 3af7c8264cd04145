import Wire

/// Where the aggregator keeps what must survive it.
struct DataFlags: Sendable {
    /// `nil`: everything is in memory.
    private(set) var directory: String?

    static let flags: [Flag] = [
        Flag(
            "data-dir", "DIRECTORY",
            "Keeps frames, names and roll-ups, what sinks have yet to deliver, and how far they came, across a restart "
                + "or a crash. Without it that is in memory. Made if missing; one aggregator a directory."
        )
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine) {
        directory = line.text("data-dir")
        if directory?.isEmpty == true {
            line.report("--data-dir= names no directory; write --data-dir=/var/lib/heapwire")
        }
    }
}
