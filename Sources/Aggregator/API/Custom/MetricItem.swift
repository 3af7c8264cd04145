/// A value of `custom.metrics.k8s.io`: of what, which metric, how much.
struct MetricItem: Sendable {
    /// `Pod`, `Node` or `Namespace`.
    let kind: StaticString
    /// Empty for what is in no namespace.
    let namespace: String
    let name: String
    /// As it was asked for.
    let metric: String
    let value: Quantity
    /// Milliseconds since the epoch.
    let time: Int64
    /// Of rates: over how long.
    let windowSeconds: Int64?
}

/// Writes items in the group's versions, as JSON and as Protocol Buffers.
struct MetricItemWriter {
    /// `v1beta1` or `v1beta2`.
    let version: String
    /// What the metric's labels were narrowed to.
    let selector: LabelSelector

    static let group = "custom.metrics.k8s.io"
    private var isFirst: Bool { version == "v1beta1" }

    func json(_ items: [MetricItem]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("kind")
        writer.string("MetricValueList")
        writer.key("apiVersion")
        writer.string("\(Self.group)/\(version)")
        writer.key("metadata")
        writer.beginObject()
        writer.endObject()
        writer.key("items")
        writer.beginArray()
        for item in items { write(item, into: &writer) }
        writer.endArray()
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return writer.bytes
    }

    private func write(_ item: MetricItem, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("describedObject")
        writer.beginObject()
        writer.key("kind")
        writer.string(item.kind.description)
        if !item.namespace.isEmpty {
            writer.key("namespace")
            writer.string(item.namespace)
        }
        writer.key("name")
        writer.string(item.name)
        writer.key("apiVersion")
        writer.string("v1")
        writer.endObject()
        if isFirst {
            writer.key("metricName")
            writer.string(item.metric)
        } else {
            writer.key("metric")
            writer.beginObject()
            writer.key("name")
            writer.string(item.metric)
            writer.key("selector")
            writeSelector(into: &writer)
            writer.endObject()
        }
        writer.key("timestamp")
        writer.time(milliseconds: item.time / 1_000 * 1_000)
        if let seconds = item.windowSeconds {
            writer.key(isFirst ? "window" : "windowSeconds")
            writer.integer(seconds)
        }
        writer.key("value")
        writer.string(item.value.canonical)
        if isFirst {
            writer.key("selector")
            writeSelector(into: &writer)
        }
        writer.endObject()
    }

    private func writeSelector(into writer: inout JSONWriter) {
        guard !selector.isEverything else { return writer.null() }
        writer.beginObject()
        writer.key("matchExpressions")
        writer.beginArray()
        for expression in selector.expressions {
            writer.beginObject()
            writer.key("key")
            writer.string(expression.key)
            writer.key("operator")
            writer.string(expression.operation)
            writer.key("values")
            writer.beginArray()
            for value in expression.values { writer.string(value) }
            writer.endArray()
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
    }

    func protobuf(_ items: [MetricItem]) -> [UInt8] {
        KubernetesProtobuf.envelope(
            apiVersion: "\(Self.group)/\(version)", kind: "MetricValueList"
        ) { list in
            KubernetesProtobuf.appendListMeta(to: &list)
            for item in items {
                Protobuf.append(2, to: &list) { append(item, to: &$0) }
            }
        }
    }

    private func append(_ item: MetricItem, to bytes: inout [UInt8]) {
        Protobuf.append(1, to: &bytes) { object in
            Protobuf.append(1, string: item.kind.description, to: &object)
            Protobuf.append(2, string: item.namespace, to: &object)
            Protobuf.append(3, string: item.name, to: &object)
            Protobuf.append(5, string: "v1", to: &object)
        }
        if isFirst {
            Protobuf.append(2, string: item.metric, to: &bytes)
        } else {
            Protobuf.append(2, to: &bytes) { metric in
                Protobuf.append(1, string: item.metric, to: &metric)
                appendSelector(2, to: &metric)
            }
        }
        KubernetesProtobuf.append(3, time: item.time, to: &bytes)
        if let seconds = item.windowSeconds {
            Protobuf.append(4, varint: UInt64(bitPattern: seconds), to: &bytes)
        }
        KubernetesProtobuf.append(5, quantity: item.value.canonical, to: &bytes)
        if isFirst { appendSelector(6, to: &bytes) }
    }

    private func appendSelector(_ field: UInt8, to bytes: inout [UInt8]) {
        guard !selector.isEverything else { return }
        Protobuf.append(field, to: &bytes) { selector in
            for expression in self.selector.expressions {
                Protobuf.append(2, to: &selector) { requirement in
                    Protobuf.append(1, string: expression.key, to: &requirement)
                    Protobuf.append(2, string: expression.operation, to: &requirement)
                    for value in expression.values {
                        Protobuf.append(3, string: value, to: &requirement)
                    }
                }
            }
        }
    }
}

extension LabelSelector {
    /// As `metav1.LabelSelector` has it, which knows no greater and no less.
    var expressions: [(key: String, operation: String, values: [String])] {
        requirements.compactMap { requirement in
            switch requirement.condition {
            case .exists: (requirement.key, "Exists", [])
            case .doesNotExist: (requirement.key, "DoesNotExist", [])
            case .isIn(let values): (requirement.key, "In", values.sorted())
            case .isNotIn(let values): (requirement.key, "NotIn", values.sorted())
            case .isGreater, .isLess: nil
            }
        }
    }
}

extension Quantity {
    /// A finite number to the nearest billionth, so that 0.1 is 100m and so is 0.1 with the noise of a
    /// sum; `nil` for others.
    init?(_ value: Double) {
        guard value.isFinite else { return nil }
        if let whole = Int64(exactly: value) {
            self.init(nanos: Int128(whole) * 1_000_000_000)
        } else if (value * 1e9).magnitude < 0x1p53 {
            self.init(nanos: Int128((value * 1e9).rounded()))
        } else {
            // Its shortest text has no more digits than fit.
            self.init("\(value)")
        }
    }

    /// Kubernetes' own spelling: whole digits and the largest decimal suffix that leaves them whole,
    /// `1500m`, `2k`, `0`.
    var canonical: String {
        let suffixes = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"]
        guard nanos != 0 else { return "0" }
        var (rest, suffix) = (nanos, 0)
        while suffix < suffixes.count - 1, rest % 1_000 == 0 {
            rest /= 1_000
            suffix += 1
        }
        return "\(rest)\(suffixes[suffix])"
    }
}
