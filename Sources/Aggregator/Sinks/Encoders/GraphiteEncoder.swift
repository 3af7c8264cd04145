import Wire

/// Graphite's plaintext protocol: `PATH VALUE SECONDS`
/// (<https://graphite.readthedocs.io/en/latest/feeding-carbon.html>), paths as Heapster's.
///
/// Mended against Heapster: the resource of a filesystem, disk or accelerator is in the path
/// (`filesystem.RESOURCE.usage`), where all of them collided before; dots in namespaces are
/// replaced as in all other names; the cluster's name can precede the path (`cluster_name`).
struct GraphiteEncoder: SinkEncoder {
    let limits: RequestLimits
    private let prefix: String
    private let names: MetricNameTable
    /// `kubernetes.nodes.NODE.` of the current set.
    private var path: [UInt8] = []
    /// ` 1767225600\n`
    private var ending: [UInt8] = []

    private static let separators = ByteSet("./ \t\n")

    /// - Parameter isDatagram: each request then fits one UDP packet of an Ethernet frame.
    init(prefix: String = "kubernetes", isDatagram: Bool = false) {
        self.prefix = prefix
        limits =
            isDatagram
            ? RequestLimits(byteCountMax: 1_200, pointCountMax: 1_000)
            : RequestLimits(byteCountMax: 1 << 20, pointCountMax: 10_000)
        names = MetricNameTable { String($0.name.map { $0 == "/" ? "." : $0 }) }
    }

    mutating func begin(cycle: Int64) {
        ending.removeAll(keepingCapacity: true)
        ending.append(UInt8(ascii: " "))
        SinkText.append(cycle / 1_000, to: &ending)
        ending.append(UInt8(ascii: "\n"))
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        setPath(set)
        for sample in set.values {
            requests.beginItem()
            requests.bytes.append(contentsOf: path)
            names.append(sample.metric, to: &requests.bytes)
            finish(sample.value, &requests)
        }
        for sample in set.labeledValues {
            requests.beginItem()
            requests.bytes.append(contentsOf: path)
            appendName(of: sample, to: &requests.bytes)
            finish(sample.value, &requests)
        }
    }

    private func finish(_ value: MetricValue, _ requests: inout RequestBuilder) {
        requests.bytes.append(UInt8(ascii: " "))
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &requests.bytes)
        case .float(let number): SinkText.append(sixDecimals: number, to: &requests.bytes)
        }
        requests.bytes.append(contentsOf: ending)
        requests.endItem()
    }

    private mutating func setPath(_ set: borrowing MetricSet) {
        path.removeAll(keepingCapacity: true)
        if !prefix.isEmpty { SinkText.append("\(prefix).", to: &path) }
        func part(_ words: StaticString, _ label: String) {
            SinkText.append(words, to: &path)
            SinkText.append(
                label, replacing: Self.separators, with: UInt8(ascii: "_"), to: &path)
            path.append(UInt8(ascii: "."))
        }
        let host = set.label("hostname") ?? set.label("nodename") ?? ""
        let namespace = set.label("namespace_name") ?? ""
        switch set.kind {
        case .cluster: SinkText.append("cluster.", to: &path)
        case .namespace: part("namespaces.", namespace)
        case .node: part("nodes.", host)
        case .systemContainer:
            part("nodes.", host)
            part("sys-containers.", set.label("container_name") ?? "")
        case .pod, .container:
            part("nodes.", host)
            part("pods.", namespace)
            part("", set.label("pod_name") ?? "")
            if set.kind == .container { part("containers.", set.label("container_name") ?? "") }
        case .workload:
            part("namespaces.", namespace)
            part("workloads.", set.label("workload_kind") ?? "")
            part("", set.label("workload_name") ?? "")
        }
    }

    /// `filesystem.RESOURCE.usage` of `filesystem/usage`.
    private func appendName(of sample: LabeledSample, to bytes: inout [UInt8]) {
        let name = sample.metric.name
        let slash = name.firstIndex(of: "/") ?? name.endIndex
        SinkText.append(String(name[..<slash]), to: &bytes)
        bytes.append(UInt8(ascii: "."))
        SinkText.append(
            ChildName.text(of: sample.labels), replacing: Self.separators, with: UInt8(ascii: "_"),
            to: &bytes)
        for byte in name[slash...].utf8 {
            bytes.append(byte == UInt8(ascii: "/") ? UInt8(ascii: ".") : byte)
        }
    }
}

/// The one word by which a child is known where a format has no labels.
enum ChildName {
    /// The resource's, accelerator's or interface's own name; else all values, joined.
    static func text(of labels: [Label]) -> String {
        for key in ["resource_id", "accelerator_id", "interface", "page_size"] {
            if let label = labels.first(where: { $0.key == key }) { return label.value }
        }
        return labels.map(\.value).joined(separator: "_")
    }
}
