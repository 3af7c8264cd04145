/// Discovery as JSON: what `k8s.io/apimachinery/pkg/apis/meta/v1` and `k8s.io/api/apidiscovery` lay
/// out.
enum DiscoveryDocuments {
    /// `APIGroupList`.
    static func groupList(_ groups: [APIGroups.Group]) -> [UInt8] {
        document("APIGroupList", "v1") { writer in
            writer.key("groups")
            writer.beginArray()
            for group in groups {
                writer.beginObject()
                writeVersions(of: group, into: &writer)
                writer.endObject()
            }
            writer.endArray()
        }
    }

    /// `APIGroup`.
    static func group(_ group: APIGroups.Group) -> [UInt8] {
        document("APIGroup", "v1") { writeVersions(of: group, into: &$0) }
    }

    private static func writeVersions(
        of group: APIGroups.Group, into writer: inout JSONWriter
    ) {
        func write(_ version: String) {
            writer.beginObject()
            writer.key("groupVersion")
            writer.string("\(group.name)/\(version)")
            writer.key("version")
            writer.string(version)
            writer.endObject()
        }
        writer.key("name")
        writer.string(group.name)
        writer.key("versions")
        writer.beginArray()
        for version in group.versions { write(version) }
        writer.endArray()
        writer.key("preferredVersion")
        write(group.versions.first ?? "")
    }

    /// `APIResourceList` of one version.
    static func resourceList(_ group: APIGroups.Group, _ version: String) -> [UInt8] {
        document("APIResourceList", "v1") { writer in
            writer.key("groupVersion")
            writer.string("\(group.name)/\(version)")
            writer.key("resources")
            writer.beginArray()
            for resource in group.resources {
                writer.beginObject()
                writer.key("name")
                writer.string(resource.name)
                writer.key("singularName")
                writer.string("")
                writer.key("namespaced")
                writer.boolean(resource.isNamespaced)
                writer.key("kind")
                writer.string(resource.kind.description)
                writeVerbs(resource.verbs, into: &writer)
                writer.endObject()
            }
            writer.endArray()
        }
    }

    // MARK: Aggregated

    /// `APIGroupDiscoveryList` in `v2` or `v2beta1`, which are laid out alike.
    static func aggregated(_ groups: [APIGroups.Group], version: String) -> [UInt8] {
        document("APIGroupDiscoveryList", "apidiscovery.k8s.io/\(version)") { writer in
            writer.key("metadata")
            writer.beginObject()
            writer.endObject()
            writer.key("items")
            writer.beginArray()
            for group in groups {
                writer.beginObject()
                writer.key("metadata")
                writer.beginObject()
                writer.key("name")
                writer.string(group.name)
                writer.key("creationTimestamp")
                writer.null()
                writer.endObject()
                writer.key("versions")
                writer.beginArray()
                for version in group.versions {
                    writer.beginObject()
                    writer.key("version")
                    writer.string(version)
                    writer.key("freshness")
                    writer.string("Current")
                    writer.key("resources")
                    writeResources(group, version, into: &writer)
                    writer.endObject()
                }
                writer.endArray()
                writer.endObject()
            }
            writer.endArray()
        }
    }

    private static func writeResources(
        _ group: APIGroups.Group, _ version: String, into writer: inout JSONWriter
    ) {
        writer.beginArray()
        var rest = group.resources[...]
        while let first = rest.first {
            let object = first.name.prefix { $0 != "/" }
            writer.beginObject()
            writer.key("resource")
            writer.string(String(object))
            writer.key("scope")
            writer.string(first.isNamespaced ? "Namespaced" : "Cluster")
            writer.key("singularResource")
            writer.string("")
            if object.endIndex == first.name.endIndex {
                writeKind(group, version, first.kind, into: &writer)
                writeVerbs(first.verbs, into: &writer)
                rest.removeFirst()
            } else {
                // An object that only has subresources here has no kind, as the apiserver tells it.
                writer.key("responseKind")
                writeKind("", "", "", into: &writer)
                writeVerbs([], into: &writer)
            }
            let parts = rest.prefix { $0.name.hasPrefix(object + "/") }
            if !parts.isEmpty {
                writer.key("subresources")
                writer.beginArray()
                for part in parts {
                    writer.beginObject()
                    writer.key("subresource")
                    writer.string(String(part.name.dropFirst(object.count + 1)))
                    writeKind(group, version, part.kind, into: &writer)
                    writeVerbs(part.verbs, into: &writer)
                    writer.endObject()
                }
                writer.endArray()
                rest = rest.dropFirst(parts.count)
            }
            writer.endObject()
        }
        writer.endArray()
    }

    private static func writeKind(
        _ group: APIGroups.Group, _ version: String, _ kind: StaticString,
        into writer: inout JSONWriter
    ) {
        writer.key("responseKind")
        writeKind(group.name, version, kind.description, into: &writer)
    }

    private static func writeKind(
        _ group: String, _ version: String, _ kind: String, into writer: inout JSONWriter
    ) {
        writer.beginObject()
        writer.key("group")
        writer.string(group)
        writer.key("version")
        writer.string(version)
        writer.key("kind")
        writer.string(kind)
        writer.endObject()
    }

    private static func writeVerbs(_ verbs: [StaticString], into writer: inout JSONWriter) {
        writer.key("verbs")
        writer.beginArray()
        for verb in verbs { writer.string(verb.description) }
        writer.endArray()
    }

    private static func document(
        _ kind: StaticString, _ version: String, _ body: (inout JSONWriter) -> Void
    ) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("kind")
        writer.string(kind.description)
        writer.key("apiVersion")
        writer.string(version)
        body(&writer)
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return writer.bytes
    }
}
