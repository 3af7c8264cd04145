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
    private let familyNumbers = Self.familyNumbers
    private var merger: LabelMerger
    /// ` 1767225600000000000\n`: the end of every line of a cycle.
    private var ending: [UInt8] = []
    /// `,cluster_name=c1,…` of the current set or child.
    private var tags: [UInt8] = []
    /// Families of the set or child at hand, in the order of their first metrics.
    private var groups: [FieldGroup] = []
    /// By sample: the next one of its family.
    private var successors: [Int32] = []
    private var childValues: [MetricSample] = []

    /// The fields of one line: a list of samples, linked by `successors`.
    private struct FieldGroup: Sendable {
        var familyNumber: Int
        var first: Int
        var last: Int
        var count = 1
        /// What all fields take at most.
        var byteCountMax: Int
    }

    private static let neverTags: Set<String> = ["namespace_id", "pod_id", "hostname", "host_id"]
    private static let special = ByteSet(", =")
    private static let unusual = ByteSet { $0 < 0x20 || special.contains($0) }
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
        set.values.withUnsafeBufferPointer { write($0, &requests) }
        for child in ChildRuns(set.labeledValues) {
            merger.merge(set.labels, child[child.startIndex].labels)
            setTags()
            childValues.removeAll(keepingCapacity: true)
            for sample in child { childValues.append(MetricSample(sample.metric, sample.value)) }
            // Taken out, since writing changes what else is in here.
            let values = childValues
            values.withUnsafeBufferPointer { write($0, &requests) }
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
        var value = value
        value.withUTF8 { utf8 in
            // Most values are copied as they are.
            if !utf8.contains(where: { unusual.contains($0) }) {
                return bytes.append(contentsOf: utf8)
            }
            for byte in utf8 {
                if special.contains(byte) { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte < 0x20 ? UInt8(ascii: "_") : byte)
            }
        }
        if bytes.last == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "_")) }
    }

    private func isLeftOut(_ metric: MetricKey, _ value: MetricValue) -> Bool {
        if options.dropsCounters, Self.droppedCounters.contains(metric) { return true }
        // The protocol has no words for infinity and "not a number".
        if case .float(let number) = value { return !number.isFinite }
        return false
    }

    private mutating func write(
        _ samples: UnsafeBufferPointer<MetricSample>, _ requests: inout RequestBuilder
    ) {
        if options.usesFields { return writeFields(samples, &requests) }
        for sample in samples where !isLeftOut(sample.metric, sample.value) {
            let count =
                names.byteCount(sample.metric) + tags.count + ending.count
                + SinkText.byteCountMax(of: sample.value) + 16
            requests.beginItem()
            requests.write(atMost: count) { line in
                names.append(sample.metric, to: &line)
                line.append(tags)
                line.append(literal: " value=")
                Self.append(sample.value, to: &line)
                line.append(ending)
            }
            requests.endItem()
        }
    }

    @inline(__always)
    private static func append(_ value: MetricValue, to line: inout ByteCursor) {
        switch value {
        case .integer(let whole):
            SinkText.append(whole, to: &line)
            line.append(UInt8(ascii: "i"))
        case .float(let number):
            SinkText.append(plain: number, to: &line)
        }
    }

    /// A line for each family, its metrics in the order of the set.
    private mutating func writeFields(
        _ samples: UnsafeBufferPointer<MetricSample>, _ requests: inout RequestBuilder
    ) {
        link(samples)
        for group in groups {
            let family = samples[group.first].metric
            let count =
                families.byteCount(family) + tags.count + 1 + group.byteCountMax + ending.count
            requests.beginItem()
            // A cursor wants room for digits that it does not use.
            requests.write(atMost: count + 20) { line in
                families.append(family, to: &line)
                line.append(tags)
                line.append(UInt8(ascii: " "))
                var index = group.first
                while true {
                    names.append(samples[index].metric, to: &line)
                    line.append(UInt8(ascii: "="))
                    Self.append(samples[index].value, to: &line)
                    if index == group.last { break }
                    line.append(UInt8(ascii: ","))
                    index = Int(successors[index])
                }
                line.append(ending)
            }
            requests.endItem(points: group.count)
        }
    }

    /// Finds the families of samples.
    private mutating func link(_ samples: UnsafeBufferPointer<MetricSample>) {
        groups.removeAll(keepingCapacity: true)
        if successors.count < samples.count {
            successors = [Int32](repeating: 0, count: samples.count)
        }
        for index in samples.indices {
            let (metric, value) = (samples[index].metric, samples[index].value)
            if isLeftOut(metric, value) { continue }
            let number = familyNumber(metric)
            let byteCount = names.byteCount(metric) + 3 + SinkText.byteCountMax(of: value)
            if let group = groups.firstIndex(where: { $0.familyNumber == number }) {
                successors[groups[group].last] = Int32(index)
                groups[group].last = index
                groups[group].count += 1
                groups[group].byteCountMax += byteCount
            } else {
                groups.append(
                    FieldGroup(
                        familyNumber: number, first: index, last: index, byteCountMax: byteCount))
            }
        }
    }

    /// Equal for metrics of one family: the first metric's number in the catalogue, or a hash.
    @inline(__always)
    private func familyNumber(_ metric: MetricKey) -> Int {
        switch metric {
        case .catalogue(let id): familyNumbers[Int(id.rawValue)]
        case .named(let name, _):
            Self.familyOfName[String(Self.family(name))]
                ?? (Self.family(name).hashValue | Int.min)
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
