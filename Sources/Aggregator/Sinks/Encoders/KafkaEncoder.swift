import Wire

/// Messages for Kafka as Heapster's, one for each value:
/// `{"MetricsName","MetricsValue":{"value"},"MetricsTimestamp","MetricsTags"}`.
///
/// A request is a row of messages, each `key length, key, value length, value` (lengths of four bytes,
/// big endian); the delivery spreads them over partitions. Mended: the key is the entity, so that all
/// of an entity's messages are in one partition and in order; Heapster had none.
struct KafkaEncoder: PointEncoder {
    let limits = RequestLimits(byteCountMax: 900_000, pointCountMax: 5_000)
    private var merger: LabelMerger
    /// `"cpu/usage"`
    private let names = MetricNameTable {
        String(decoding: MetricFamilyOrder.quoted($0.name), as: UTF8.self)
    }
    private var key: [UInt8] = []
    /// `},"MetricsTimestamp":…,"MetricsTags":`
    private var middle: [UInt8] = []
    private var tags = JSONWriter()
    private var message: [UInt8] = []

    init(clusterName: String?) {
        merger = LabelMerger(
            cluster: clusterName.map { Label(key: "cluster_name", value: $0) }, dropsEmpty: false)
    }

    mutating func begin(cycle: Int64) {
        let time = RFC3339.string(milliseconds: cycle)
        middle = Array("},\"MetricsTimestamp\":\"\(time)\",\"MetricsTags\":".utf8)
    }

    mutating func setLabels(_ set: borrowing MetricSet, _ child: [Label]) {
        if child.isEmpty { key = Array(SetKey.text(of: set).utf8) }
        merger.merge(set.labels, child)
        tags.bytes.removeAll(keepingCapacity: true)
        tags.object(of: merger.labels)
    }

    mutating func point(
        _ metric: MetricKey, _ value: MetricValue, of kind: EntityKind,
        _ requests: inout RequestBuilder
    ) {
        guard value.double.isFinite else { return }
        message.removeAll(keepingCapacity: true)
        SinkText.append("{\"MetricsName\":", to: &message)
        names.append(metric, to: &message)
        SinkText.append(",\"MetricsValue\":{\"value\":", to: &message)
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &message)
        case .float(let number): JSONNumberFormat.append(number, to: &message)
        }
        message.append(contentsOf: middle)
        message.append(contentsOf: tags.bytes)
        message.append(UInt8(ascii: "}"))
        requests.beginItem()
        MessageRow.append(key: key, value: message, to: &requests.bytes)
        requests.endItem()
    }
}
