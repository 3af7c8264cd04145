import Wire

/// `metrics.k8s.io/v1beta1`, as metrics-server serves it: `kubectl top`, horizontal and vertical
/// autoscalers.
///
/// Window and timestamp are those of the readings. A pod with a container that was not read yet is
/// not hidden; it has the containers that were.
struct ResourceMetricsAPI: Sendable {
    let index: ClusterIndex
    let clock: Clock

    func register(in router: inout Router) {
        let group = router.addGroup(RouteGroup(prefix: "/apis/metrics.k8s.io/v1beta1"))
        func add(
            _ pattern: String, _ body: @escaping @Sendable (HTTPRequest) -> HTTPResponse
        ) {
            router.add(.get, pattern, group: group) { _ in .onWorker(body) }
        }
        add("/nodes") { list($0, kind: "NodeMetricsList") { .items(nodes($0)) } }
        add("/nodes/{node}") { node($0) }
        add("/pods") { list($0, kind: "PodMetricsList") { .pods(pods(nil, $0)) } }
        add("/namespaces/{namespace}/pods") { request in
            list(request, kind: "PodMetricsList") { .pods(pods(request.parameter(0), $0)) }
        }
        add("/namespaces/{namespace}/pods/{pod}") { pod($0) }
    }

    private var writer: ResourceItemWriter {
        ResourceItemWriter(now: Int64(clock.realtimeNanoseconds / 1_000_000_000) &* 1_000)
    }

    // MARK: Lists

    /// What was found for a list.
    private enum Found {
        case items([ResourceItem])
        case pods(PodReadings)

        var items: [ResourceItem] {
            switch self {
            case .items(let items): items
            case .pods(let readings): readings.items
            }
        }
    }

    /// What a list is narrowed to.
    private struct Filter {
        let labels: LabelSelector
        let fields: LabelSelector

        var isEverything: Bool { labels.isEverything && fields.isEverything }

        func matches(_ name: String, _ namespace: String?, _ labels: LabelSet?) -> Bool {
            self.labels.matches(labels)
                && fields.matches { $0 == "metadata.name" ? name : namespace ?? "" }
        }
    }

    private static let fieldNames: Set<String> = ["metadata.name", "metadata.namespace"]

    private func list(
        _ request: HTTPRequest, kind: StaticString, _ find: (Filter) -> Found
    ) -> HTTPResponse {
        if let watch = request.queryValue("watch"), !["", "0", "false"].contains(watch) {
            return KubernetesStatus.watchNotAllowed
        }
        let filter: Filter
        do throws(LabelSelector.Invalid) {
            filter = Filter(
                labels: try LabelSelector(parsing: request.queryValue("labelSelector") ?? ""),
                fields: try LabelSelector(parsing: request.queryValue("fieldSelector") ?? ""))
        } catch {
            return KubernetesStatus.badRequest(error.message)
        }
        for requirement in filter.fields.requirements
        where !Self.fieldNames.contains(requirement.key) {
            return KubernetesStatus.badRequest(
                "field label not supported: \(requirement.key)")
        }
        guard let format = KubernetesFormat(request) else {
            return KubernetesStatus.notAcceptable
        }
        let found = find(filter)
        switch (format, found) {
        case (.table(let version), _):
            return .json(writer.table(found.items, version: version))
        case (.metadata(let version), _):
            return .json(writer.metadata(found.items, isList: true, version: version))
        case (.protobuf, .items(let items)):
            return .protobuf(writer.protobuf(items, kind: kind))
        case (.protobuf, .pods(let readings)):
            return HTTPResponse(
                .ok, contentType: KubernetesProtobuf.contentType,
                body: .slowStream(PodProtobufProducer(readings, now: writer.now)))
        case (.json, .items(let items)): return .json(writer.list(items, kind: kind))
        case (.json, .pods(let readings)):
            return HTTPResponse(
                .ok, contentType: "application/json",
                body: .slowStream(PodListProducer(readings, now: writer.now)))
        }
    }

    private func nodes(_ filter: Filter) -> [ResourceItem] {
        index.nodes().compactMap { node in
            guard filter.matches(node.name, nil, node.metadata?.labels) else { return nil }
            return item(of: node)
        }
    }

    private func item(of node: JoinedNode) -> ResourceItem? {
        let usage = index.read(node) { node, rows in node.node?.usage(in: rows) } ?? nil
        return usage.map {
            ResourceItem(
                name: node.name, labels: node.metadata?.labels, content: .node($0))
        }
    }

    private func pods(_ namespace: String?, _ filter: Filter) -> PodReadings {
        guard !filter.isEverything else {
            return PodReadings(index, namespace: namespace, where: nil)
        }
        return PodReadings(index, namespace: namespace) { pod in
            filter.matches(pod.name, pod.namespace, pod.metadata?.labels)
        }
    }

    /// Only pods that the apiserver knows, and of which something was read.
    private static func item(of pod: JoinedPod, _ rows: LiveRows) -> ResourceItem? {
        guard let metadata = pod.metadata else { return nil }
        let usage = PodUsage(pod, in: rows)
        guard !usage.containers.isEmpty else { return nil }
        return ResourceItem(
            name: pod.name, labels: metadata.labels,
            content: .pod(namespace: pod.namespace, containers: usage.containers))
    }

    // MARK: Single objects

    private func node(_ request: HTTPRequest) -> HTTPResponse {
        let name = request.parameter(0)
        guard let node = index.node(named: name), node.name == name,
            node.model.lastStep >= index.horizon, let item = item(of: node)
        else { return KubernetesStatus.notFound("nodemetrics", name) }
        return answer(request, item, kind: "NodeMetrics")
    }

    private func pod(_ request: HTTPRequest) -> HTTPResponse {
        let (namespace, name) = (request.parameter(0), request.parameter(1))
        guard let pod = index.pod(namespace: namespace, name: name),
            let node = index.node(of: pod),
            let item = index.read(
                node,
                { node, rows in
                    node.pods.first { $0.uid == pod.uid }.flatMap { Self.item(of: $0, rows) }
                }) ?? nil
        else { return KubernetesStatus.notFound("podmetrics", "\(namespace)/\(name)") }
        return answer(request, item, kind: "PodMetrics")
    }

    private func answer(
        _ request: HTTPRequest, _ item: ResourceItem, kind: StaticString
    ) -> HTTPResponse {
        switch KubernetesFormat(request) {
        case nil: return KubernetesStatus.notAcceptable
        case .table(let version): return .json(writer.table([item], version: version))
        case .metadata(let version):
            return .json(writer.metadata([item], isList: false, version: version))
        case .protobuf: return .protobuf(writer.protobuf(item, kind: kind))
        case .json:
            var json = JSONWriter()
            writer.write(item, kind: kind, into: &json)
            json.bytes.append(UInt8(ascii: "\n"))
            return .json(json.bytes)
        }
    }
}
