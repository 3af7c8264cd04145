import Wire

/// What the pod directory and its source say about themselves, for `/metrics` and `/healthz`.
struct MetadataMetrics: Sendable {
    let directory: PodDirectory
    /// `nil` without an apiserver.
    let status: SourceStatus?

    /// `ok`, and a line for each kind of object that the apiserver does not give now: names stay
    /// as they were, so that is no reason to be restarted. After a restart that is as they were in the
    /// log, and since when is said.
    var health: String {
        var lines = ["ok"] + (status?.troubles ?? [])
        if let status, !status.isSynchronized, let time = directory.restoredTime {
            lines.append("names are as of \(RFC3339.string(milliseconds: time)), from the log")
        }
        return lines.joined(separator: "\n")
    }

    /// Whether the apiserver has told of everything once, now or before a restart. Without an apiserver
    /// there is nothing to wait for.
    var hasNames: Bool {
        status.map { $0.isSynchronized || directory.restoredTime != nil } ?? true
    }

    func write(to text: inout PrometheusText) {
        let counts = directory.counts
        text.single(
            "heapwire_metadata_pods", .gauge, "Pods that are known and there", Double(counts.pods))
        text.single(
            "heapwire_metadata_departed_pods", .gauge,
            "Pods that went within the history window and keep their names",
            Double(counts.departedPods))
        text.single(
            "heapwire_metadata_evicted_pods_total", .counter,
            "Departed pods forgotten early because there were too many",
            Double(counts.evictedPods))
        text.single(
            "heapwire_metadata_containers", .gauge, "Container IDs that are known",
            Double(counts.containers))
        text.single(
            "heapwire_metadata_nodes", .gauge, "Nodes that the source told of", Double(counts.nodes)
        )
        text.single(
            "heapwire_metadata_namespaces", .gauge, "Namespaces that the source told of",
            Double(counts.namespaces))
        if let status { write(status.snapshot, to: &text) }
    }

    private func write(
        _ entries: [String: SourceStatus.Entry], to text: inout PrometheusText
    ) {
        let sorted = entries.sorted { $0.key < $1.key }
        func family(
            _ name: String, _ type: PrometheusText.Kind, _ help: String,
            _ value: (SourceStatus.Entry) -> Double
        ) {
            text.family(name, type, help)
            for (resource, entry) in sorted {
                text.sample(name, [("resource", resource)], value(entry))
            }
        }
        family("heapwire_apiserver_lists_total", .counter, "Complete lists from the apiserver") {
            Double($0.lists)
        }
        family("heapwire_apiserver_events_total", .counter, "Events of watches") {
            Double($0.events)
        }
        family("heapwire_apiserver_failures_total", .counter, "Lists and watches that failed") {
            Double($0.failures)
        }
        family("heapwire_apiserver_up", .gauge, "Whether the last list or watch was answered") {
            $0.failingSince == nil ? 1 : 0
        }
    }
}
