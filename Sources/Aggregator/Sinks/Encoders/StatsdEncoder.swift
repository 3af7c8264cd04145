import Wire

/// StatsD gauges in both of Heapster's spellings (metrics/sinks/statsd): `etsystatsd` has the labels in
/// the name, `influxstatsd` behind it (`name,k=v:VALUE|g`). Several lines make a datagram.
///
/// Mended against Heapster: a colon in a resource's name (`Volume:data`) ends the name for every
/// server, so it becomes an underscore too; a gauge below zero is written as a set to zero and a
/// decrement, since a leading sign means a change.
struct StatsdEncoder: SinkEncoder {
    enum Dialect: Sendable { case etsy, influx }
    enum LabelStyle: Sendable { case asIs, lowerCamelCase, upperCamelCase }

    struct Options: Sendable {
        var dialect = Dialect.etsy
        var prefix = ""
        var metricsPerDatagram = 5
        var renamed: [String: String] = [:]
        /// Empty: all.
        var allowed: Set<String> = []
        var labelStyle = LabelStyle.asIs
    }

    let limits: RequestLimits
    let envelope = RequestEnvelope()
    private let options: Options
    private var merger = LabelMerger()
    /// What stands before the metric's name, etsy.
    private var path: [UInt8] = []
    /// What stands behind it, influx.
    private var tags: [UInt8] = []

    private static let etsyUnwanted = ByteSet(".=|: \n")
    private static let influxUnwanted = ByteSet(",:=| \n")

    init(_ options: Options) {
        self.options = options
        // A datagram of 1400 bytes is whole in an Ethernet frame; the last line may pass it.
        limits = RequestLimits(
            byteCountMax: 1_100, pointCountMax: max(1, options.metricsPerDatagram))
    }

    mutating func begin(cycle: Int64) {}

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        switch options.dialect {
        case .etsy: setPath(set)
        case .influx: setTags(set.labels, [])
        }
        for sample in set.values { line(sample.metric.name, "", sample.value, &requests) }
        for sample in set.labeledValues {
            if options.dialect == .influx { setTags(set.labels, sample.labels) }
            line(sample.metric.name, ChildName.text(of: sample.labels), sample.value, &requests)
        }
    }

    private func line(
        _ name: String, _ child: String, _ value: MetricValue, _ requests: inout RequestBuilder
    ) {
        requests.beginItem()
        if value.double < 0 {
            writeName(name, child, &requests.bytes)
            SinkText.append(":0|g\n", to: &requests.bytes)
        }
        writeName(name, child, &requests.bytes)
        requests.bytes.append(UInt8(ascii: ":"))
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &requests.bytes)
        case .float(let number): SinkText.append(plain: number, to: &requests.bytes)
        }
        SinkText.append("|g\n", to: &requests.bytes)
        requests.endItem()
    }

    private func writeName(_ name: String, _ child: String, _ bytes: inout [UInt8]) {
        switch options.dialect {
        case .etsy:
            bytes.append(contentsOf: path)
            append(name, Self.etsyUnwanted, &bytes)
            if !child.isEmpty {
                bytes.append(UInt8(ascii: "."))
                append(child, Self.etsyUnwanted, &bytes)
            }
        case .influx:
            SinkText.append(options.prefix, to: &bytes)
            append(name, Self.influxUnwanted, &bytes)
            bytes.append(contentsOf: tags)
        }
    }

    private mutating func setPath(_ set: borrowing MetricSet) {
        path.removeAll(keepingCapacity: true)
        if !options.prefix.isEmpty { SinkText.append("\(options.prefix).", to: &path) }
        let host = set.label("hostname") ?? set.label("nodename") ?? ""
        var parts: [(StaticString, String)] = []
        switch set.kind {
        case .cluster: SinkText.append("cluster.", to: &path)
        case .namespace: parts = [("namespace.", set.label("namespace_name") ?? "")]
        case .node: parts = [("node.", host)]
        case .systemContainer:
            parts = [("node.", host), ("sys-container.", set.label("container_name") ?? "")]
        case .pod, .container:
            parts = [
                ("node.", host), ("namespace.", set.label("namespace_name") ?? ""),
                ("pod.", set.label("pod_name") ?? ""),
            ]
            if set.kind == .container {
                parts.append(("container.", set.label("container_name") ?? ""))
            }
        case .workload:
            parts = [
                ("namespace.", set.label("namespace_name") ?? ""),
                ("workload.", set.label("workload_kind") ?? ""),
                ("", set.label("workload_name") ?? ""),
            ]
        }
        for (words, value) in parts {
            SinkText.append(words, to: &path)
            append(value, Self.etsyUnwanted, &path)
            path.append(UInt8(ascii: "."))
        }
        for label in ObjectLabels.pairs(of: set) where isAllowed(label.key) && !label.value.isEmpty
        {
            append(customized(label.key), Self.etsyUnwanted, &path)
            path.append(UInt8(ascii: "."))
            append(label.value, Self.etsyUnwanted, &path)
            path.append(UInt8(ascii: "."))
        }
    }

    private mutating func setTags(_ own: [Label], _ child: [Label]) {
        merger.merge(own, child)
        var labels = merger.labels.filter { $0.key != "labels" }
        let joined = merger.labels.first { $0.key == "labels" }?.value ?? ""
        for label in ObjectLabels.pairs(in: joined) where !label.value.isEmpty {
            labels.removeAll { $0.key == label.key }
            labels.append(label)
        }
        tags.removeAll(keepingCapacity: true)
        for label in labels.sorted(by: { $0.key < $1.key }) where isAllowed(label.key) {
            tags.append(UInt8(ascii: ","))
            append(customized(label.key), Self.influxUnwanted, &tags)
            tags.append(UInt8(ascii: "="))
            append(label.value, Self.influxUnwanted, &tags)
        }
    }

    private func append(_ text: String, _ unwanted: ByteSet, _ bytes: inout [UInt8]) {
        SinkText.append(text, replacing: unwanted, with: UInt8(ascii: "_"), to: &bytes)
    }

    private func isAllowed(_ key: String) -> Bool {
        options.allowed.isEmpty || options.allowed.contains(key)
    }

    /// Renamed, then in camel case: `pod_name` becomes `podName` or `PodName`.
    private func customized(_ key: String) -> String {
        let name = options.renamed[key] ?? key
        guard options.labelStyle != .asIs else { return name }
        var result = ""
        var raises = options.labelStyle == .upperCamelCase
        for character in name {
            if "_-./ ".contains(character) {
                raises = !result.isEmpty || raises
            } else {
                result += raises ? character.uppercased() : String(character)
                raises = false
            }
        }
        return result
    }
}

/// The labels of the Kubernetes object, which Heapster's sets carry joined in one label.
enum ObjectLabels {
    static func pairs(of set: borrowing MetricSet) -> [Label] {
        pairs(in: set.label("labels") ?? "")
    }

    /// `app:web,tier:front` in the order of the keys; parts without a colon are left out.
    static func pairs(in joined: String, separator: Character = ",") -> [Label] {
        if joined.isEmpty { return [] }
        var pairs: [Label] = []
        for part in joined.split(separator: separator) {
            guard let colon = part.firstIndex(of: ":") else { continue }
            pairs.append(
                Label(
                    key: String(part[..<colon]), value: String(part[part.index(after: colon)...])))
        }
        return pairs.sorted { $0.key < $1.key }
    }
}
