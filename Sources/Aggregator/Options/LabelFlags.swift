import Wire

/// Which labels of Kubernetes objects become labels of metrics, in Heapster's spelling.
struct LabelFlags: Sendable {
    private(set) var options = BatchOptions()

    static let flags: [Flag] = [
        Flag(
            "label-separator", "TEXT", default: ",",
            "Stands between the KEY:VALUE pairs in the label `labels` of pods, containers and nodes."
        ),
        Flag(
            "store-label", "[NEW=]KEY", repeatable: true,
            "An object's label that becomes a label of its own beside `labels`, under its key or as NEW."
        ),
        Flag(
            "ignore-label", "KEY", repeatable: true,
            "An object's label that is left out of `labels`."),
    ]

    /// Reads its flags; problems are reported to the command line.
    ///
    /// - Parameters:
    ///   - hostIDAnnotation: of `--source`.
    ///   - clusterName: `--cluster-name`.
    init(_ line: inout CommandLine, hostIDAnnotation: String?, clusterName: String? = nil) {
        options.hostIDAnnotation = hostIDAnnotation
        options.clusterName = clusterName
        options.labelSeparator = line.text("label-separator") ?? ","
        options.ignoredLabels = Set(line.texts("ignore-label"))
        for text in line.texts("store-label") {
            let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = parts.first, let key = parts.last, !name.isEmpty, !key.isEmpty else {
                line.report("--store-label=\(text) names no label; write KEY or NEW=KEY")
                continue
            }
            if let other = options.storedLabels[String(key)], other != name {
                line.report(
                    "--store-label gives the label \(key) two names, \(other) and \(name); give one"
                )
            }
            options.storedLabels[String(key)] = String(name)
        }
    }
}
