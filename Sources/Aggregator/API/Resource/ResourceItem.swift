import Wire

/// A `NodeMetrics` or `PodMetrics` object.
struct ResourceItem: Sendable {
    enum Content: Sendable {
        case node(ResourceUsage)
        case pod(namespace: String, containers: [(name: String, usage: ResourceUsage)])
    }

    let name: String
    let labels: LabelSet?
    let content: Content

    var namespace: String? {
        if case .pod(let namespace, _) = content { return namespace }
        return nil
    }

    /// Of a pod: its containers' sum, their earliest time and longest window.
    var total: ResourceUsage? {
        switch content {
        case .node(let usage): usage
        case .pod(_, let containers): ResourceUsage.sum(containers.map(\.usage))
        }
    }
}

/// Writes items as the aggregated API has them.
struct ResourceItemWriter {
    /// `creationTimestamp` of every object, as in metrics-server: when it was asked for.
    let now: Int64

    static let version = "metrics.k8s.io/v1beta1"

    /// - Parameter kind: with a type of its own, which items of a list do not have.
    func write(_ item: ResourceItem, kind: StaticString?, into writer: inout JSONWriter) {
        writer.beginObject()
        if let kind {
            writer.key("kind")
            writer.string(kind.description)
            writer.key("apiVersion")
            writer.string(Self.version)
        }
        writer.key("metadata")
        writeMetadata(item, into: &writer)
        let total = item.total
        writer.key("timestamp")
        // Kubernetes times are whole seconds.
        writer.time(milliseconds: (total?.time ?? 0) / 1_000 * 1_000)
        writer.key("window")
        writer.string(UsageText.duration(total?.window ?? 0))
        switch item.content {
        case .node(let usage): write(usage, into: &writer)
        case .pod(_, let containers):
            writer.key("containers")
            writer.beginArray()
            for container in containers {
                writer.beginObject()
                writer.key("name")
                writer.string(container.name)
                write(container.usage, into: &writer)
                writer.endObject()
            }
            writer.endArray()
        }
        writer.endObject()
    }

    /// A list with its end of line.
    func list(_ items: [ResourceItem], kind: StaticString) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("kind")
        writer.string(kind.description)
        writer.key("apiVersion")
        writer.string(Self.version)
        writer.key("metadata")
        writer.beginObject()
        writer.endObject()
        writer.key("items")
        writer.beginArray()
        for item in items { write(item, kind: nil, into: &writer) }
        writer.endArray()
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return writer.bytes
    }

    func writeMetadata(_ item: ResourceItem, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("name")
        writer.string(item.name)
        if let namespace = item.namespace {
            writer.key("namespace")
            writer.string(namespace)
        }
        writer.key("creationTimestamp")
        writer.time(milliseconds: now)
        if let labels = item.labels?.labels, !labels.isEmpty {
            writer.key("labels")
            writer.beginObject()
            for label in labels {
                writer.key(label.key)
                writer.string(label.value)
            }
            writer.endObject()
        }
        writer.endObject()
    }

    private func write(_ usage: ResourceUsage, into writer: inout JSONWriter) {
        writer.key("usage")
        writer.beginObject()
        writer.key("cpu")
        writer.string(UsageText.cpu(usage.cpuNanocores))
        writer.key("memory")
        writer.string(UsageText.memory(usage.memoryBytes))
        writer.endObject()
    }
}
