import Wire

/// Messages for Kafka as Heapster's, one for each value:
/// `{"MetricsName","MetricsValue":{"value"},"MetricsTimestamp","MetricsTags"}`.
///
/// A request is a row of messages, each `key length, key, value length, value` (lengths of four bytes,
/// big endian); the delivery spreads them over partitions. Mended: the key is the entity, so that all
/// of an entity's messages are in one partition and in order; Heapster had none.
struct KafkaEncoder: SinkEncoder {
    let limits = RequestLimits(byteCountMax: 900_000, pointCountMax: 5_000)
    private var merger: LabelMerger
    private var time = ""
    private var tags = JSONWriter()
    /// `,"MetricsTimestamp":…,"MetricsTags":{…}}`
    private var tail: [UInt8] = []
    private var name = JSONWriter()
    private var message: [UInt8] = []

    init(clusterName: String?) {
        merger = LabelMerger(
            cluster: clusterName.map { Label(key: "cluster_name", value: $0) }, dropsEmpty: false)
    }

    mutating func begin(cycle: Int64) {
        time = RFC3339.string(milliseconds: cycle)
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        let key = Array(SetKey.text(of: set).utf8)
        setTail(set.labels, [])
        for sample in set.values { write(sample.metric.name, sample.value, key, &requests) }
        for sample in set.labeledValues {
            setTail(set.labels, sample.labels)
            write(sample.metric.name, sample.value, key, &requests)
        }
    }

    private mutating func setTail(_ own: [Label], _ child: [Label]) {
        merger.merge(own, child)
        tags.bytes.removeAll(keepingCapacity: true)
        tags.object(of: merger.labels)
        tail = Array("},\"MetricsTimestamp\":\"\(time)\",\"MetricsTags\":".utf8)
        tail.append(contentsOf: tags.bytes)
        tail.append(UInt8(ascii: "}"))
    }

    private mutating func write(
        _ metric: String, _ value: MetricValue, _ key: [UInt8], _ requests: inout RequestBuilder
    ) {
        guard value.double.isFinite else { return }
        message.removeAll(keepingCapacity: true)
        name.bytes.removeAll(keepingCapacity: true)
        name.string(metric)
        SinkText.append("{\"MetricsName\":", to: &message)
        message.append(contentsOf: name.bytes)
        SinkText.append(",\"MetricsValue\":{\"value\":", to: &message)
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &message)
        case .float(let number): JSONNumberFormat.append(number, to: &message)
        }
        message.append(contentsOf: tail)
        requests.beginItem()
        MessageRow.append(key: key, value: message, to: &requests.bytes)
        requests.endItem()
    }
}
