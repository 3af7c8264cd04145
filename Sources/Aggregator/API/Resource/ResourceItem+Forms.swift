/// Tables and metadata alone: what `kubectl get` and caches of metadata ask for.
extension ResourceItemWriter {
    /// `as=Table`: what `kubectl get` prints.
    func table(_ items: [ResourceItem], version: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("kind")
        writer.string("Table")
        writer.key("apiVersion")
        writer.string("meta.k8s.io/\(version)")
        writer.key("metadata")
        writer.beginObject()
        writer.endObject()
        writer.key("columnDefinitions")
        writer.beginArray()
        for (name, format) in [
            ("Name", "name"), ("cpu", "quantity"), ("memory", "quantity"), ("Window", "duration"),
        ] {
            writer.beginObject()
            writer.key("name")
            writer.string(name)
            writer.key("type")
            writer.string("string")
            writer.key("format")
            writer.string(format)
            writer.key("description")
            writer.string("")
            writer.key("priority")
            writer.integer(0)
            writer.endObject()
        }
        writer.endArray()
        writer.key("rows")
        writer.beginArray()
        for item in items { writeRow(item, version, into: &writer) }
        writer.endArray()
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return writer.bytes
    }

    private func writeRow(
        _ item: ResourceItem, _ version: String, into writer: inout JSONWriter
    ) {
        let total = item.total
        writer.beginObject()
        writer.key("cells")
        writer.beginArray()
        writer.string(item.name)
        writer.string(UsageText.cpu(total?.cpuNanocores ?? 0))
        writer.string(UsageText.memory(total?.memoryBytes ?? 0))
        writer.string(UsageText.duration(total?.window ?? 0))
        writer.endArray()
        writer.key("object")
        writePartial(item, version, into: &writer)
        writer.endObject()
    }

    private func writePartial(
        _ item: ResourceItem, _ version: String, into writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.key("kind")
        writer.string("PartialObjectMetadata")
        writer.key("apiVersion")
        writer.string("meta.k8s.io/\(version)")
        writer.key("metadata")
        writeMetadata(item, into: &writer)
        writer.endObject()
    }

    /// `as=PartialObjectMetadata`, or its list: who there is, without figures.
    func metadata(_ items: [ResourceItem], isList: Bool, version: String) -> [UInt8] {
        var writer = JSONWriter()
        if isList {
            writer.beginObject()
            writer.key("kind")
            writer.string("PartialObjectMetadataList")
            writer.key("apiVersion")
            writer.string("meta.k8s.io/\(version)")
            writer.key("metadata")
            writer.beginObject()
            writer.endObject()
            writer.key("items")
            writer.beginArray()
            for item in items { writePartial(item, version, into: &writer) }
            writer.endArray()
            writer.endObject()
        } else if let item = items.first {
            writePartial(item, version, into: &writer)
        }
        writer.bytes.append(UInt8(ascii: "\n"))
        return writer.bytes
    }
}

/// Protocol Buffers: `k8s.io/metrics/pkg/apis/metrics/v1beta1/generated.proto`.
extension ResourceItemWriter {
    func protobuf(_ item: ResourceItem, kind: StaticString) -> [UInt8] {
        KubernetesProtobuf.envelope(apiVersion: Self.version, kind: kind) {
            append(item, to: &$0)
        }
    }

    func protobuf(_ items: [ResourceItem], kind: StaticString) -> [UInt8] {
        KubernetesProtobuf.envelope(apiVersion: Self.version, kind: kind) { list in
            KubernetesProtobuf.appendListMeta(to: &list)
            for item in items {
                Protobuf.append(2, to: &list) { append(item, to: &$0) }
            }
        }
    }

    private func append(_ item: ResourceItem, to bytes: inout [UInt8]) {
        Protobuf.append(1, to: &bytes) { metadata in
            Protobuf.append(1, string: item.name, to: &metadata)
            if let namespace = item.namespace {
                Protobuf.append(3, string: namespace, to: &metadata)
            }
            KubernetesProtobuf.append(8, time: now, to: &metadata)
            for label in item.labels?.labels ?? [] {
                Protobuf.append(11, key: label.key, value: label.value, to: &metadata)
            }
        }
        let total = item.total
        KubernetesProtobuf.append(2, time: total?.time ?? 0, to: &bytes)
        KubernetesProtobuf.append(3, duration: total?.window ?? 0, to: &bytes)
        switch item.content {
        case .node(let usage): append(4, usage, to: &bytes)
        case .pod(_, let containers):
            for container in containers {
                Protobuf.append(4, to: &bytes) { part in
                    Protobuf.append(1, string: container.name, to: &part)
                    append(2, container.usage, to: &part)
                }
            }
        }
    }

    private func append(_ field: UInt8, _ usage: ResourceUsage, to bytes: inout [UInt8]) {
        KubernetesProtobuf.append(
            field, key: "cpu", quantity: UsageText.cpu(usage.cpuNanocores), to: &bytes)
        KubernetesProtobuf.append(
            field, key: "memory", quantity: UsageText.memory(usage.memoryBytes), to: &bytes)
    }
}
