/// An encoder in whose format each point is an item of its own, and what comes of labels is the same for all
/// points of a set, or of one of its children.
protocol PointEncoder: SinkEncoder {
    /// Makes what the points that follow share.
    ///
    /// - Parameter child: the labels of the set's child that they are of; empty for its own.
    mutating func setLabels(_ set: borrowing MetricSet, _ child: [Label])
    /// Writes one point, between `beginItem` and `endItem`, or nothing where the format has no place for it.
    mutating func point(
        _ metric: MetricKey, _ value: MetricValue, of kind: EntityKind,
        _ requests: inout RequestBuilder)
}

extension PointEncoder {
    @inline(__always)
    mutating func encodePoints(
        _ set: borrowing MetricSet, into requests: inout RequestBuilder
    ) {
        setLabels(set, [])
        for sample in set.values { point(sample.metric, sample.value, of: set.kind, &requests) }
        for child in ChildRuns(set.labeledValues) {
            setLabels(set, child[child.startIndex].labels)
            for sample in child { point(sample.metric, sample.value, of: set.kind, &requests) }
        }
    }

    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder) {
        encodePoints(set, into: &requests)
    }
}

/// `,"tags":{"key":"value",…}` for services that allow few characters in tags: all others become `_`, so that
/// nothing needs an escape.
struct RestrictedTags: Sendable {
    /// What one of the two texts of a tag may have.
    struct TagRule: Sendable {
        var unwanted: ByteSet
        /// What is longer is cut.
        var byteCountMax = Int.max
    }

    private(set) var bytes: [UInt8] = []
    private let keys: TagRule
    private let values: TagRule

    init(keys: TagRule, values: TagRule) {
        self.keys = keys
        self.values = values
    }

    mutating func set(_ labels: [Label]) {
        bytes.removeAll(keepingCapacity: true)
        SinkText.append(",\"tags\":{", to: &bytes)
        var separator: StaticString = "\""
        for label in labels {
            SinkText.append(separator, to: &bytes)
            separator = ",\""
            append(label.key, keys)
            SinkText.append("\":\"", to: &bytes)
            append(label.value, values)
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "}"))
    }

    private mutating func append(_ text: String, _ rule: TagRule) {
        for byte in text.utf8.prefix(rule.byteCountMax) {
            bytes.append(rule.unwanted.contains(byte) ? UInt8(ascii: "_") : byte)
        }
    }
}
