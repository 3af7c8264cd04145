import Wire

/// Wavefront's data format (<https://docs.wavefront.com/wavefront_data_format.html>) for its proxy:
/// `NAME VALUE SECONDS source="SOURCE" key="value" …`, names and tags as Heapster's.
///
/// Mended: quotes and backslashes in values are escaped, values longer than the 254 characters that
/// the proxy takes are cut instead of losing the point, and a line has no blank at its end.
struct WavefrontEncoder: PointEncoder {
    struct Options: Sendable, Equatable {
        var clusterName = "k8s-cluster"
        var prefix = "heapster."
        var includesLabels = false
        var includesContainers = true
    }

    private let options: Options
    private var merger: LabelMerger
    private let names: MetricNameTable
    private var stamp: [UInt8] = []
    private var tags: [UInt8] = []

    private static let special = ByteSet("\"\\")
    private static let tagByteCountMax = 254
    /// Letters, digits and `-_./` are a key's for the proxy.
    private static let unwantedInKeys = ByteSet(outsideLettersDigitsAnd: "-_./")
    private static let excluded: Set<String> = [
        "namespace_id", "host_id", "pod_id", "hostname", "labels",
    ]

    init(_ options: Options) {
        self.options = options
        names = MetricNameTable { String($0.name.map { $0 == "/" ? "." : $0 }) }
        merger = LabelMerger(
            excluding: Self.excluded, cluster: Label(key: "cluster", value: options.clusterName))
    }

    mutating func begin(cycle: Int64) {
        stamp = Array(" \(cycle / 1_000)".utf8)
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        if set.kind == .container, !options.includesContainers { return }
        let container = set.label("container_name") ?? ""
        if Substring(container).range(of: "system.slice/") != nil {
            return
        }
        encodePoints(set, into: &requests)
    }

    func point(
        _ metric: MetricKey, _ value: MetricValue, of kind: EntityKind,
        _ requests: inout RequestBuilder
    ) {
        requests.beginItem()
        SinkText.append(options.prefix, to: &requests.bytes)
        SinkText.append(kind.rawValue, to: &requests.bytes)
        requests.bytes.append(UInt8(ascii: "."))
        names.append(metric, to: &requests.bytes)
        requests.bytes.append(UInt8(ascii: " "))
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &requests.bytes)
        case .float(let number): SinkText.append(sixDecimals: number, to: &requests.bytes)
        }
        requests.bytes.append(contentsOf: stamp)
        requests.bytes.append(contentsOf: tags)
        requests.endItem()
    }

    mutating func setLabels(_ set: borrowing MetricSet, _ child: [Label]) {
        merger.merge(set.labels, child)
        tags.removeAll(keepingCapacity: true)
        switch set.kind {
        case .cluster: append("source", options.clusterName)
        case .namespace, .workload: append("source", "\(set.label("namespace_name") ?? "")-ns")
        case .node, .pod, .container, .systemContainer:
            append("source", set.label("hostname") ?? set.label("nodename") ?? "")
        }
        for label in merger.labels { append(label.key, label.value) }
        if options.includesLabels {
            for label in ObjectLabels.pairs(of: set) where !label.value.isEmpty {
                append("label.\(label.key)", label.value)
            }
        }
        tags.append(UInt8(ascii: "\n"))
    }

    private mutating func append(_ key: String, _ value: String) {
        // Key and value together; nothing is left to send of a key as long as that.
        let room = Self.tagByteCountMax - key.utf8.count
        guard room > 0 else { return }
        tags.append(UInt8(ascii: " "))
        SinkText.append(key, replacing: Self.unwantedInKeys, with: UInt8(ascii: "_"), to: &tags)
        SinkText.append("=\"", to: &tags)
        SinkText.append(
            String(Self.cut(value, to: room).map { $0.isNewline ? " " : $0 }),
            escaping: Self.special, to: &tags)
        tags.append(UInt8(ascii: "\""))
    }

    /// As many whole characters as fit.
    private static func cut(_ text: String, to byteCount: Int) -> Substring {
        var kept = text[...]
        while kept.utf8.count > byteCount { kept.removeLast() }
        return kept
    }
}
