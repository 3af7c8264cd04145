import Wire

/// Documents for Elasticsearch's and OpenSearch's `_bulk`
/// (<https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk>): an action line and a document each.
///
/// Documents are Heapster's: one for each family (cpu, memory, network, filesystem) and label set,
/// one for each other metric. Index, type and pipeline are in the request's path, so the same bytes
/// suit every version of the server.
///
/// Differences: `@timestamp` is in every document, beside Heapster's timestamp of the family; the id
/// is made from entity, family, labels and cycle, so that a repeated or amended document replaces
/// the old one instead of doubling it.
struct ElasticsearchEncoder: SinkEncoder {
    let limits = RequestLimits(byteCountMax: 2 << 20, pointCountMax: 5_000)
    /// `index` replaces, `create` is all that data streams take.
    private let action: StaticString
    private var merger: LabelMerger
    private var cycle: Int64 = 0
    private var time = ""
    private var tags = JSONWriter()
    private var document = JSONWriter()

    init(clusterName: String, isDataStream: Bool) {
        action = isDataStream ? "create" : "index"
        merger = LabelMerger(
            cluster: Label(key: "cluster_name", value: clusterName), dropsEmpty: false)
    }

    mutating func begin(cycle: Int64) {
        self.cycle = cycle
        time = RFC3339.string(milliseconds: cycle)
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        let key = SetKey.text(of: set)
        setTags(set.labels, [])
        for family in Family.allCases {
            familyDocument(
                family, key, set.values.lazy.map { ($0.metric.name, $0.value) }, &requests)
        }
        for run in ChildRuns(set.labeledValues) {
            let child = run[run.startIndex].labels
            setTags(set.labels, child)
            let childKey = key + "|" + child.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
            for family in Family.allCases {
                let values = run.lazy.map { ($0.metric.name, $0.value) }
                familyDocument(family, childKey, values, &requests)
            }
        }
    }

    /// Heapster's metric families.
    private enum Family: String, CaseIterable {
        case cpu, memory, network, filesystem, general

        init(of name: String) {
            self = Family(rawValue: String(name.prefix { $0 != "/" })) ?? .general
        }

        var timestampField: StaticString {
            switch self {
            case .cpu: "CpuMetricsTimestamp"
            case .memory: "MemoryMetricsTimestamp"
            case .network: "NetworkMetricsTimestamp"
            case .filesystem: "FilesystemMetricsTimestamp"
            case .general: "GeneralMetricsTimestamp"
            }
        }
    }

    private mutating func setTags(_ own: [Label], _ child: [Label]) {
        merger.merge(own, child)
        tags.bytes.removeAll(keepingCapacity: true)
        tags.beginObject()
        for label in merger.labels {
            tags.key(label.key)
            tags.string(label.value)
        }
        tags.endObject()
    }

    private mutating func familyDocument(
        _ family: Family, _ key: String, _ values: some Sequence<(String, MetricValue)>,
        _ requests: inout RequestBuilder
    ) {
        var members = values.filter { Family(of: $0.0) == family && $0.1.double.isFinite }
        guard !members.isEmpty else { return }
        if family == .general {
            for (name, value) in members {
                begin(family)
                document.key("MetricsName")
                document.string(name)
                document.key("MetricsValue")
                write(value)
                finish("\(key)|\(name)", points: 1, &requests)
            }
            return
        }
        members.sort { $0.0 < $1.0 }
        begin(family)
        document.key("Metrics")
        document.beginObject()
        for (name, value) in members {
            document.key(name)
            write(value)
        }
        document.endObject()
        finish("\(key)|\(family.rawValue)", points: members.count, &requests)
    }

    private mutating func begin(_ family: Family) {
        document.bytes.removeAll(keepingCapacity: true)
        document.beginObject()
        document.key("@timestamp")
        document.string(time)
        document.key(family.timestampField)
        document.string(time)
        document.key("MetricsTags")
        document.raw(tags.bytes)
    }

    private mutating func write(_ value: MetricValue) {
        document.beginObject()
        document.key("value")
        switch value {
        case .integer(let whole): document.integer(whole)
        case .float(let number): document.double(number)
        }
        document.endObject()
    }

    private mutating func finish(_ key: String, points: Int, _ requests: inout RequestBuilder) {
        document.endObject()
        requests.beginItem()
        SinkText.append("{\"", to: &requests.bytes)
        SinkText.append(action, to: &requests.bytes)
        SinkText.append("\":{\"_id\":\"", to: &requests.bytes)
        DocumentID.append(of: key, cycle: cycle, to: &requests.bytes)
        SinkText.append("\"}}\n", to: &requests.bytes)
        requests.bytes.append(contentsOf: document.bytes)
        SinkText.append("\n", to: &requests.bytes)
        requests.endItem(points: points)
    }
}

/// Names a document by what it is about: 128 bits of FNV-1a in hexadecimal
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>) over key and cycle.
enum DocumentID {
    static func append(of key: String, cycle: Int64, to bytes: inout [UInt8]) {
        var hash = UInt128(0x6c62_272e_07bb_0142) << 64 | UInt128(0x62b8_2175_6295_c58d)
        let prime = UInt128(1) << 88 | UInt128(0x13b)
        for byte in key.utf8 { hash = (hash ^ UInt128(byte)) &* prime }
        for shift in stride(from: 0, to: 64, by: 8) {
            hash = (hash ^ UInt128(truncatingIfNeeded: (cycle >> Int64(shift)) & 0xFF)) &* prime
        }
        for shift in stride(from: 124, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: hash >> UInt128(shift)) & 15
            bytes.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}
