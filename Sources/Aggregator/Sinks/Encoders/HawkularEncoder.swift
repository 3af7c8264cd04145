import Wire

/// Metrics for Hawkular (<https://www.hawkular.org/docs/rest/rest-metrics.html>), ids and tags as Heapster's.
///
/// A request is a row of messages (`MessageRow`): the key is the tenant, a tab and `gauges/ID` or `counters/ID`, the value the
/// metric's tags, a line feed, and its data point. The delivery sends tags it has not sent yet, then
/// the points.
struct HawkularEncoder: SinkEncoder {
    struct Options: Sendable {
        var labelToTenant: String?
        var labelNodeID = "nodename"
        var labelTagPrefix = "labels."
        var batchSize = 1_000
        /// Metrics and labels that are left out.
        var dropsByName: [NamePattern] = []
        var dropsByLabel: [(key: String, pattern: NamePattern)] = []
    }

    let limits: RequestLimits
    private let options: Options
    private var milliseconds: Int64 = 0
    private var json = JSONWriter()

    init(_ options: Options) {
        self.options = options
        limits = RequestLimits(byteCountMax: 4 << 20, pointCountMax: max(1, options.batchSize))
    }

    mutating func begin(cycle: Int64) { milliseconds = cycle }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        for drop in options.dropsByLabel {
            if let value = set.label(drop.key), drop.pattern.matches(value) { return }
        }
        for sample in set.values { write(set, sample.metric, sample.value, [], &requests) }
        for sample in set.labeledValues {
            write(set, sample.metric, sample.value, sample.labels, &requests)
        }
    }

    private mutating func write(
        _ set: borrowing MetricSet, _ metric: MetricKey, _ value: MetricValue, _ child: [Label],
        _ requests: inout RequestBuilder
    ) {
        let name = metric.name
        guard value.double.isFinite, !options.dropsByName.contains(where: { $0.matches(name) })
        else { return }
        var id = identifier(set, name)
        if !child.isEmpty { id += "/\(ChildName.text(of: child))" }
        let type = metric.kind == .counter ? "counters" : "gauges"
        json.bytes.removeAll(keepingCapacity: true)
        writeTags(set, metric, child)
        var message = json.bytes
        message.append(UInt8(ascii: "\n"))
        json.bytes.removeAll(keepingCapacity: true)
        json.beginObject()
        json.key("timestamp")
        json.integer(milliseconds)
        json.key("value")
        json.double(value.double)
        json.endObject()
        message += json.bytes
        requests.beginItem()
        let tenant = options.labelToTenant.flatMap { set.label($0) } ?? ""
        MessageRow.append(
            key: Array("\(tenant)\t\(type)/\(id)".utf8), value: message, to: &requests.bytes)
        requests.endItem()
    }

    private func identifier(_ set: borrowing MetricSet, _ metric: String) -> String {
        let pod = set.label("pod_id") ?? ""
        let container = set.label("container_name") ?? ""
        let node = set.label(options.labelNodeID) ?? set.label("nodename") ?? ""
        switch set.kind {
        case .cluster: return "cluster/\(metric)"
        case .namespace: return "ns/\(set.label("namespace_name") ?? "")/\(metric)"
        case .node: return "machine/\(node)/\(metric)"
        case .pod: return "pod/\(pod)/\(metric)"
        case .container: return "\(container)/\(pod)/\(metric)"
        // Mended: the node is in the id, where Heapster had nothing and all nodes' collided.
        case .systemContainer: return "sys_container/\(container)/\(node)/\(metric)"
        case .workload:
            let workload = set.label("workload_name") ?? ""
            return "workload/\(set.label("namespace_name") ?? "")/\(workload)/\(metric)"
        }
    }

    private mutating func writeTags(
        _ set: borrowing MetricSet, _ metric: MetricKey, _ child: [Label]
    ) {
        var tags = set.labels.filter { !$0.value.isEmpty } + child
        for label in ObjectLabels.pairs(of: set) {
            tags.append(Label(key: options.labelTagPrefix + label.key, value: label.value))
        }
        tags.append(Label(key: "descriptor_name", value: metric.name))
        let group = "\(set.label("container_name") ?? "")/\(metric.name)"
        tags.append(Label(key: "group_id", value: group))
        let units = Self.units(metric)
        if !units.isEmpty { tags.append(Label(key: "units", value: units)) }
        if child.contains(where: { $0.key == "resource_id" }) {
            tags.append(
                Label(key: "resource_id_description", value: "Identifier(s) specific to a metric"))
        }
        json.beginObject()
        for tag in tags.sorted(by: { $0.key < $1.key }) {
            json.key(tag.key)
            json.string(tag.value)
        }
        json.endObject()
    }

    private static func units(_ metric: MetricKey) -> String {
        guard case .catalogue(let id) = metric else { return "" }
        return switch Catalog.metric(id).unit {
        case .bytes: "bytes"
        case .nanoseconds: "ns"
        case .milliseconds: "ms"
        case .millicores: "millicores"
        case .none, .milli, .percent, .perSecond, .ratio: ""
        }
    }
}
