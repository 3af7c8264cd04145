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
    /// `{"index":{"_id":"`; `index` replaces, `create` is all that data streams take.
    private let action: StaticString
    private let order = MetricFamilyOrder()
    private var merger: LabelMerger
    private var cycle: Int64 = 0
    /// By family: `{"@timestamp":…,"CpuMetricsTimestamp":…,"MetricsTags":`, the same for a whole cycle.
    private var heads: [[UInt8]] = []
    private var tags = JSONWriter()
    /// By rank in `order`: where in the values at hand the metric is, or -1.
    private var places: [Int32]
    private var named: [(name: String, value: MetricValue)] = []

    init(clusterName: String, isDataStream: Bool) {
        action = isDataStream ? "{\"create\":{\"_id\":\"" : "{\"index\":{\"_id\":\""
        merger = LabelMerger(
            cluster: Label(key: "cluster_name", value: clusterName), dropsEmpty: false)
        places = [Int32](repeating: -1, count: order.count)
    }

    mutating func begin(cycle: Int64) {
        self.cycle = cycle
        let time = RFC3339.string(milliseconds: cycle)
        heads = MetricFamily.allCases.map { family in
            Array(
                "{\"@timestamp\":\"\(time)\",\"\(family.timestampField)\":\"\(time)\",\"MetricsTags\":"
                    .utf8)
        }
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        let key = SetKey.text(of: set)
        setTags(set.labels, [])
        write(
            set.values.lazy.map { ($0.metric, $0.value) }, DocumentID(of: key), &requests)
        for run in ChildRuns(set.labeledValues) {
            let child = run[run.startIndex].labels
            setTags(set.labels, child)
            let childKey = key + "|" + child.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
            write(run.lazy.map { ($0.metric, $0.value) }, DocumentID(of: childKey), &requests)
        }
    }

    private mutating func setTags(_ own: [Label], _ child: [Label]) {
        merger.merge(own, child)
        tags.bytes.removeAll(keepingCapacity: true)
        tags.object(of: merger.labels)
    }

    /// The documents of one label set.
    private mutating func write(
        _ values: some RandomAccessCollection<(MetricKey, MetricValue)>, _ id: DocumentID,
        _ requests: inout RequestBuilder
    ) {
        named.removeAll(keepingCapacity: true)
        for rank in places.indices { places[rank] = -1 }
        var index: Int32 = 0
        for (metric, value) in values {
            defer { index += 1 }
            if case .float(let number) = value, !number.isFinite { continue }
            switch metric {
            case .catalogue(let metric): places[order.rank(of: metric)] = index
            case .named(let name, _): named.append((name, value))
            }
        }
        for family in MetricFamily.allCases where family != .general {
            writeFamily(family, values, id, &requests)
        }
        writeGeneral(values, id, &requests)
    }

    /// All metrics of a family in one document, in the order of their names.
    private mutating func writeFamily(
        _ family: MetricFamily, _ values: some RandomAccessCollection<(MetricKey, MetricValue)>,
        _ id: DocumentID, _ requests: inout RequestBuilder
    ) {
        var others = named.lazy.filter { MetricFamily(of: $0.name) == family }
            .sorted { $0.name < $1.name }[...]
        var count = 0
        for rank in order.ranks(of: family) where places[rank] >= 0 {
            while let other = others.first, other.name < order.name(rank) {
                member(Self.quoted(other.name), other.value, family, id, &count, &requests)
                others.removeFirst()
            }
            let value = values[values.index(values.startIndex, offsetBy: Int(places[rank]))].1
            member(order.quotedName(rank), value, family, id, &count, &requests)
        }
        for other in others {
            member(Self.quoted(other.name), other.value, family, id, &count, &requests)
        }
        guard count > 0 else { return }
        SinkText.append("}}\n", to: &requests.bytes)
        requests.endItem(points: count)
    }

    @inline(__always)
    private func member(
        _ quotedName: [UInt8], _ value: MetricValue, _ family: MetricFamily, _ id: DocumentID,
        _ count: inout Int, _ requests: inout RequestBuilder
    ) {
        if count == 0 {
            beginDocument(family, id.adding("|").adding(family.rawValue), &requests)
            SinkText.append(",\"Metrics\":{", to: &requests.bytes)
        } else {
            requests.bytes.append(UInt8(ascii: ","))
        }
        count += 1
        requests.bytes.append(contentsOf: quotedName)
        SinkText.append(":", to: &requests.bytes)
        Self.append(value, to: &requests.bytes)
    }

    /// A document for each metric that is in no family, in the order of the set.
    private func writeGeneral(
        _ values: some RandomAccessCollection<(MetricKey, MetricValue)>, _ id: DocumentID,
        _ requests: inout RequestBuilder
    ) {
        for (metric, value) in values {
            if case .float(let number) = value, !number.isFinite { continue }
            switch metric {
            case .catalogue(let metric):
                let rank = order.rank(of: metric)
                guard order.isGeneral(rank) else { continue }
                writeGeneral(order.name(rank), order.quotedName(rank), value, id, &requests)
            case .named(let name, _):
                guard MetricFamily(of: name) == .general else { continue }
                writeGeneral(name, Self.quoted(name), value, id, &requests)
            }
        }
    }

    private func writeGeneral(
        _ name: String, _ quotedName: [UInt8], _ value: MetricValue, _ id: DocumentID,
        _ requests: inout RequestBuilder
    ) {
        beginDocument(.general, id.adding("|").adding(name), &requests)
        SinkText.append(",\"MetricsName\":", to: &requests.bytes)
        requests.bytes.append(contentsOf: quotedName)
        SinkText.append(",\"MetricsValue\":", to: &requests.bytes)
        Self.append(value, to: &requests.bytes)
        SinkText.append("}\n", to: &requests.bytes)
        requests.endItem()
    }

    private func beginDocument(
        _ family: MetricFamily, _ id: DocumentID, _ requests: inout RequestBuilder
    ) {
        requests.beginItem()
        SinkText.append(action, to: &requests.bytes)
        id.append(cycle: cycle, to: &requests.bytes)
        SinkText.append("\"}}\n", to: &requests.bytes)
        requests.bytes.append(contentsOf: heads[family.index])
        requests.bytes.append(contentsOf: tags.bytes)
    }

    /// `{"value":12}`
    @inline(__always)
    private static func append(_ value: MetricValue, to bytes: inout [UInt8]) {
        SinkText.append("{\"value\":", to: &bytes)
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &bytes)
        case .float(let number): JSONNumberFormat.append(number, to: &bytes)
        }
        bytes.append(UInt8(ascii: "}"))
    }

    private static let valueOpen = Array("{\"value\":".utf8)

    /// How many values a document has: a family's has one for each of its metrics.
    static func pointCount(of document: ArraySlice<UInt8>) -> Int {
        // In a label's text quotes have a backslash, so it cannot look like a value.
        max(1, document.ranges(of: valueOpen).count)
    }

    private static func quoted(_ name: String) -> [UInt8] { MetricFamilyOrder.quoted(name) }
}

/// Names a document by what it is about: 128 bits of FNV-1a in hexadecimal
/// (<http://www.isthe.com/chongo/tech/comp/fnv/>) over key and cycle.
struct DocumentID {
    private static let prime = UInt128(1) << 88 | UInt128(0x13b)
    private var hash = UInt128(0x6c62_272e_07bb_0142) << 64 | UInt128(0x62b8_2175_6295_c58d)

    init(of key: String) { add(key) }

    private mutating func add(_ text: String) {
        for byte in text.utf8 { hash = (hash ^ UInt128(byte)) &* Self.prime }
    }

    /// The identity of a key that goes on with `text`: what many keys share is hashed once.
    func adding(_ text: String) -> DocumentID {
        var longer = self
        longer.add(text)
        return longer
    }

    /// Eight hexadecimal digits as text, the first one in the highest byte.
    private static func digits(of word: UInt32) -> UInt64 {
        // Each half byte into a byte of its own.
        var nibbles = UInt64(word)
        nibbles = (nibbles | nibbles << 16) & 0x0000_FFFF_0000_FFFF
        nibbles = (nibbles | nibbles << 8) & 0x00FF_00FF_00FF_00FF
        nibbles = (nibbles | nibbles << 4) & 0x0F0F_0F0F_0F0F_0F0F
        // One in each byte above nine, which is so much further to the letters.
        let letters = (nibbles &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        let gap = UInt64(UInt8(ascii: "a") - UInt8(ascii: "0") - 10)
        return nibbles &+ 0x3030_3030_3030_3030 &+ letters &* gap
    }

    func append(cycle: Int64, to bytes: inout [UInt8]) {
        var hash = hash
        for shift in stride(from: 0, to: 64, by: 8) {
            hash =
                (hash ^ UInt128(truncatingIfNeeded: (cycle >> Int64(shift)) & 0xFF)) &* Self.prime
        }
        for shift in stride(from: 96, through: 0, by: -32) {
            let digits = Self.digits(of: UInt32(truncatingIfNeeded: hash >> shift))
            withUnsafeBytes(of: digits.bigEndian) { bytes.append(contentsOf: $0) }
        }
    }
}
