import Wire

/// OpenTSDB's `/api/put` (<http://opentsdb.net/docs/build/html/api_http/put.html>): a JSON array of points.
///
/// Names are Heapster's: `/` and what OpenTSDB does not allow become `_`, then `_gauge` or
/// `_cumulative`. Mended: metrics of filesystems, disks and accelerators are sent too (issue 1354 of
/// Heapster), with their labels as tags.
struct OpenTSDBEncoder: PointEncoder {
    let limits = RequestLimits(byteCountMax: 1 << 20, pointCountMax: 1_000)
    let envelope = RequestEnvelope(
        open: Array("[".utf8), separator: Array(",".utf8), close: Array("]".utf8))
    private let names: MetricNameTable
    private var merger: LabelMerger
    /// `","timestamp":1767225600,"value":`
    private var middle: [UInt8] = []
    private var tags = RestrictedTags(
        keys: .init(unwanted: Self.unwanted), values: .init(unwanted: Self.unwanted))

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

    mutating func setLabels(_ set: borrowing MetricSet, _ child: [Label]) {
        merger.merge(set.labels, child)
        tags.set(merger.labels)
    }

    func point(
        _ metric: MetricKey, _ value: MetricValue, of kind: EntityKind,
        _ requests: inout RequestBuilder
    ) {
        if case .float(let number) = value, !number.isFinite { return }
        requests.beginItem()
        SinkText.append("{\"metric\":\"", to: &requests.bytes)
        names.append(metric, to: &requests.bytes)
        requests.bytes.append(contentsOf: middle)
        switch value {
        case .integer(let whole): SinkText.append(whole, to: &requests.bytes)
        case .float(let number): JSONNumberFormat.append(number, to: &requests.bytes)
        }
        requests.bytes.append(contentsOf: tags.bytes)
        requests.bytes.append(UInt8(ascii: "}"))
        requests.endItem()
    }

    private static func cleaned(_ text: String) -> String {
        var bytes: [UInt8] = []
        SinkText.append(text, replacing: unwanted, with: UInt8(ascii: "_"), to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }
}
