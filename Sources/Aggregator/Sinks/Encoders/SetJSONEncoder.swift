import Wire

/// A set as one line of JSON: timestamp, cluster, type, labels, metrics; children's metrics with their
/// own labels.
struct SetJSONEncoder: SinkEncoder {
    let limits = RequestLimits(byteCountMax: 1 << 20, pointCountMax: 20_000)
    private let clusterName: String
    private var cycle: Int64 = 0
    private var json = JSONWriter()

    init(clusterName: String) { self.clusterName = clusterName }

    mutating func begin(cycle: Int64) { self.cycle = cycle }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        json.bytes.removeAll(keepingCapacity: true)
        json.beginObject()
        json.key("timestamp")
        json.time(milliseconds: cycle)
        json.key("cluster_name")
        json.string(clusterName)
        json.key("key")
        json.string(SetKey.text(of: set))
        json.key("labels")
        json.object(of: set.labels)
        json.key("metrics")
        json.beginObject()
        for sample in set.values {
            json.key(sample.metric.name)
            write(sample.value)
        }
        json.endObject()
        if !set.labeledValues.isEmpty {
            json.key("labeledMetrics")
            json.beginArray()
            for sample in set.labeledValues {
                json.beginObject()
                json.key("name")
                json.string(sample.metric.name)
                json.key("labels")
                json.object(of: sample.labels)
                json.key("value")
                write(sample.value)
                json.endObject()
            }
            json.endArray()
        }
        json.endObject()
        requests.beginItem()
        requests.bytes.append(contentsOf: json.bytes)
        requests.bytes.append(UInt8(ascii: "\n"))
        requests.endItem(points: set.values.count + set.labeledValues.count)
    }

    private mutating func write(_ value: MetricValue) {
        switch value {
        case .integer(let whole): json.integer(whole)
        case .float(let number): json.double(number)
        }
    }
}
