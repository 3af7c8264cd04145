import Wire

/// Librato's measurements with tags (<https://www.librato.com/docs/api/#create-a-measurement>).
///
/// Mended: a value of zero is written; Heapster left the field out, and the point was refused. Tags
/// without a value are left out, which Librato does not take either.
struct LibratoEncoder: PointEncoder {
    let limits = RequestLimits(byteCountMax: 1 << 20, pointCountMax: 1_000)
    let envelope: RequestEnvelope
    private let names: MetricNameTable
    private var merger = LabelMerger()
    private var time: [UInt8] = []
    /// The documented limits.
    private var tags = RestrictedTags(
        keys: .init(unwanted: Self.unwanted, byteCountMax: 64),
        values: .init(unwanted: ByteSet(outsideLettersDigitsAnd: "-.:_ "), byteCountMax: 255))

    private static let nameByteCountMax = 255
    private static let unwanted = ByteSet(outsideLettersDigitsAnd: "-.:_")

    /// - Parameters:
    ///   - prefix: before each name; a dot is put behind it.
    ///   - tags: of every measurement.
    init(prefix: String, tags: [Label]) {
        let prefix = prefix.isEmpty || prefix.hasSuffix(".") ? prefix : prefix + "."
        names = MetricNameTable { key in
            let name = prefix + String(key.name.map { $0 == "/" ? "." : $0 })
            let bytes = name.utf8.prefix(Self.nameByteCountMax).map {
                Self.unwanted.contains($0) ? UInt8(ascii: "_") : $0
            }
            return String(decoding: bytes, as: UTF8.self)
        }
        var open = JSONWriter()
        open.beginObject()
        if !tags.isEmpty {
            open.key("tags")
            open.object(of: tags)
        }
        open.key("measurements")
        envelope = RequestEnvelope(
            open: open.bytes + Array("[".utf8), separator: Array(",".utf8),
            close: Array("]}".utf8))
    }

    mutating func begin(cycle: Int64) { time = Array(",\"time\":\(cycle / 1_000)}".utf8) }

    mutating func setLabels(_ set: borrowing MetricSet, _ child: [Label]) {
        merger.merge(set.labels, child)
        tags.set(merger.labels)
    }

    func point(
        _ metric: MetricKey, _ value: MetricValue, of kind: EntityKind,
        _ requests: inout RequestBuilder
    ) {
        guard value.double.isFinite else { return }
        requests.beginItem()
        SinkText.append("{\"name\":\"", to: &requests.bytes)
        names.append(metric, to: &requests.bytes)
        SinkText.append("\",\"value\":", to: &requests.bytes)
        JSONNumberFormat.append(value.double, to: &requests.bytes)
        requests.bytes.append(contentsOf: tags.bytes)
        requests.bytes.append(contentsOf: time)
        requests.endItem()
    }
}
