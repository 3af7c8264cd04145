import Wire

/// What Kubernetes' clients ask before they ask for metrics: groups, versions, resources, in both the
/// old and the aggregated form, and the nodes' allocatable that `kubectl top node` shows shares of.
struct DiscoveryAPI: Sendable {
    let index: ClusterIndex
    let groups: APIGroups

    private static let coreResources =
        #"{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"nodes","singularName":"node","namespaced":false,"kind":"Node","verbs":["get","list"],"shortNames":["no"]}]}"#
    private static let coreGroup =
        #"{"metadata":{"creationTimestamp":null},"versions":[{"version":"v1","freshness":"Current","resources":[{"resource":"nodes","responseKind":{"group":"","version":"v1","kind":"Node"},"scope":"Cluster","singularResource":"node","verbs":["get","list"],"shortNames":["no"]}]}]}"#

    func register(in router: inout Router) {
        func document(
            _ path: String, _ make: @escaping @Sendable (HTTPRequest) -> HTTPResponse
        ) {
            router.add(.get, path) { .now(make($0)) }
        }
        document("/api") { request in
            guard let version = Self.aggregatedVersion(request) else {
                return Self.text(
                    #"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#)
            }
            let list =
                #"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/\#(version)","metadata":{},"items":[\#(Self.coreGroup)]}"#
            return Self.aggregated(Array((list + "\n").utf8), version)
        }
        document("/apis") { request in
            guard let version = Self.aggregatedVersion(request) else {
                return .json(DiscoveryDocuments.groupList(groups.all))
            }
            return Self.aggregated(
                DiscoveryDocuments.aggregated(groups.all, version: version), version)
        }
        for group in groups.all {
            let name = group.name
            document("/apis/\(name)") { _ in
                groups.group(name).map { .json(DiscoveryDocuments.group($0)) } ?? Self.text("{}")
            }
            for version in group.versions {
                document("/apis/\(name)/\(version)") { _ in
                    groups.group(name).map {
                        .json(DiscoveryDocuments.resourceList($0, version))
                    } ?? Self.text("{}")
                }
            }
        }
        document("/api/v1") { _ in Self.text(Self.coreResources) }
        document("/version") { _ in
            Self.text(
                #"{"major":"1","minor":"30","gitVersion":"v1.30.0-heapwire.\#(HeapwireVersion.current)","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":"linux"}"#
            )
        }
        router.add(.get, "/api/v1/nodes") { _ in .onWorker { nodes($0) } }
        router.add(.get, "/api/v1/nodes/{node}") { .now(node($0.parameter(0))) }
        OpenAPIDocuments.register(in: &router)
    }

    private static func text(_ text: String) -> HTTPResponse { .json(Array((text + "\n").utf8)) }

    private static func aggregated(_ list: [UInt8], _ version: String) -> HTTPResponse {
        let isFinal = version == "v2"
        return HTTPResponse(
            .ok,
            contentType: isFinal
                ? "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
                : "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
            body: .bytes(list))
    }

    /// The newest version of the aggregated form that the client takes; `nil` for the old form.
    private static func aggregatedVersion(_ request: HTTPRequest) -> String? {
        guard let accept = request.field("accept") else { return nil }
        let wanted = accept.split(separator: ",").filter {
            $0.contains("as=APIGroupDiscoveryList") && $0.contains("application/json")
        }.map { $0.filter { $0 != " " } + ";" }
        return ["v2", "v2beta1"].first { version in
            wanted.contains { $0.contains(";v=\(version);") }
        }
    }

    /// A NodeList with what is known here: names, labels, capacity and allocatable.
    private func nodes(_ request: HTTPRequest) -> HTTPResponse {
        let (labels, fields): (LabelSelector, LabelSelector)
        do throws(LabelSelector.Invalid) {
            labels = try LabelSelector(parsing: request.queryValue("labelSelector") ?? "")
            fields = try LabelSelector(parsing: request.queryValue("fieldSelector") ?? "")
        } catch {
            return KubernetesStatus.badRequest(error.message)
        }
        for requirement in fields.requirements where requirement.key != "metadata.name" {
            return KubernetesStatus.badRequest("field label not supported: \(requirement.key)")
        }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("kind")
        writer.string("NodeList")
        writer.key("apiVersion")
        writer.string("v1")
        writer.key("metadata")
        writer.beginObject()
        writer.endObject()
        writer.key("items")
        writer.beginArray()
        for node in index.nodes()
        where labels.matches(node.metadata?.labels) && fields.matches({ _ in node.name }) {
            writer.beginObject()
            write(node, into: &writer)
            writer.endObject()
        }
        writer.endArray()
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return .json(writer.bytes)
    }

    private func node(_ name: String) -> HTTPResponse {
        guard let node = index.node(named: name), node.name == name,
            node.model.lastStep >= index.horizon
        else { return KubernetesStatus.notFound("nodes", name) }
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("kind")
        writer.string("Node")
        writer.key("apiVersion")
        writer.string("v1")
        write(node, into: &writer)
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return .json(writer.bytes)
    }

    private func write(_ node: JoinedNode, into writer: inout JSONWriter) {
        writer.key("metadata")
        writer.beginObject()
        writer.key("name")
        writer.string(node.name)
        writer.key("labels")
        writer.beginObject()
        for label in node.metadata?.labels.labels ?? [] {
            writer.key(label.key)
            writer.string(label.value)
        }
        writer.endObject()
        writer.endObject()
        writer.key("status")
        writer.beginObject()
        for (key, amounts) in [
            ("capacity", node.metadata?.capacity), ("allocatable", node.metadata?.allocatable),
        ] {
            writer.key(key)
            writer.beginObject()
            // Without an apiserver the machine is all there is to be had.
            let cpu = amounts?.cpuMillicores ?? Int64(node.machine.cores) &* 1_000
            let memory = amounts?.memoryBytes ?? Int64(clamping: node.machine.memoryBytes)
            writer.key("cpu")
            writer.string(UsageText.cpu(cpu &* 1_000_000))
            writer.key("memory")
            writer.string(UsageText.memory(memory))
            writer.endObject()
        }
        writer.endObject()
    }
}
