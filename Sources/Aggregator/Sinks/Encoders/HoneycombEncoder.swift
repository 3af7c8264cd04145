import Wire

/// Honeycomb's batch of events (<https://docs.honeycomb.io/api/tag/Events#operation/createEvents>): one event
/// for each set, with its metrics and labels.
///
/// Keys are Heapster's `Data` and `Timestamp`, which Honeycomb reads without regard to case. Mended: the
/// metrics of filesystems, disks and accelerators are there too, as `filesystem/usage:RESOURCE`.
/// Counters are left out as Heapster did, events being no place for them.
struct HoneycombEncoder: SinkEncoder {
    let limits = RequestLimits(byteCountMax: 1 << 20, pointCountMax: 100)
    let envelope = RequestEnvelope(
        open: Array("[".utf8), separator: Array(",".utf8), close: Array("]".utf8))
    private var time = ""
    private var writer = JSONWriter()

    mutating func begin(cycle: Int64) {
        time = RFC3339.string(milliseconds: cycle)
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        var fields: [(name: String, value: Field)] = []
        for label in set.labels { fields.append((label.key, .text(label.value))) }
        for sample in set.values where Self.isSent(sample.metric) {
            fields.append((sample.metric.name, .number(sample.value)))
        }
        for sample in set.labeledValues where Self.isSent(sample.metric) {
            let name = "\(sample.metric.name):\(ChildName.text(of: sample.labels))"
            fields.append((name, .number(sample.value)))
        }
        fields.sort { $0.name < $1.name }
        writer.bytes.removeAll(keepingCapacity: true)
        writer.beginObject()
        writer.key("Data")
        writer.beginObject()
        for field in fields {
            writer.key(field.name)
            switch field.value {
            case .text(let text): writer.string(text)
            case .number(.integer(let whole)): writer.integer(whole)
            case .number(.float(let number)): writer.double(number)
            }
        }
        writer.endObject()
        writer.key("Timestamp")
        writer.string(time)
        writer.endObject()
        requests.beginItem()
        requests.bytes.append(contentsOf: writer.bytes)
        requests.endItem()
    }

    private enum Field {
        case text(String)
        case number(MetricValue)
    }

    private static func isSent(_ metric: MetricKey) -> Bool {
        if case .catalogue(.uptime) = metric { return true }
        if case .named = metric { return true }
        return metric.kind == .gauge
    }
}
