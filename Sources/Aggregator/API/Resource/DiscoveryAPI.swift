import Wire

/// What Kubernetes' clients ask before they ask for metrics: groups, versions, resources, in both the
/// old and the aggregated form, and the nodes' allocatable that `kubectl top node` shows shares of.
struct DiscoveryAPI: Sendable {
    let index: ClusterIndex

    private static let version =
        #"{"groupVersion":"metrics.k8s.io/v1beta1","version":"v1beta1"}"#
    private static let group =
        #""name":"metrics.k8s.io","versions":["# + version + #"],"preferredVersion":"# + version
    private static let resources =
        #"{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"metrics.k8s.io/v1beta1","resources":[{"name":"nodes","singularName":"","namespaced":false,"kind":"NodeMetrics","verbs":["get","list"]},{"name":"pods","singularName":"","namespaced":true,"kind":"PodMetrics","verbs":["get","list"]}]}"#
    private static let coreResources =
        #"{"kind":"APIResourceList","groupVersion":"v1","resources":[{"name":"nodes","singularName":"node","namespaced":false,"kind":"Node","verbs":["get","list"],"shortNames":["no"]}]}"#

    func register(in router: inout Router) {
        func document(_ path: String, _ text: String, aggregated: String? = nil) {
            let plain = Array((text + "\n").utf8)
            let other = aggregated.map { Array(($0 + "\n").utf8) }
            router.add(.get, path) { request in
                if let other, Self.wantsAggregated(request) {
                    return .now(
                        HTTPResponse(
                            .ok,
                            contentType:
                                "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
                            body: .bytes(other)))
                }
                return .now(.json(plain))
            }
        }
        document(
            "/api", #"{"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]}"#,
            aggregated: Self.aggregated(
                #"{"metadata":{"creationTimestamp":null},"versions":[{"version":"v1","freshness":"Current","resources":[{"resource":"nodes","responseKind":{"group":"","version":"v1","kind":"Node"},"scope":"Cluster","singularResource":"node","verbs":["get","list"],"shortNames":["no"]}]}]}"#
            ))
        document(
            "/apis", #"{"kind":"APIGroupList","apiVersion":"v1","groups":[{"# + Self.group + "}]}",
            aggregated: Self.aggregated(
                #"{"metadata":{"name":"metrics.k8s.io","creationTimestamp":null},"versions":[{"version":"v1beta1","freshness":"Current","resources":[{"resource":"nodes","responseKind":{"group":"metrics.k8s.io","version":"v1beta1","kind":"NodeMetrics"},"scope":"Cluster","singularResource":"","verbs":["get","list"]},{"resource":"pods","responseKind":{"group":"metrics.k8s.io","version":"v1beta1","kind":"PodMetrics"},"scope":"Namespaced","singularResource":"","verbs":["get","list"]}]}]}"#
            ))
        document(
            "/apis/metrics.k8s.io", #"{"kind":"APIGroup","apiVersion":"v1","# + Self.group + "}")
        document("/apis/metrics.k8s.io/v1beta1", Self.resources)
        document("/api/v1", Self.coreResources)
        document(
            "/version",
            #"{"major":"1","minor":"30","gitVersion":"v1.30.0-heapwire.\#(HeapwireVersion.current)","gitCommit":"","gitTreeState":"","buildDate":"","goVersion":"","compiler":"","platform":"linux"}"#
        )
        router.add(.get, "/api/v1/nodes") { _ in .onWorker { nodes($0) } }
    }

    private static func aggregated(_ item: String) -> String {
        #"{"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":["#
            + item + "]}"
    }

    /// Version 2 only: clients that know no later form than v2beta1 take the old one.
    private static func wantsAggregated(_ request: HTTPRequest) -> Bool {
        guard let accept = request.field("accept") else { return false }
        return accept.split(separator: ",").contains {
            $0.contains("as=APIGroupDiscoveryList") && $0.contains("v=v2;")
        }
    }

    /// A NodeList with what is known here: names, labels, capacity and allocatable.
    private func nodes(_ request: HTTPRequest) -> HTTPResponse {
        let selector: LabelSelector
        do throws(LabelSelector.Invalid) {
            selector = try LabelSelector(parsing: request.queryValue("labelSelector") ?? "")
        } catch {
            return KubernetesStatus.badRequest(error.message)
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
        for node in index.nodes() where selector.matches(node.metadata?.labels) {
            write(node, into: &writer)
        }
        writer.endArray()
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return .json(writer.bytes)
    }

    private func write(_ node: JoinedNode, into writer: inout JSONWriter) {
        writer.beginObject()
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
        writer.endObject()
    }
}
