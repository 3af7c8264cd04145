import Wire

/// OpenTSDB's `/api/put` (<http://opentsdb.net/docs/build/html/api_http/put.html>): a JSON array of points.
///
/// Names are Heapster's: `/` and what OpenTSDB does not allow become `_`, then `_gauge` or
/// `_cumulative`. Mended: metrics of filesystems, disks and accelerators are sent too (issue 1354 of
/// Heapster), with their labels as tags.
struct OpenTSDBEncoder: SinkEncoder {
    let limits = RequestLimits(byteCountMax: 1 << 20, pointCountMax: 1_000)
    let envelope = RequestEnvelope(
        open: Array("[".utf8), separator: Array(",".utf8), close: Array("]".utf8))
    private let names: MetricNameTable
    private var merger: LabelMerger
    /// `","timestamp":1767225600,"value":`
    private var middle: [UInt8] = []
    /// `,"tags":{…}}`
    private var tags: [UInt8] = []

    private static let unwanted = ByteSet(outsideLettersDigitsAnd: "-_./")

    init(clusterName: String) {
        names = MetricNameTable { key in
            var name: [UInt8] = []
            SinkText.append(
                String(key.name.map { $0 == "/" ? "_" : $0 }), replacing: Self.unwanted,
                with: UInt8(ascii: "_"), to: &name)
            return String(decoding: name, as: UTF8.self)
                + (key.kind == .counter ? "_cumulative" : "_gauge")
        }
        merger = LabelMerger(cluster: Label(key: "cluster", value: Self.cleaned(clusterName)))
    }

    mutating func begin(cycle: Int64) {
        middle = Array("\",\"timestamp\":\(cycle / 1_000),\"value\":".utf8)
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        merger.merge(set.labels)
        setTags()
        for sample in set.values { point(sample.metric, sample.value, &requests) }
        for sample in set.labeledValues {
            merger.merge(set.labels, sample.labels)
            setTags()
            point(sample.metric, sample.value, &requests)
        }
    }

    private func point(_ metric: MetricKey, _ value: MetricValue, _ requests: inout RequestBuilder)
    {
        if case .float(let number) = value, !number.isFinite { return }
        requests.beginItem()
        SinkText.append("{\"metric\":\"", to: &requests.bytes)
        names.append(metric, to: &requests.bytes)
        requests.bytes.append(contentsOf: middle)
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &requests.bytes)
        case .float(let number): JSONNumberFormat.append(number, to: &requests.bytes)
        }
        requests.bytes.append(contentsOf: tags)
        requests.endItem()
    }

    /// Nothing needs an escape: only letters, digits and `-_./` are left.
    private mutating func setTags() {
        tags.removeAll(keepingCapacity: true)
        SinkText.append(",\"tags\":{", to: &tags)
        var separator: StaticString = "\""
        for label in merger.labels {
            SinkText.append(separator, to: &tags)
            separator = ",\""
            SinkText.append(
                label.key, replacing: Self.unwanted, with: UInt8(ascii: "_"), to: &tags)
            SinkText.append("\":\"", to: &tags)
            SinkText.append(
                label.value, replacing: Self.unwanted, with: UInt8(ascii: "_"), to: &tags)
            SinkText.append("\"", to: &tags)
        }
        SinkText.append("}}", to: &tags)
    }

    private static func cleaned(_ text: String) -> String {
        var bytes: [UInt8] = []
        SinkText.append(text, replacing: unwanted, with: UInt8(ascii: "_"), to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
