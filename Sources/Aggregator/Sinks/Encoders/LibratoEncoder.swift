import Wire

/// Librato's measurements with tags (<https://www.librato.com/docs/api/#create-a-measurement>).
///
/// Mended: a value of zero is written; Heapster left the field out, and the point was refused. Tags
/// without a value are left out, which Librato does not take either.
struct LibratoEncoder: SinkEncoder {
    let limits = RequestLimits(byteCountMax: 1 << 20, pointCountMax: 1_000)
    let envelope: RequestEnvelope
    private let names: MetricNameTable
    private var merger = LabelMerger()
    private var time: [UInt8] = []
    private var tags: [UInt8] = []

    /// The documented limits of names, tag names and tag values.
    private static let nameByteCountMax = 255
    private static let tagNameByteCountMax = 64
    private static let tagValueByteCountMax = 255

    /// - Parameters:
    ///   - prefix: before each name; a dot is put behind it.
    ///   - tags: of every measurement.
    init(prefix: String, tags: [Label]) {
        let prefix = prefix.isEmpty || prefix.hasSuffix(".") ? prefix : prefix + "."
        names = MetricNameTable { key in
            let name = prefix + String(key.name.map { $0 == "/" ? "." : $0 })
            return Self.cleaned(name, "", Self.nameByteCountMax)
        }
        var open = JSONWriter()
        open.beginObject()
        if !tags.isEmpty {
            open.key("tags")
            open.beginObject()
            for tag in tags {
                open.key(tag.key)
                open.string(tag.value)
            }
            open.endObject()
        }
        open.key("measurements")
        envelope = RequestEnvelope(
            open: open.bytes + Array("[".utf8), separator: Array(",".utf8),
            close: Array("]}".utf8))
    }

    mutating func begin(cycle: Int64) { time = Array(",\"time\":\(cycle / 1_000)}".utf8) }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        merger.merge(set.labels)
        setTags()
        for sample in set.values { measurement(sample.metric, sample.value, &requests) }
        for sample in set.labeledValues {
            merger.merge(set.labels, sample.labels)
            setTags()
            measurement(sample.metric, sample.value, &requests)
        }
    }

    private func measurement(
        _ metric: MetricKey, _ value: MetricValue, _ requests: inout RequestBuilder
    ) {
        guard value.double.isFinite else { return }
        requests.beginItem()
        SinkText.append("{\"name\":\"", to: &requests.bytes)
        names.append(metric, to: &requests.bytes)
        SinkText.append("\",\"value\":", to: &requests.bytes)
        JSONNumberFormat.append(value.double, to: &requests.bytes)
        requests.bytes.append(contentsOf: tags)
        requests.bytes.append(contentsOf: time)
        requests.endItem()
    }

    private mutating func setTags() {
        tags.removeAll(keepingCapacity: true)
        SinkText.append(",\"tags\":{", to: &tags)
        var separator: StaticString = "\""
        for label in merger.labels {
            SinkText.append(separator, to: &tags)
            separator = ",\""
            SinkText.append(Self.cleaned(label.key, "", Self.tagNameByteCountMax), to: &tags)
            SinkText.append("\":\"", to: &tags)
            SinkText.append(Self.cleaned(label.value, " ", Self.tagValueByteCountMax), to: &tags)
            SinkText.append("\"", to: &tags)
        }
        SinkText.append("}", to: &tags)
    }

    /// Letters, digits, `-.:_` and `also` are left, so nothing needs a JSON escape.
    private static func cleaned(_ text: String, _ also: String, _ limit: Int) -> String {
        let bytes = text.utf8.prefix(limit).map { byte -> UInt8 in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                byte
            default: "-.:_\(also)".utf8.contains(byte) ? byte : UInt8(ascii: "_")
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
