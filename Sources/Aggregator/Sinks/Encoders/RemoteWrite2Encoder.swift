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
    /// What a metric of the catalogue has in this request's table, by kind of entity and number. A
    /// look-up by text for each point would cost more than all the rest.
    private var metricReferences: [MetricReferences]

    private struct MetricReferences {
        /// 0: not in the table yet.
        var name: UInt32 = 0
        var help: UInt32 = 0
        var isCounter = false
    }

    private static let pointCountMax = 10_000
    /// `__name__` is in the table first, behind the empty text.
    private static let nameKeyReference: UInt8 = 1
    private static let rowsPerKind = (Catalog.metrics.map { Int($0.id.rawValue) }.max() ?? 0) + 1

    init(_ options: RemoteWriteEncoder.Options) {
        names = RemoteWriteNames(prefix: options.prefix)
        labels = RemoteWriteLabels(options)
        metricReferences = Array(
            repeating: MetricReferences(), count: Self.rowsPerKind * EntityKind.allCases.count)
    }

    mutating func begin(cycle: Int64) {
        encodedTime.removeAll(keepingCapacity: true)
        Protobuf.append(2, varint: UInt64(bitPattern: cycle), to: &encodedTime)
        forgetSymbols()
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        let table = names.table(of: set.kind)
        let firstRow = names.number(of: set.kind) * Self.rowsPerKind
        setLabels(set, [])
        for sample in set.values { add(sample.metric, sample.value, table, firstRow, &requests) }
        for child in ChildRuns(set.labeledValues) {
            setLabels(set, child[child.startIndex].labels)
            for sample in child { add(sample.metric, sample.value, table, firstRow, &requests) }
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
        let nameKey = reference("__name__")
        precondition(nameKey == UInt32(Self.nameKeyReference), "\(nameKey)")
        for index in metricReferences.indices { metricReferences[index] = MetricReferences() }
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

    @inline(__always)
    private mutating func add(
        _ metric: MetricKey, _ value: MetricValue, _ table: RemoteWriteNames.Table,
        _ firstRow: Int, _ requests: inout RequestBuilder
    ) {
        let row: MetricReferences
        switch metric {
        case .catalogue(let id):
            let index = firstRow &+ Int(id.rawValue)
            if metricReferences[index].name == 0 {
                metricReferences[index] = MetricReferences(
                    name: reference(table.name(metric)), help: reference(Catalog.metric(id).help),
                    isCounter: metric.kind == .counter)
            }
            row = metricReferences[index]
        case .named(_, let kind):
            row = MetricReferences(
                name: reference(table.name(metric)), help: 0, isCounter: kind == .counter)
        }
        let labelsCount =
            1 + Protobuf.varintByteCount(UInt64(row.name)) + labelReferences.count
        let sampleCount = 9 + encodedTime.count
        // Type and help, each behind its tag.
        let metadataCount = 3 + Protobuf.varintByteCount(UInt64(row.help))
        let count =
            1 + Protobuf.varintByteCount(UInt64(labelsCount)) + labelsCount + 2 + sampleCount + 2
            + metadataCount
        requests.beginItem()
        requests.write(atMost: Protobuf.byteCount(ofField: count)) { bytes in
            Protobuf.append(header: 5, byteCount: count, to: &bytes)
            Protobuf.append(header: 1, byteCount: labelsCount, to: &bytes)
            bytes.append(Self.nameKeyReference)
            Protobuf.append(varint: UInt64(row.name), to: &bytes)
            bytes.append(labelReferences)
            bytes.append(2 << 3 | 2)
            bytes.append(UInt8(sampleCount))
            Protobuf.append(1, double: value.double * table.scale(metric), to: &bytes)
            bytes.append(encodedTime)
            bytes.append(5 << 3 | 2)
            bytes.append(UInt8(metadataCount))
            // METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE.
            Protobuf.append(1, varint: row.isCounter ? 1 : 2, to: &bytes)
            Protobuf.append(3, varint: UInt64(row.help), to: &bytes)
        }
        requests.endItem()
    }
}
