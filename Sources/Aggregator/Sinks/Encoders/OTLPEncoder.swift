import Wire

/// OpenTelemetry metrics for OTLP/HTTP in protobuf
/// (<https://opentelemetry.io/docs/specs/otlp/>, opentelemetry-proto metrics/v1), one `ResourceMetrics` for each entity.
///
/// Resource attributes and the metrics that Kubernetes' semantic conventions know
/// (<https://opentelemetry.io/docs/specs/semconv/system/k8s-metrics/>) have their names; the rest is called
/// `heapwire.cpu.cfs_periods` and so on.
struct OTLPEncoder: SinkEncoder {
    let limits = RequestLimits(byteCountMax: 1 << 20, pointCountMax: 10_000)
    let envelope: RequestEnvelope
    private let clusterName: String
    private let shapes = OTLPShapes()
    private var cycle: UInt64 = 0
    private var resource: [UInt8] = []
    private var scopeMetrics: [UInt8] = []
    private var attributes: [UInt8] = []

    init(clusterName: String, packing: BodyPacking = .gzip) {
        self.clusterName = clusterName
        envelope = RequestEnvelope(packing: packing)
    }

    mutating func begin(cycle: Int64) { self.cycle = UInt64(bitPattern: cycle &* 1_000_000) }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        setResource(set)
        scopeMetrics.removeAll(keepingCapacity: true)
        Protobuf.append(1, to: &scopeMetrics) { scope in
            Protobuf.append(1, string: "heapwire", to: &scope)
        }
        let start = UInt64(bitPattern: set.collectionStartTime &* 1_000_000)
        for sample in set.values { add(sample.metric, sample.value, [], set.kind, start) }
        for sample in set.labeledValues {
            add(sample.metric, sample.value, sample.labels, set.kind, start)
        }
        requests.beginItem()
        // ResourceMetrics: resource = 1, scope_metrics = 2.
        let size =
            Protobuf.byteCount(ofField: resource.count)
            + Protobuf.byteCount(ofField: scopeMetrics.count)
        Protobuf.append(header: 1, byteCount: size, to: &requests.bytes)
        Protobuf.append(1, bytes: resource, to: &requests.bytes)
        Protobuf.append(2, bytes: scopeMetrics, to: &requests.bytes)
        requests.endItem(points: set.values.count + set.labeledValues.count)
    }

    private mutating func setResource(_ set: borrowing MetricSet) {
        resource.removeAll(keepingCapacity: true)
        Self.append(1, "k8s.cluster.name", clusterName, to: &resource)
        for label in set.labels {
            guard !label.value.isEmpty, let key = Self.attribute(label.key) else { continue }
            Self.append(1, key, label.value, to: &resource)
        }
        let object = set.kind == .node ? "node" : set.kind == .namespace ? "namespace" : "pod"
        for label in ObjectLabels.pairs(of: set) where !label.value.isEmpty {
            Self.append(1, "k8s.\(object).label.\(label.key)", label.value, to: &resource)
        }
    }

    private static func attribute(_ label: String) -> String? {
        switch label {
        case "namespace_name": "k8s.namespace.name"
        case "nodename": "k8s.node.name"
        case "pod_name": "k8s.pod.name"
        case "pod_id": "k8s.pod.uid"
        case "container_name": "k8s.container.name"
        case "container_base_image": "container.image.name"
        case "host_id": "host.id"
        case "type": "heapwire.entity"
        case "workload_kind": "k8s.workload.kind"
        case "workload_name": "k8s.workload.name"
        default: nil
        }
    }

    /// KeyValue { key = 1, value = 2: AnyValue { string_value = 1 } } as the given field.
    fileprivate static func append(
        _ field: UInt8, _ key: String, _ value: String, to bytes: inout [UInt8]
    ) {
        Protobuf.append(field, to: &bytes) { pair in
            Protobuf.append(1, string: key, to: &pair)
            Protobuf.append(2, to: &pair) { Protobuf.append(1, string: value, to: &$0) }
        }
    }

    /// ScopeMetrics.metrics = 2: Metric { name = 1, description = 2, unit = 3, and gauge = 5 or sum = 7
    /// of one NumberDataPoint = 1 }. Lengths are known before, so nothing is moved.
    private mutating func add(
        _ metric: MetricKey, _ value: MetricValue, _ labels: [Label], _ kind: EntityKind,
        _ start: UInt64
    ) {
        let shape = shapes[metric, kind]
        attributes.removeAll(keepingCapacity: true)
        for label in labels { Self.append(7, label.key, label.value, to: &attributes) }
        let startsAt = shape.isCounter && start != 0
        // A tag and eight bytes each: start, time, value.
        let pointSize =
            (startsAt ? 27 : 18) + shape.attributes.count + attributes.count
        let dataSize =
            Protobuf.byteCount(ofField: pointSize) + (shape.isCounter ? Self.sumEnd.count : 0)
        let metricSize = shape.head.count + Protobuf.byteCount(ofField: dataSize)
        Protobuf.append(header: 2, byteCount: metricSize, to: &scopeMetrics)
        scopeMetrics.append(contentsOf: shape.head)
        Protobuf.append(header: shape.isCounter ? 7 : 5, byteCount: dataSize, to: &scopeMetrics)
        Protobuf.append(header: 1, byteCount: pointSize, to: &scopeMetrics)
        if startsAt { Protobuf.append(2, fixed64: start, to: &scopeMetrics) }
        Protobuf.append(3, fixed64: cycle, to: &scopeMetrics)
        switch value {
        case .integer(let whole) where shape.scale == 1:
            Protobuf.append(6, fixed64: UInt64(bitPattern: whole), to: &scopeMetrics)
        default:
            Protobuf.append(4, double: value.double * shape.scale, to: &scopeMetrics)
        }
        scopeMetrics.append(contentsOf: shape.attributes)
        scopeMetrics.append(contentsOf: attributes)
        if shape.isCounter { scopeMetrics.append(contentsOf: Self.sumEnd) }
    }

    /// Sum { aggregation_temporality = 2: cumulative, is_monotonic = 3: true }.
    private static let sumEnd: [UInt8] = [2 << 3, 2, 3 << 3, 1]
}

/// What does not change from point to point of a metric, as bytes.
struct OTLPShape: Sendable {
    /// Name, description and unit of a `Metric`.
    let head: [UInt8]
    /// Of each `NumberDataPoint`.
    let attributes: [UInt8]
    let scale: Double
    let isCounter: Bool

    init(_ metric: MetricKey, of kind: EntityKind) {
        let convention = OTLPConvention(metric, of: kind)
        var head: [UInt8] = []
        Protobuf.append(1, string: convention.name, to: &head)
        if case .catalogue(let id) = metric {
            Protobuf.append(2, string: Catalog.metric(id).help, to: &head)
        }
        Protobuf.append(3, string: convention.unit, to: &head)
        self.head = head
        var attributes: [UInt8] = []
        for (key, text) in convention.attributes {
            OTLPEncoder.append(7, key, text, to: &attributes)
        }
        self.attributes = attributes
        scale = convention.scale
        isCounter = metric.kind == .counter
    }
}

/// The shapes of the whole catalogue for every kind of entity, made once.
struct OTLPShapes: Sendable {
    /// By kind, then by the number of the metric.
    private let shapes: [[OTLPShape?]]

    init() {
        let last = Catalog.metrics.map { Int($0.id.rawValue) }.max() ?? 0
        shapes = EntityKind.allCases.map { kind in
            var row = [OTLPShape?](repeating: nil, count: last + 1)
            for metric in Catalog.metrics {
                row[Int(metric.id.rawValue)] = OTLPShape(.catalogue(metric.id), of: kind)
            }
            return row
        }
    }

    subscript(metric: MetricKey, kind: EntityKind) -> OTLPShape {
        if case .catalogue(let id) = metric, let known = shapes[kind.index][Int(id.rawValue)] {
            return known
        }
        return OTLPShape(metric, of: kind)
    }
}

extension EntityKind {
    /// Its place in `allCases`.
    fileprivate var index: Int {
        switch self {
        case .cluster: 0
        case .namespace: 1
        case .node: 2
        case .pod: 3
        case .container: 4
        case .systemContainer: 5
        case .workload: 6
        }
    }
}

/// Name, unit and attributes of a metric by the semantic conventions.
struct OTLPConvention {
    let name: String
    /// UCUM.
    let unit: String
    let scale: Double
    var attributes: [(String, String)] = []

    init(_ metric: MetricKey, of kind: EntityKind) {
        let entity =
            switch kind {
            case .node: "k8s.node"
            case .pod: "k8s.pod"
            case .container: "container"
            case .namespace: "k8s.namespace"
            case .cluster: "heapwire.cluster"
            case .systemContainer: "heapwire.system_container"
            case .workload: "heapwire.workload"
            }
        scale = PrometheusNames.scale(metric)
        unit = Self.unit(metric)
        guard case .catalogue(let id) = metric else {
            name = "heapwire.\(Self.dotted(metric.name))"
            return
        }
        switch id {
        case .cpuUsage: name = "\(entity).cpu.time"
        case .cpuUsageRate: name = "\(entity).cpu.usage"
        case .memoryUsage: name = "\(entity).memory.usage"
        case .memoryWorkingSet: name = "\(entity).memory.working_set"
        case .memoryRSS: name = "\(entity).memory.rss"
        case .memoryPageFaults: name = "\(entity).memory.page_faults"
        case .memoryMajorPageFaults: name = "\(entity).memory.major_page_faults"
        case .networkReceiveBytes, .networkTransmitBytes: name = "\(entity).network.io"
        case .networkReceiveErrors, .networkTransmitErrors: name = "\(entity).network.errors"
        case .filesystemUsage: name = "\(entity).filesystem.usage"
        case .filesystemLimit: name = "\(entity).filesystem.capacity"
        case .filesystemAvailable: name = "\(entity).filesystem.available"
        case .uptime: name = "\(entity).uptime"
        case .restartCount where kind == .container: name = "k8s.container.restart.count"
        case .cpuRequest where kind == .container: name = "k8s.container.cpu.request"
        case .cpuLimit where kind == .container: name = "k8s.container.cpu.limit"
        case .memoryRequest where kind == .container: name = "k8s.container.memory.request"
        case .memoryLimit where kind == .container: name = "k8s.container.memory.limit"
        default: name = "heapwire.\(Self.dotted(metric.name))"
        }
        switch id {
        case .networkReceiveBytes, .networkReceiveErrors:
            attributes = [("network.io.direction", "receive")]
        case .networkTransmitBytes, .networkTransmitErrors:
            attributes = [("network.io.direction", "transmit")]
        default: break
        }
    }

    private static func dotted(_ name: String) -> String {
        String(name.map { $0 == "/" ? "." : $0 })
    }

    private static func unit(_ metric: MetricKey) -> String {
        guard case .catalogue(let id) = metric else { return "1" }
        return switch Catalog.metric(id).unit {
        case .bytes: "By"
        case .nanoseconds, .milliseconds: "s"
        case .millicores: "{cpu}"
        case .percent: "%"
        case .perSecond: "1/s"
        case .none, .milli, .ratio: "1"
        }
    }
}
