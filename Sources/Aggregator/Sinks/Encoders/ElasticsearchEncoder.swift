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
    private var childValues: [MetricSample] = []
    /// The text of a fraction, which is made elsewhere.
    private var fraction: [UInt8] = []

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
        set.values.withUnsafeBufferPointer { write($0, DocumentID(of: key), &requests) }
        for run in ChildRuns(set.labeledValues) {
            let child = run[run.startIndex].labels
            setTags(set.labels, child)
            let childKey = key + "|" + child.map { "\($0.key)=\($0.value)" }.joined(separator: ",")
            childValues.removeAll(keepingCapacity: true)
            for sample in run { childValues.append(MetricSample(sample.metric, sample.value)) }
            // Taken out, since writing changes what else is in here.
            let values = childValues
            values.withUnsafeBufferPointer { write($0, DocumentID(of: childKey), &requests) }
        }
    }

    private mutating func setTags(_ own: [Label], _ child: [Label]) {
        merger.merge(own, child)
        tags.bytes.removeAll(keepingCapacity: true)
        tags.object(of: merger.labels)
    }

    /// The documents of one label set.
    private mutating func write(
        _ values: UnsafeBufferPointer<MetricSample>, _ id: DocumentID,
        _ requests: inout RequestBuilder
    ) {
        named.removeAll(keepingCapacity: true)
        for rank in places.indices { places[rank] = -1 }
        for index in values.indices {
            if case .float(let number) = values[index].value, !number.isFinite { continue }
            switch values[index].metric {
            case .catalogue(let metric): places[order.rank(of: metric)] = Int32(index)
            case .named(let name, _): named.append((name, values[index].value))
            }
        }
        for family in MetricFamily.allCases where family != .general {
            writeFamily(family, values, id, &requests)
        }
        writeGeneral(values, id, &requests)
    }

    /// All metrics of a family in one document, in the order of their names.
    private mutating func writeFamily(
        _ family: MetricFamily, _ values: UnsafeBufferPointer<MetricSample>,
        _ id: DocumentID, _ requests: inout RequestBuilder
    ) {
        let ranks = order.ranks(of: family)
        var (count, byteCount) = (0, 0)
        for rank in ranks where places[rank] >= 0 {
            count += 1
            byteCount += order.quotedByteCount(rank) + Self.valueByteCountMax
        }
        let others = named.isEmpty ? [] : named.filter { MetricFamily(of: $0.name) == family }
        guard others.isEmpty else { return writeMixed(family, others, values, id, &requests) }
        guard count > 0 else { return }
        requests.beginItem()
        requests.write(atMost: headByteCountMax + byteCount) { text in
            beginDocument(family, id.adding("|").adding(family.rawValue), &text)
            text.append(literal: ",\"Metrics\":{")
            var isFirst = true
            for rank in ranks where places[rank] >= 0 {
                if !isFirst { text.append(UInt8(ascii: ",")) }
                isFirst = false
                order.appendQuotedName(rank, to: &text)
                appendValue(values[Int(places[rank])].value, to: &text)
            }
            text.append(literal: "}}\n")
        }
        requests.endItem(points: count)
    }

    /// The same with metrics that the catalogue does not have, in their places among the others.
    private mutating func writeMixed(
        _ family: MetricFamily, _ others: [(name: String, value: MetricValue)],
        _ values: UnsafeBufferPointer<MetricSample>, _ id: DocumentID,
        _ requests: inout RequestBuilder
    ) {
        var all = others
        for rank in order.ranks(of: family) where places[rank] >= 0 {
            all.append((order.name(rank), values[Int(places[rank])].value))
        }
        all.sort { $0.name < $1.name }
        let members = all.map { (name: Self.quoted($0.name), value: $0.value) }
        let byteCount = members.reduce(0) { $0 + $1.name.count + Self.valueByteCountMax }
        requests.beginItem()
        requests.write(atMost: headByteCountMax + byteCount) { text in
            beginDocument(family, id.adding("|").adding(family.rawValue), &text)
            text.append(literal: ",\"Metrics\":{")
            for (place, member) in members.enumerated() {
                if place > 0 { text.append(UInt8(ascii: ",")) }
                text.append(member.name)
                appendValue(member.value, to: &text)
            }
            text.append(literal: "}}\n")
        }
        requests.endItem(points: members.count)
    }

    /// A document for each metric that is in no family, in the order of the set.
    private mutating func writeGeneral(
        _ values: UnsafeBufferPointer<MetricSample>, _ id: DocumentID,
        _ requests: inout RequestBuilder
    ) {
        let base = id.adding("|")
        for index in values.indices {
            let value = values[index].value
            if case .float(let number) = value, !number.isFinite { continue }
            switch values[index].metric {
            case .catalogue(let metric):
                let rank = order.rank(of: metric)
                guard order.isGeneral(rank) else { continue }
                let byteCount = order.quotedByteCount(rank) + Self.valueByteCountMax
                requests.beginItem()
                requests.write(atMost: headByteCountMax + byteCount) { text in
                    beginDocument(.general, base.adding(order.name(rank)), &text)
                    text.append(literal: ",\"MetricsName\":")
                    order.appendQuotedName(rank, to: &text)
                    endGeneral(value, &text)
                }
                requests.endItem()
            case .named(let name, _):
                guard MetricFamily(of: name) == .general else { continue }
                let quotedName = Self.quoted(name)
                let byteCount = quotedName.count + Self.valueByteCountMax
                requests.beginItem()
                requests.write(atMost: headByteCountMax + byteCount) { text in
                    beginDocument(.general, base.adding(name), &text)
                    text.append(literal: ",\"MetricsName\":")
                    text.append(quotedName)
                    endGeneral(value, &text)
                }
                requests.endItem()
            }
        }
    }

    @inline(__always)
    private mutating func endGeneral(_ value: MetricValue, _ text: inout ByteCursor) {
        text.append(literal: ",\"MetricsValue\"")
        appendValue(value, to: &text)
        text.append(literal: "}\n")
    }

    /// `:{"value":-9223372036854775808},`, or a fraction of up to 26 bytes, and a cursor's room for digits.
    private static var valueByteCountMax: Int { 56 }

    /// What a document has beside names and values, at most.
    private var headByteCountMax: Int { heads[0].count + tags.bytes.count + 160 }

    @inline(__always)
    private func beginDocument(
        _ family: MetricFamily, _ id: DocumentID, _ text: inout ByteCursor
    ) {
        text.append(literal: action)
        id.append(cycle: cycle, to: &text)
        text.append(literal: "\"}}\n")
        text.append(heads[family.index])
        text.append(tags.bytes)
    }

    /// `:{"value":12}`
    @inline(__always)
    private mutating func appendValue(_ value: MetricValue, to text: inout ByteCursor) {
        text.append(literal: ":{\"value\":")
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &text)
        case .float(let number):
            fraction.removeAll(keepingCapacity: true)
            JSONNumberFormat.append(number, to: &fraction)
            text.append(fraction)
        }
        text.append(UInt8(ascii: "}"))
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
    private static var prime: UInt128 { UInt128(1) << 88 | UInt128(0x13b) }
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

    func append(cycle: Int64, to bytes: inout some ByteSink) {
        var hash = hash
        for shift in stride(from: 0, to: 64, by: 8) {
            hash =
                (hash ^ UInt128(truncatingIfNeeded: (cycle >> Int64(shift)) & 0xFF)) &* Self.prime
        }
        for shift in stride(from: 96, through: 0, by: -32) {
            let digits = Self.digits(of: UInt32(truncatingIfNeeded: hash >> shift))
            withUnsafeBytes(of: digits.bigEndian) { bytes.append($0) }
        }
    }
}
