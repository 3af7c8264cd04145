import Wire

/// `/api/v1/metric-export` and `/api/v1/metric-export-schema`: the newest batch as Heapster showed it.
struct MetricExportAPI: Sendable {
    let index: ClusterIndex
    let custom: CustomMetrics?
    let options: BatchOptions

    func register(in router: inout Router) {
        let group = router.addGroup(.heapster(prefix: "/api/v1"))
        router.add(.get, "/metric-export", group: group) { _ in
            guard
                let batch = ModelBatch.newest(
                    index: index, custom: custom, options: options, withoutSums: true)
            else { return .now(.json(Array("null\n".utf8))) }
            return .now(
                HTTPResponse(
                    .ok, contentType: "application/json",
                    body: .slowStream(MetricExport(batch))))
        }
        router.add(.get, "/metric-export-schema", group: group) { _ in
            .now(.json(MetricExportSchema.encode()))
        }
    }
}

/// The export, node by node.
private final class MetricExport: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private var nodes: [JoinedNode]
    private var next = 0
    private var sets: NodeSets
    private let timestamp: Int64
    private var isFirst = true

    init(_ batch: ModelBatch) {
        nodes = batch.index.nodes()
        sets = NodeSets(batch: batch)
        timestamp = batch.timestamp
    }

    func produce(into piece: inout [UInt8]) -> Bool {
        let end = piece.count + 32_768
        if next == 0 { piece.append(UInt8(ascii: "[")) }
        while next < nodes.count, piece.count < end {
            sets.build(nodes[next])
            next += 1
            for place in 0..<sets.count {
                if !isFirst { piece.append(UInt8(ascii: ",")) }
                isFirst = false
                var writer = JSONWriter()
                ExportedSet.write(sets.sets[place], timestamp, into: &writer)
                piece.append(contentsOf: writer.bytes)
            }
        }
        guard next >= nodes.count else { return true }
        piece.append(contentsOf: "]\n".utf8)
        return false
    }
}

/// One set as the export has it: Heapster's standard metrics and labels only.
private enum ExportedSet {
    private static let labels: Set<String> = [
        "nodename", "hostname", "host_id", "container_name", "container_base_image", "pod_name",
        "pod_id", "namespace_id", "labels",
    ]

    static func write(_ set: MetricSet, _ timestamp: Int64, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("metrics")
        writer.beginObject()
        var byName: [(name: String, values: [(labels: [Label], value: MetricValue)])] = []
        for sample in set.values where MetricExportSchema.hasPlain(sample.metric) {
            byName.append((sample.metric.name, [([], sample.value)]))
        }
        for sample in set.labeledValues where MetricExportSchema.hasLabeled(sample.metric) {
            let name = sample.metric.name
            if let place = byName.firstIndex(where: { $0.name == name }) {
                byName[place].values.append((sample.labels, sample.value))
            } else {
                byName.append((name, [(sample.labels, sample.value)]))
            }
        }
        for (name, values) in byName.sorted(by: { $0.name < $1.name }) {
            writer.key(name)
            writer.beginArray()
            let isCumulative = MetricExportSchema.isCumulative(name)
            let start = isCumulative ? set.collectionStartTime : timestamp
            for value in values { write(value, start, timestamp, into: &writer) }
            writer.endArray()
        }
        writer.endObject()
        writer.key("labels")
        writer.beginObject()
        for label in labels(of: set) {
            writer.key(label.key)
            writer.string(label.value)
        }
        writer.endObject()
        writer.endObject()
    }

    private static func write(
        _ item: (labels: [Label], value: MetricValue), _ start: Int64, _ end: Int64,
        into writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.key("start")
        writer.time(milliseconds: start)
        writer.key("end")
        writer.time(milliseconds: end)
        if !item.labels.isEmpty {
            writer.key("labels")
            writer.beginObject()
            for label in item.labels {
                writer.key(label.key)
                writer.string(label.value)
            }
            writer.endObject()
        }
        writer.key("value")
        switch item.value {
        case .integer(let value): writer.integer(value)
        case .float(let value): writer.double(value)
        }
        writer.endObject()
    }

    /// `machine` and `/pod` stand for the names that nodes and pods do not have.
    private static func labels(of set: MetricSet) -> [Label] {
        var found = set.labels.filter { labels.contains($0.key) }
        switch set.kind {
        case .node: found.append(Label(key: "container_name", value: "machine"))
        case .pod: found.append(Label(key: "container_name", value: "/pod"))
        default: break
        }
        return found.sorted { $0.key < $1.key }
    }
}
