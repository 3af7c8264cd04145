import Wire

/// Prometheus remote write 2.0 (<https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/>): as 1.0, but each
/// text is in the request once, in a table of symbols, and series carry their metric's type and help.
struct RemoteWrite2Encoder: SinkEncoder {
    // The symbols are only complete at the end of a request, so this encoder cuts by itself.
    let limits = RequestLimits(byteCountMax: .max / 4, pointCountMax: .max / 4)
    let envelope = RequestEnvelope(packing: .snappy)
    private let names: RemoteWriteNames
    private var labels: RemoteWriteLabels
    private var symbols: [String: UInt32] = [:]
    private var symbolBytes: [UInt8] = []
    /// Packed references of the current set's labels.
    private var labelReferences: [UInt8] = []
    private var encodedTime: [UInt8] = []
    private var series: [UInt8] = []

    private static let pointCountMax = 10_000

    init(_ options: RemoteWriteEncoder.Options) {
        names = RemoteWriteNames(prefix: options.prefix)
        labels = RemoteWriteLabels(options)
    }

    mutating func begin(cycle: Int64) {
        encodedTime.removeAll(keepingCapacity: true)
        Protobuf.append(2, varint: UInt64(bitPattern: cycle), to: &encodedTime)
        forgetSymbols()
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        let table = names.table(of: set.kind)
        setLabels(set, [])
        for sample in set.values { add(sample.metric, sample.value, table, &requests) }
        var index = 0
        while index < set.labeledValues.count {
            let child = set.labeledValues[index].labels
            setLabels(set, child)
            while index < set.labeledValues.count, set.labeledValues[index].labels == child {
                let sample = set.labeledValues[index]
                add(sample.metric, sample.value, table, &requests)
                index += 1
            }
        }
        if requests.pointCount >= Self.pointCountMax { end(into: &requests) }
    }

    mutating func end(into requests: inout RequestBuilder) {
        guard requests.pointCount > 0 else { return }
        requests.bytes.append(contentsOf: symbolBytes)
        requests.cut()
        forgetSymbols()
    }

    private mutating func forgetSymbols() {
        symbols.removeAll(keepingCapacity: true)
        symbolBytes.removeAll(keepingCapacity: true)
        // Reference 0 is the empty text.
        _ = reference("")
    }

    private mutating func reference(_ text: String) -> UInt32 {
        if let known = symbols[text] { return known }
        let number = UInt32(symbols.count)
        symbols[text] = number
        Protobuf.append(4, string: text, to: &symbolBytes)
        return number
    }

    private mutating func setLabels(_ set: borrowing MetricSet, _ child: [Label]) {
        labels.merge(set, child)
        labelReferences.removeAll(keepingCapacity: true)
        for label in labels.merged {
            Protobuf.append(varint: UInt64(reference(label.key)), to: &labelReferences)
            Protobuf.append(varint: UInt64(reference(label.value)), to: &labelReferences)
        }
    }

    private mutating func add(
        _ metric: MetricKey, _ value: MetricValue, _ table: RemoteWriteNames.Table,
        _ requests: inout RequestBuilder
    ) {
        let nameKey = UInt64(reference("__name__"))
        let name = UInt64(reference(table.name(metric)))
        series.removeAll(keepingCapacity: true)
        Protobuf.append(
            header: 1,
            byteCount: Protobuf.varintByteCount(nameKey) + Protobuf.varintByteCount(name)
                + labelReferences.count, to: &series)
        Protobuf.append(varint: nameKey, to: &series)
        Protobuf.append(varint: name, to: &series)
        series.append(contentsOf: labelReferences)
        series.append(2 << 3 | 2)
        series.append(UInt8(9 + encodedTime.count))
        Protobuf.append(1, double: value.double * table.scale(metric), to: &series)
        series.append(contentsOf: encodedTime)
        let help: UInt32
        switch metric {
        case .catalogue(let id): help = reference(Catalog.metric(id).help)
        case .named: help = 0
        }
        Protobuf.append(5, to: &series) { metadata in
            // METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE.
            Protobuf.append(1, varint: metric.kind == .counter ? 1 : 2, to: &metadata)
            Protobuf.append(3, varint: UInt64(help), to: &metadata)
        }
        requests.beginItem()
        Protobuf.append(5, bytes: series, to: &requests.bytes)
        requests.endItem()
    }
}
