import Wire

/// Batches as text for people, the layout of Heapster's log sink (metrics/sinks/log/log_sink.go): the
/// whole set, keys in order. Sets come in the order of the batch, so that it need not be in memory
/// as a whole.
struct LogEncoder: SinkEncoder {
    private var cycle: Int64 = 0
    private var isFirst = true

    mutating func begin(cycle: Int64) {
        self.cycle = cycle
        isFirst = true
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        requests.beginItem()
        if isFirst {
            isFirst = false
            SinkText.append(
                "DataBatch     Timestamp: \(Self.time(milliseconds: cycle)) +0000 UTC\n\n",
                to: &requests.bytes)
        }
        let created = Self.goTime(milliseconds: set.entityCreateTime)
        let scraped = Self.goTime(milliseconds: set.scrapeTime)
        SinkText.append(
            "MetricSet: \(SetKey.text(of: set))\n   Scrape time: \(scraped)\n"
                + "   Create time: \(created)\n   Labels:\n", to: &requests.bytes)
        for label in set.labels {
            SinkText.append("      \(label.key) = \(label.value)\n", to: &requests.bytes)
        }
        SinkText.append("   Metrics:\n", to: &requests.bytes)
        for sample in set.values.sorted(by: { $0.metric.name < $1.metric.name }) {
            line(sample.metric.name, sample.value, &requests.bytes)
        }
        SinkText.append("   Labeled Metrics:\n", to: &requests.bytes)
        for sample in set.labeledValues {
            line(sample.metric.name, sample.value, &requests.bytes)
            for label in sample.labels {
                SinkText.append("         \(label.key) = \(label.value)\n", to: &requests.bytes)
            }
        }
        SinkText.append("\n", to: &requests.bytes)
        requests.endItem(points: set.values.count + set.labeledValues.count)
    }

    private func line(_ name: String, _ value: MetricValue, _ bytes: inout [UInt8]) {
        SinkText.append("      \(name) = ", to: &bytes)
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &bytes)
        case .float(let number): SinkText.append(sixDecimals: number, to: &bytes)
        }
        SinkText.append("\n", to: &bytes)
    }

    /// Go's `Time.String()` and `UnixNano()`; its zero time stands for "not known".
    private static func goTime(milliseconds: Int64) -> String {
        if milliseconds == 0 { return "0001-01-01 00:00:00 +0000 UTC -6795364578871345152" }
        return "\(time(milliseconds: milliseconds)) +0000 UTC \(milliseconds &* 1_000_000)"
    }

    private static func time(milliseconds: Int64) -> String {
        var text = RFC3339.string(milliseconds: milliseconds)
        text.removeLast()
        return String(text.map { $0 == "T" ? " " : $0 })
    }
}

/// Heapster's key of a set: `namespace:NS/pod:POD/container:C`, `node:NODE/container:C` and so on.
enum SetKey {
    static func text(of set: borrowing MetricSet) -> String {
        let namespace = set.label("namespace_name") ?? ""
        let node = set.label("nodename") ?? ""
        let container = set.label("container_name") ?? ""
        let pod = set.label("pod_name") ?? ""
        switch set.kind {
        case .cluster: return "cluster"
        case .namespace: return "namespace:\(namespace)"
        case .node: return "node:\(node)"
        case .pod: return "namespace:\(namespace)/pod:\(pod)"
        case .container: return "namespace:\(namespace)/pod:\(pod)/container:\(container)"
        case .systemContainer: return "node:\(node)/container:\(container)"
        case .workload:
            let kind = set.label("workload_kind") ?? ""
            return "namespace:\(namespace)/\(kind):\(set.label("workload_name") ?? "")"
        }
    }
}
