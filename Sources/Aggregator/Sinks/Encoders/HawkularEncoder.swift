import Wire

/// Metrics for Hawkular (<https://www.hawkular.org/docs/rest/rest-metrics.html>), ids and tags as Heapster's.
///
/// A request is a row of messages (`MessageRow`): the key is the tenant, a tab and `gauges/ID` or `counters/ID`, the value the
/// metric's tags, a line feed, and its data point. The delivery sends tags it has not sent yet, then
/// the points.
struct HawkularEncoder: PointEncoder {
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
    // Of the set or child at hand.
    private var tenant = ""
    private var idStart = ""
    private var childName = ""
    private var container = ""
    private var tags = JSONWriter()
    private var message: [UInt8] = []

    init(_ options: Options) {
        self.options = options
        limits = RequestLimits(byteCountMax: 4 << 20, pointCountMax: max(1, options.batchSize))
    }

    mutating func begin(cycle: Int64) { milliseconds = cycle }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        for drop in options.dropsByLabel {
            if let value = set.label(drop.key), drop.pattern.matches(value) { return }
        }
        encodePoints(set, into: &requests)
    }

    mutating func setLabels(_ set: borrowing MetricSet, _ child: [Label]) {
        if child.isEmpty {
            tenant = options.labelToTenant.flatMap { set.label($0) } ?? ""
            container = set.label("container_name") ?? ""
            idStart = beginningOfID(set)
        }
        childName = child.isEmpty ? "" : "/\(ChildName.text(of: child))"
        setTags(set, child)
    }

    mutating func point(
        _ metric: MetricKey, _ value: MetricValue, of kind: EntityKind,
        _ requests: inout RequestBuilder
    ) {
        let name = metric.name
        guard value.double.isFinite, !options.dropsByName.contains(where: { $0.matches(name) })
        else { return }
        let type = metric.kind == .counter ? "counters" : "gauges"
        message.removeAll(keepingCapacity: true)
        var tags = tags
        tags.key("descriptor_name")
        tags.string(name)
        tags.key("group_id")
        tags.string("\(container)/\(name)")
        let units = Self.units(metric)
        if !units.isEmpty {
            tags.key("units")
            tags.string(units)
        }
        tags.endObject()
        message.append(contentsOf: tags.bytes)
        SinkText.append("\n{\"timestamp\":", to: &message)
        SinkText.append(milliseconds, to: &message)
        SinkText.append(",\"value\":", to: &message)
        JSONNumberFormat.append(value.double, to: &message)
        message.append(UInt8(ascii: "}"))
        requests.beginItem()
        MessageRow.append(
            key: Array("\(tenant)\t\(type)/\(idStart)\(name)\(childName)".utf8),
            value: message, to: &requests.bytes)
        requests.endItem()
    }

    /// What stands before the metric in its id.
    private func beginningOfID(_ set: borrowing MetricSet) -> String {
        let pod = set.label("pod_id") ?? ""
        let node = set.label(options.labelNodeID) ?? set.label("nodename") ?? ""
        switch set.kind {
        case .cluster: return "cluster/"
        case .namespace: return "ns/\(set.label("namespace_name") ?? "")/"
        case .node: return "machine/\(node)/"
        case .pod: return "pod/\(pod)/"
        case .container: return "\(container)/\(pod)/"
        // Mended: the node is in the id, where Heapster had nothing and all nodes' collided.
        case .systemContainer: return "sys_container/\(container)/\(node)/"
        case .workload:
            let workload = set.label("workload_name") ?? ""
            return "workload/\(set.label("namespace_name") ?? "")/\(workload)/"
        }
    }

    /// `{"key":"value",…`, what all metrics of the set or child have; without the end.
    private mutating func setTags(_ set: borrowing MetricSet, _ child: [Label]) {
        // The last one's object is not ended.
        tags = JSONWriter()
        tags.beginObject()
        for label in set.labels where !label.value.isEmpty { member(label.key, label.value) }
        for label in child { member(label.key, label.value) }
        for label in ObjectLabels.pairs(of: set) {
            member(options.labelTagPrefix + label.key, label.value)
        }
        if child.contains(where: { $0.key == "resource_id" }) {
            member("resource_id_description", "Identifier(s) specific to a metric")
        }
    }

    private mutating func member(_ key: String, _ value: String) {
        tags.key(key)
        tags.string(value)
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
