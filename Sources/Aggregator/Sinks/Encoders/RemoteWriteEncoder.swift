import Wire

/// Prometheus remote write 1.0 (<https://prometheus.io/docs/specs/prw/remote_write_spec/>): a
/// snappy-compressed protobuf `WriteRequest` of series with one sample each.
///
/// Labels are in the order of their names, as the specification demands, which the encoder gets by
/// putting `__name__` first and sorting the rest.
struct RemoteWriteEncoder: SinkEncoder {
    struct Options: Sendable, Equatable {
        var prefix = "heapwire_"
        var clusterName = "default"
        /// Whether the Kubernetes objects' own labels are sent, as `label_…`.
        var sendsObjectLabels = false
    }

    let limits = RequestLimits(byteCountMax: 2 << 20, pointCountMax: 10_000)
    let envelope = RequestEnvelope(packing: .snappy)
    private let names: RemoteWriteNames
    private var labels: RemoteWriteLabels
    /// The encoded labels of the current set or child.
    private var encodedLabels: [UInt8] = []
    /// Field 2 of a sample, its timestamp.
    private var encodedTime: [UInt8] = []

    init(_ options: Options) {
        names = RemoteWriteNames(prefix: options.prefix)
        labels = RemoteWriteLabels(options)
    }

    mutating func begin(cycle: Int64) {
        encodedTime.removeAll(keepingCapacity: true)
        Protobuf.append(2, varint: UInt64(bitPattern: cycle), to: &encodedTime)
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        let table = names.table(of: set.kind)
        setLabels(set, [])
        for sample in set.values { series(sample.metric, sample.value, table, &requests) }
        for child in ChildRuns(set.labeledValues) {
            setLabels(set, child[child.startIndex].labels)
            for sample in child { series(sample.metric, sample.value, table, &requests) }
        }
    }

    private mutating func setLabels(_ set: borrowing MetricSet, _ child: [Label]) {
        labels.merge(set, child)
        encodedLabels.removeAll(keepingCapacity: true)
        for label in labels.merged {
            let nameCount = label.key.utf8.count
            let valueCount = label.value.utf8.count
            let count =
                2 + nameCount + valueCount + Protobuf.varintByteCount(UInt64(nameCount))
                + Protobuf.varintByteCount(UInt64(valueCount))
            Protobuf.append(header: 1, byteCount: count, to: &encodedLabels)
            Protobuf.append(1, string: label.key, to: &encodedLabels)
            Protobuf.append(2, string: label.value, to: &encodedLabels)
        }
    }

    @inline(__always)
    private func series(
        _ metric: MetricKey, _ value: MetricValue, _ table: RemoteWriteNames.Table,
        _ requests: inout RequestBuilder
    ) {
        requests.beginItem()
        let sampleCount = 9 + encodedTime.count
        let nameCount = table.encodedByteCount(metric)
        // 2: tag and length of the sample, which is shorter than 128 bytes.
        let count = nameCount + encodedLabels.count + 2 + sampleCount
        requests.write(atMost: Protobuf.byteCount(ofField: count)) { row in
            Protobuf.append(header: 1, byteCount: count, to: &row)
            table.appendName(metric, to: &row)
            row.append(encodedLabels)
            row.append(2 << 3 | 2)
            row.append(UInt8(sampleCount))
            Protobuf.append(1, double: value.double * table.scale(metric), to: &row)
            row.append(encodedTime)
        }
        requests.endItem()
    }
}

/// The labels of remote write: Kubernetes' usual names, in their order.
struct RemoteWriteLabels: Sendable {
    private let options: RemoteWriteEncoder.Options
    private(set) var merged: [Label] = []

    init(_ options: RemoteWriteEncoder.Options) { self.options = options }

    mutating func merge(_ set: borrowing MetricSet, _ child: [Label]) {
        merged.removeAll(keepingCapacity: true)
        if !options.clusterName.isEmpty {
            merged.append(Label(key: "cluster", value: options.clusterName))
        }
        for label in set.labels { append(label) }
        for label in child { append(label) }
        if options.sendsObjectLabels {
            for label in ObjectLabels.pairs(of: set) where !label.value.isEmpty {
                let key = PrometheusNames.objectLabel(label.key)
                if !merged.contains(where: { $0.key == key }) {
                    merged.append(Label(key: key, value: label.value))
                }
            }
        }
        merged.sort { $0.key < $1.key }
    }

    private mutating func append(_ label: Label) {
        guard !label.value.isEmpty, let key = PrometheusNames.label(label.key) else { return }
        merged.append(Label(key: key, value: label.value))
    }
}

/// The `__name__` labels of the whole catalogue for each kind of entity, encoded.
struct RemoteWriteNames: Sendable {
    struct Table: Sendable {
        let kind: EntityKind
        fileprivate let prefix: String
        /// By metric number.
        /// All encoded names, one after the other.
        fileprivate var encoded: [UInt8] = []
        /// By number of a metric; its successor's is its end.
        fileprivate var starts: [Int] = []
        fileprivate var scales: [Double]
        fileprivate var names: [String]

        @inline(__always)
        func encodedByteCount(_ metric: MetricKey) -> Int {
            switch metric {
            case .catalogue(let id): starts[Int(id.rawValue) &+ 1] &- starts[Int(id.rawValue)]
            case .named: RemoteWriteNames.encode(name(metric)).count
            }
        }

        /// The `__name__` label.
        @inline(__always)
        func appendName(_ metric: MetricKey, to row: inout ByteCursor) {
            switch metric {
            case .catalogue(let id):
                let range = starts[Int(id.rawValue)]..<starts[Int(id.rawValue) &+ 1]
                encoded.withUnsafeBytes { row.append(UnsafeRawBufferPointer(rebasing: $0[range])) }
            case .named: row.append(RemoteWriteNames.encode(name(metric)))
            }
        }

        @inline(__always)
        func scale(_ metric: MetricKey) -> Double {
            switch metric {
            case .catalogue(let id): scales[Int(id.rawValue)]
            case .named: 1
            }
        }

        func name(_ metric: MetricKey) -> String {
            switch metric {
            case .catalogue(let id): names[Int(id.rawValue)]
            case .named: PrometheusNames.name(metric, of: kind, prefix: prefix)
            }
        }
    }

    private var tables: [Table] = []

    init(prefix: String) {
        let last = Catalog.metrics.map { Int($0.id.rawValue) }.max() ?? 0
        for kind in EntityKind.allCases {
            var table = Table(
                kind: kind, prefix: prefix, scales: Array(repeating: 1, count: last + 1),
                names: Array(repeating: "", count: last + 1))
            for number in 0...last {
                table.starts.append(table.encoded.count)
                guard let id = MetricID(rawValue: UInt16(number)) else { continue }
                let name = PrometheusNames.name(.catalogue(id), of: kind, prefix: prefix)
                table.names[number] = name
                table.encoded += Self.encode(name)
                table.scales[number] = PrometheusNames.scale(.catalogue(id))
            }
            table.starts.append(table.encoded.count)
            tables.append(table)
        }
    }

    func table(of kind: EntityKind) -> Table { tables[number(of: kind)] }

    /// Counts the kinds of entities from zero.
    func number(of kind: EntityKind) -> Int {
        guard let number = tables.firstIndex(where: { $0.kind == kind }) else {
            preconditionFailure("no names for \(kind)")
        }
        return number
    }

    fileprivate static func encode(_ name: String) -> [UInt8] {
        var bytes: [UInt8] = []
        Protobuf.append(1, to: &bytes) { label in
            Protobuf.append(1, string: "__name__", to: &label)
            Protobuf.append(2, string: name, to: &label)
        }
        return bytes
    }
}
