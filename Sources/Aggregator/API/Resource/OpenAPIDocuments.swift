import Wire

/// `/openapi/v2` and `/openapi/v3` of the aggregated APIs: the apiserver merges them into its own, for
/// `kubectl explain` and for clients that check what they send.
enum OpenAPIDocuments {
    /// A path that can be got, and what it answers.
    private struct Operation {
        let path: String
        let action: StaticString
        let schema: String
        let parameters: [StaticString]
    }

    /// One version of a group.
    private struct Version {
        let group: String
        let version: String
        let schemas: [OpenAPISchema]
        let operations: [Operation]

        var path: String { "apis/\(group)/\(version)" }
    }

    static func register(in router: inout Router) {
        let all = versions
        let second = version2(all)
        router.add(.get, "/openapi/v2") { _ in .now(.json(second)) }
        let list = index(all)
        router.add(.get, "/openapi/v3") { _ in .now(.json(list)) }
        for version in all {
            let document = version3(version)
            router.add(.get, "/openapi/v3/\(version.path)") { _ in .now(.json(document)) }
        }
    }

    private static var versions: [Version] {
        let resource = OpenAPISchema.resource
        var found = [
            Version(
                group: "metrics.k8s.io", version: "v1beta1",
                schemas: OpenAPISchema.common + OpenAPISchema.resourceMetrics,
                operations: [
                    Operation(
                        path: "/nodes", action: "list", schema: "\(resource).NodeMetricsList",
                        parameters: []),
                    Operation(
                        path: "/nodes/{name}", action: "get", schema: "\(resource).NodeMetrics",
                        parameters: ["name"]),
                    Operation(
                        path: "/pods", action: "list", schema: "\(resource).PodMetricsList",
                        parameters: []),
                    Operation(
                        path: "/namespaces/{namespace}/pods", action: "list",
                        schema: "\(resource).PodMetricsList", parameters: ["namespace"]),
                    Operation(
                        path: "/namespaces/{namespace}/pods/{name}", action: "get",
                        schema: "\(resource).PodMetrics", parameters: ["namespace", "name"]),
                ])
        ]
        for version in CustomMetricsAPI.versions {
            found.append(values(MetricItemWriter.group, version))
        }
        found.append(values(ExternalMetricsAPI.group, "v1beta1"))
        return found
    }

    private static func values(_ group: String, _ version: String) -> Version {
        let schemas = OpenAPISchema.values(group, version)
        let list = schemas.last?.name ?? ""
        let paths: [(String, [StaticString])] =
            group == ExternalMetricsAPI.group
            ? [("/namespaces/{namespace}/{metric}", ["namespace", "metric"])]
            : [
                (
                    "/namespaces/{namespace}/pods/{name}/{metric}", ["namespace", "name", "metric"]
                ),
                ("/namespaces/{name}/metrics/{metric}", ["name", "metric"]),
                ("/nodes/{name}/{metric}", ["name", "metric"]),
            ]
        return Version(
            group: group, version: version, schemas: OpenAPISchema.common + schemas,
            operations: paths.map {
                Operation(path: $0.0, action: "list", schema: list, parameters: $0.1)
            })
    }

    // MARK: Documents

    private static func version2(_ versions: [Version]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("swagger")
        writer.string("2.0")
        writeInfo(into: &writer)
        writer.key("paths")
        writer.beginObject()
        for version in versions { writePaths(version, isThird: false, into: &writer) }
        writer.endObject()
        writer.key("definitions")
        writer.beginObject()
        var seen = Set<String>()
        for schema in versions.flatMap(\.schemas) where seen.insert(schema.name).inserted {
            write(schema, prefix: "#/definitions/", into: &writer)
        }
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }

    private static func version3(_ version: Version) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("openapi")
        writer.string("3.0.0")
        writeInfo(into: &writer)
        writer.key("paths")
        writer.beginObject()
        writePaths(version, isThird: true, into: &writer)
        writer.endObject()
        writer.key("components")
        writer.beginObject()
        writer.key("schemas")
        writer.beginObject()
        for schema in version.schemas {
            write(schema, prefix: "#/components/schemas/", into: &writer)
        }
        writer.endObject()
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }

    /// Where the documents are; the hash changes with the program's version.
    private static func index(_ versions: [Version]) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("paths")
        writer.beginObject()
        for version in versions {
            var hash = CRC32C()
            version3(version).withUnsafeBytes { hash.update($0) }
            writer.key(version.path)
            writer.beginObject()
            writer.key("serverRelativeURL")
            writer.string(
                "/openapi/v3/\(version.path)?hash=\(String(hash.value, radix: 16, uppercase: true))"
            )
            writer.endObject()
        }
        writer.endObject()
        writer.endObject()
        return writer.bytes
    }

    private static func writeInfo(into writer: inout JSONWriter) {
        writer.key("info")
        writer.beginObject()
        writer.key("title")
        writer.string("Heapwire")
        writer.key("version")
        writer.string(HeapwireVersion.current)
        writer.endObject()
    }

    // MARK: Parts

    private static func writePaths(
        _ version: Version, isThird: Bool, into writer: inout JSONWriter
    ) {
        for operation in version.operations {
            writer.key("/\(version.path)\(operation.path)")
            writer.beginObject()
            writer.key("get")
            writer.beginObject()
            writer.key("operationId")
            writer.string(identifier(version, operation))
            writer.key("produces")
            writer.beginArray()
            writer.string("application/json")
            writer.string("application/vnd.kubernetes.protobuf")
            writer.endArray()
            writer.key("responses")
            writer.beginObject()
            writer.key("200")
            writer.beginObject()
            writer.key("description")
            writer.string("OK")
            writeAnswer(operation.schema, isThird: isThird, into: &writer)
            writer.endObject()
            writer.endObject()
            writer.key("x-kubernetes-action")
            writer.string(operation.action.description)
            if let type = version.schemas.first(where: { $0.name == operation.schema })?.type {
                writer.key("x-kubernetes-group-version-kind")
                let kind = type.kind.hasSuffix("List") ? String(type.kind.dropLast(4)) : type.kind
                writeType((type.group, type.version, kind), into: &writer)
            }
            writer.endObject()
            writeParameters(operation.parameters, isThird: isThird, into: &writer)
            writer.endObject()
        }
    }

    /// Unique: the words of the path, capitalised, behind the action.
    private static func identifier(_ version: Version, _ operation: Operation) -> String {
        let words = "\(version.group).\(version.version)\(operation.path)"
            .split { !$0.isLetter && !$0.isNumber }
        return "\(operation.action)"
            + words.map { $0.prefix(1).uppercased() + $0.dropFirst() }.joined()
    }

    private static func writeAnswer(
        _ schema: String, isThird: Bool, into writer: inout JSONWriter
    ) {
        if isThird {
            writer.key("content")
            writer.beginObject()
            writer.key("application/json")
            writer.beginObject()
        }
        writer.key("schema")
        writer.beginObject()
        writer.key("$ref")
        writer.string((isThird ? "#/components/schemas/" : "#/definitions/") + schema)
        writer.endObject()
        if isThird {
            writer.endObject()
            writer.endObject()
        }
    }

    private static func writeParameters(
        _ names: [StaticString], isThird: Bool, into writer: inout JSONWriter
    ) {
        guard !names.isEmpty else { return }
        writer.key("parameters")
        writer.beginArray()
        for name in names {
            writer.beginObject()
            writer.key("name")
            writer.string(name.description)
            writer.key("in")
            writer.string("path")
            writer.key("required")
            writer.boolean(true)
            if isThird {
                writer.key("schema")
                writer.beginObject()
            }
            writer.key("type")
            writer.string("string")
            if isThird { writer.endObject() }
            writer.endObject()
        }
        writer.endArray()
    }

    private static func write(
        _ schema: OpenAPISchema, prefix: String, into writer: inout JSONWriter
    ) {
        writer.key(schema.name)
        writer.beginObject()
        writer.key("description")
        writer.string(schema.help.description)
        writer.key("type")
        writer.string(schema.fields.isEmpty ? "string" : "object")
        if !schema.fields.isEmpty {
            writer.key("properties")
            writer.beginObject()
            for field in schema.fields {
                writer.key(field.name.description)
                writer.beginObject()
                writer.key("description")
                writer.string(field.help.description)
                write(field.kind, prefix: prefix, into: &writer)
                writer.endObject()
            }
            writer.endObject()
        }
        if let type = schema.type {
            writer.key("x-kubernetes-group-version-kind")
            writer.beginArray()
            writeType(type, into: &writer)
            writer.endArray()
        }
        writer.endObject()
    }

    private static func writeType(
        _ type: (group: String, version: String, kind: String), into writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.key("group")
        writer.string(type.group)
        writer.key("kind")
        writer.string(type.kind)
        writer.key("version")
        writer.string(type.version)
        writer.endObject()
    }

    private static func write(
        _ kind: OpenAPISchema.Kind, prefix: String, into writer: inout JSONWriter
    ) {
        switch kind {
        case .reference(let name):
            writer.key("$ref")
            writer.string(prefix + name)
        case .string(let format):
            writer.key("type")
            writer.string("string")
            if let format {
                writer.key("format")
                writer.string(format.description)
            }
        case .integer:
            writer.key("type")
            writer.string("integer")
            writer.key("format")
            writer.string("int64")
        case .array(let element), .map(let element):
            let isArray = if case .array = kind { true } else { false }
            writer.key("type")
            writer.string(isArray ? "array" : "object")
            writer.key(isArray ? "items" : "additionalProperties")
            writer.beginObject()
            write(element, prefix: prefix, into: &writer)
            writer.endObject()
        }
    }
}
