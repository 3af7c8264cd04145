import Wire

/// `--cluster-name`: this cluster's name among others.
struct ClusterFlags: Sendable {
    /// `nil` where it has none.
    private(set) var name: String?

    private static let byteCountMax = 253

    static let flags: [Flag] = [
        Flag(
            "cluster-name", "NAME",
            "This cluster among others: the label cluster_name of everything that goes to sinks (an "
                + "option cluster_name of a sink goes before it) and of metric-export.")
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine) {
        name = line.text("cluster-name")
        guard let name else { return }
        let isText = name.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F }
        if name.isEmpty || name.utf8.count > Self.byteCountMax || !isText {
            line.report(
                "--cluster-name=\(name) must be a name of 1 to \(Self.byteCountMax) bytes without "
                    + "blanks, such as production-1")
        }
    }
}
