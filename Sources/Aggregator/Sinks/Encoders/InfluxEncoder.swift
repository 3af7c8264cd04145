import Wire

/// InfluxDB's line protocol
/// (<https://docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference/>), for
/// version 1 and 2.
///
/// Measurements, fields and tags are Heapster's: the plain layout has a measurement for each metric,
/// `cpu/usage_rate,…tags… value=12i`; with fields, `cpu,…tags… usage_rate=12i`. Differences: with
/// fields, the metrics of one family share a line instead of repeating the tags for each.
struct InfluxEncoder: SinkEncoder {
    struct Options: Sendable, Equatable {
        var usesFields = false
        var dropsCounters = false
        var clusterName = "default"
        /// Labels that Heapster never wrote but the user allowed by name.
        var allowedLabels: [String] = []
    }

    let limits = RequestLimits(byteCountMax: 4 << 20, pointCountMax: 10_000)
    let envelope: RequestEnvelope
    private let options: Options
    private let names: MetricNameTable
    private let families: MetricNameTable
    private var merger: LabelMerger
    /// ` 1767225600000000000\n`: the end of every line of a cycle.
    private var ending: [UInt8] = []
    /// `,cluster_name=c1,…` of the current set or child.
    private var tags: [UInt8] = []
    private var groups: [FieldGroup] = []
    private var groupCount = 0

    private struct FieldGroup: Sendable {
        var family = MetricKey.catalogue(.cpuUsage)
        var familyNumber = 0
        /// `usage=1i,limit=2i`
        var fields: [UInt8] = []
        var count = 0
    }

    private static let neverTags: Set<String> = ["namespace_id", "pod_id", "hostname", "host_id"]
    private static let special = ByteSet(", =")
    private static let droppedCounters: Set<MetricKey> = [
        .catalogue(.cpuUsage), .catalogue(.memoryPageFaults), .catalogue(.memoryMajorPageFaults),
        .catalogue(.networkReceiveBytes), .catalogue(.networkReceiveErrors),
        .catalogue(.networkTransmitBytes), .catalogue(.networkTransmitErrors),
        .catalogue(.diskReadBytes), .catalogue(.diskWriteBytes),
    ]

    init(_ options: Options, packing: BodyPacking = .none) {
        self.options = options
        envelope = RequestEnvelope(packing: packing)
        let usesFields = options.usesFields
        names = MetricNameTable { usesFields ? Self.field($0.name) : Self.escaped($0.name) }
        families = MetricNameTable { Self.escaped(Self.family($0.name)) }
        merger = LabelMerger(
            excluding: Self.neverTags.subtracting(options.allowedLabels),
            cluster: Label(key: "cluster_name", value: options.clusterName))
    }

    mutating func begin(cycle: Int64) {
        ending.removeAll(keepingCapacity: true)
        ending.append(UInt8(ascii: " "))
        SinkText.append(cycle &* 1_000_000, to: &ending)
        ending.append(UInt8(ascii: "\n"))
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        merger.merge(set.labels)
        setTags()
        if options.usesFields {
            for sample in set.values { collect(sample.metric, sample.value) }
            writeGroups(&requests)
        } else {
            for sample in set.values { write(sample.metric, sample.value, &requests) }
        }
        for child in ChildRuns(set.labeledValues) {
            merger.merge(set.labels, child[child.startIndex].labels)
            setTags()
            for sample in child {
                if options.usesFields {
                    collect(sample.metric, sample.value)
                } else {
                    write(sample.metric, sample.value, &requests)
                }
            }
            writeGroups(&requests)
        }
    }

    private mutating func setTags() {
        tags.removeAll(keepingCapacity: true)
        for label in merger.labels {
            tags.append(UInt8(ascii: ","))
            SinkText.append(label.key, escaping: Self.special, to: &tags)
            tags.append(UInt8(ascii: "="))
            Self.appendTagValue(label.value, to: &tags)
        }
    }

    /// A line end would end the line, and a backslash at the end would escape what follows.
    private static func appendTagValue(_ value: String, to bytes: inout [UInt8]) {
        for byte in value.utf8 {
            if special.contains(byte) { bytes.append(UInt8(ascii: "\\")) }
            bytes.append(byte < 0x20 ? UInt8(ascii: "_") : byte)
        }
        if bytes.last == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "_")) }
    }

    private func isLeftOut(_ metric: MetricKey, _ value: MetricValue) -> Bool {
        if options.dropsCounters, Self.droppedCounters.contains(metric) { return true }
        // The protocol has no words for infinity and "not a number".
        if case .float(let number) = value { return !number.isFinite }
        return false
    }

    @inline(__always)
    private func write(
        _ metric: MetricKey, _ value: MetricValue, _ requests: inout RequestBuilder
    ) {
        if isLeftOut(metric, value) { return }
        requests.beginItem()
        names.append(metric, to: &requests.bytes)
        requests.bytes.append(contentsOf: tags)
        SinkText.append(" value=", to: &requests.bytes)
        Self.append(value, to: &requests.bytes)
        requests.bytes.append(contentsOf: ending)
        requests.endItem()
    }

    @inline(__always)
    private static func append(_ value: MetricValue, to bytes: inout [UInt8]) {
        switch value {
        case .integer(let whole):
            SinkText.append(whole, to: &bytes)
            bytes.append(UInt8(ascii: "i"))
        case .float(let number):
            SinkText.append(plain: number, to: &bytes)
        }
    }

    private mutating func collect(_ metric: MetricKey, _ value: MetricValue) {
        if isLeftOut(metric, value) { return }
        let group = groupIndex(of: metric)
        if groups[group].count > 0 { groups[group].fields.append(UInt8(ascii: ",")) }
        names.append(metric, to: &groups[group].fields)
        groups[group].fields.append(UInt8(ascii: "="))
        Self.append(value, to: &groups[group].fields)
        groups[group].count += 1
    }

    private mutating func groupIndex(of metric: MetricKey) -> Int {
        let number = Self.familyNumber(metric)
        for index in 0..<groupCount where groups[index].familyNumber == number { return index }
        if groupCount == groups.count { groups.append(FieldGroup()) }
        groups[groupCount].family = metric
        groups[groupCount].familyNumber = number
        groups[groupCount].fields.removeAll(keepingCapacity: true)
        groups[groupCount].count = 0
        groupCount += 1
        return groupCount - 1
    }

    private mutating func writeGroups(_ requests: inout RequestBuilder) {
        for index in 0..<groupCount {
            requests.beginItem()
            families.append(groups[index].family, to: &requests.bytes)
            requests.bytes.append(contentsOf: tags)
            requests.bytes.append(UInt8(ascii: " "))
            requests.bytes.append(contentsOf: groups[index].fields)
            requests.bytes.append(contentsOf: ending)
            requests.endItem(points: groups[index].count)
        }
        groupCount = 0
    }

    /// Equal for metrics of one family: the first metric's number in the catalogue, or a hash.
    private static func familyNumber(_ metric: MetricKey) -> Int {
        switch metric {
        case .catalogue(let id): familyNumbers[Int(id.rawValue)]
        case .named(let name, _):
            familyOfName[String(family(name))] ?? (family(name).hashValue | Int.min)
        }
    }

    private static let familyOfName: [String: Int] = Dictionary(
        Catalog.metrics.map { (String(family($0.name)), Int($0.id.rawValue)) },
        uniquingKeysWith: { first, _ in first })

    private static let familyNumbers: [Int] = {
        var numbers = [Int](
            repeating: 0, count: (Catalog.metrics.map { Int($0.id.rawValue) }.max() ?? 0) + 1)
        for metric in Catalog.metrics {
            numbers[Int(metric.id.rawValue)] = familyOfName[String(family(metric.name))] ?? 0
        }
        return numbers
    }()

    /// `cpu` of `cpu/usage`, `uptime` of `uptime`.
    private static func family(_ name: String) -> Substring { name.prefix { $0 != "/" } }

    /// `usage` of `cpu/usage`, `value` of `uptime`.
    private static func field(_ name: String) -> String {
        guard let slash = name.firstIndex(of: "/") else { return "value" }
        return escaped(name[name.index(after: slash)...])
    }

    private static func escaped(_ name: some StringProtocol) -> String {
        var bytes: [UInt8] = []
        SinkText.append(String(name), escaping: special, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
