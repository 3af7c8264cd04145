/// How a batch labels its sets: Heapster's flags.
struct BatchOptions: Sendable {
    /// Between the labels of the `labels` label, `--label-separator`.
    var labelSeparator = ","
    /// Keys left out of the `labels` label, `--ignore-label`.
    var ignoredLabels: Set<String> = []
    /// Object labels that become labels of their own, by key, with their new names, `--store-label`.
    var storedLabels: [String: String] = [:]
    /// The node annotation that stands for `host_id` where nodes have no external ID
    /// (`host_id_annotation`).
    var hostIDAnnotation: String?
    /// The label `cluster_name` of all sets, `--cluster-name`; `nil` for none.
    var clusterName: String?
}
