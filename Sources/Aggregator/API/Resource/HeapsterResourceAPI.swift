import Wire

/// Heapster's resource metrics: `/apis/metrics.k8s.io/v1alpha1`, and `/apis/metrics/v1alpha1`, where
/// `kubectl top` looked for them up to Kubernetes 1.8.
///
/// No kinds and no discovery, as then. Unlike today's API a pod is hidden while any container that it
/// specifies has not been read.
struct HeapsterResourceAPI: Sendable {
    let index: ClusterIndex
    let clock: Clock

    /// Heapster always said so.
    private static let window = "1m0s"

    func register(in router: inout Router) {
        for prefix in ["/apis/metrics.k8s.io/v1alpha1", "/apis/metrics/v1alpha1"] {
            let group = router.addGroup(.heapster(prefix: prefix))
            func add(
                _ pattern: String, _ body: @escaping @Sendable (HTTPRequest) -> HTTPResponse
            ) {
                router.add(.get, pattern, group: group) { _ in .onWorker(body) }
            }
            add("/nodes") { list($0) { nodes(matching: $0) } }
            add("/nodes/{node}") { node($0) }
            add("/pods") { list($0) { pods(nil, matching: $0) } }
            add("/namespaces/{namespace}/pods") { request in
                list(request) { pods(request.parameter(0), matching: $0) }
            }
            add("/namespaces/{namespace}/pods/{pod}") { pod($0) }
        }
    }

    private var timestamp: Int64 { index.cluster.rollUps.newestCycle ?? 0 }
    private var now: Int64 { Int64(clock.realtimeNanoseconds / 1_000_000_000) &* 1_000 }

    // MARK: Lists

    private enum Item {
        case node(String, ResourceUsage)
        case pod(PodUsage)
    }

    private func list(
        _ request: HTTPRequest, _ items: (LabelSelector) -> [Item]
    ) -> HTTPResponse {
        let selector: LabelSelector
        let text = request.queryValue("labelSelector") ?? ""
        do throws(LabelSelector.Invalid) {
            selector = try LabelSelector(
                parsing: text, operators: "'=', '!=', '==', 'in', notin'")
        } catch {
            return .text(
                .badRequest, "Error while parsing selector \(text): \(error.message)")
        }
        var writer = JSONWriter(.indented)
        writer.beginObject()
        writer.key("metadata")
        writer.beginObject()
        writer.endObject()
        writer.key("items")
        let items = items(selector)
        if items.isEmpty {
            writer.null()
        } else {
            writer.beginArray()
            for item in items { write(item, into: &writer) }
            writer.endArray()
        }
        writer.endObject()
        return .json(writer.bytes)
    }

    private func nodes(matching selector: LabelSelector) -> [Item] {
        index.nodes().filter { selector.matches($0.metadata?.labels) }.compactMap { node in
            index.read(node) { node, rows in node.node?.usage(in: rows) }?.map {
                .node(node.name, $0)
            }
        }
    }

    private func pods(_ namespace: String?, matching selector: LabelSelector) -> [Item] {
        let found = index.nodes().flatMap { node in
            index.read(node) { node, rows in
                node.pods.filter {
                    $0.metadata != nil && (namespace == nil || $0.namespace == namespace)
                        && selector.matches($0.metadata?.labels)
                }.map { PodUsage($0, in: rows) }
            } ?? []
        }
        return found.filter { $0.missingCount == 0 && !$0.containers.isEmpty }
            .sorted { ($0.pod.namespace, $0.pod.name) < ($1.pod.namespace, $1.pod.name) }
            .map { .pod($0) }
    }

    // MARK: Single objects

    private func node(_ request: HTTPRequest) -> HTTPResponse {
        let name = request.parameter(0)
        guard let node = index.node(named: name), node.name == name,
            node.model.lastStep >= index.horizon,
            let usage = index.read(node, { node, rows in node.node?.usage(in: rows) }) ?? nil
        else { return .text(.notFound, "No metrics for node \(name)") }
        return answer(.node(name, usage))
    }

    private func pod(_ request: HTTPRequest) -> HTTPResponse {
        let (namespace, name) = (request.parameter(0), request.parameter(1))
        if index.directory.pods(namespace: namespace, name: name).isEmpty,
            !index.directory.pods().isEmpty
        {
            return .text(.notFound, "Error while getting pod \(name): pod \"\(name)\" not found")
        }
        guard let pod = index.pod(namespace: namespace, name: name),
            let node = index.node(of: pod),
            let usage = index.read(
                node,
                { node, rows in
                    node.pods.first { $0.uid == pod.uid }.map { PodUsage($0, in: rows) }
                }) ?? nil, usage.missingCount == 0, !usage.containers.isEmpty
        else {
            return .text(.notFound, "No metrics availalble for pod \(namespace)/\(name)")
        }
        return answer(.pod(usage))
    }

    private func answer(_ item: Item) -> HTTPResponse {
        var writer = JSONWriter(.indented)
        write(item, into: &writer)
        return .json(writer.bytes)
    }

    // MARK: Layout

    private func write(_ item: Item, into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("metadata")
        writer.beginObject()
        writer.key("name")
        switch item {
        case .node(let name, _): writer.string(name)
        case .pod(let usage):
            writer.string(usage.pod.name)
            writer.key("namespace")
            writer.string(usage.pod.namespace)
        }
        writer.key("creationTimestamp")
        writer.time(milliseconds: now)
        writer.endObject()
        writer.key("timestamp")
        writer.time(milliseconds: timestamp)
        writer.key("window")
        writer.string(Self.window)
        switch item {
        case .node(_, let usage): write(usage, into: &writer)
        case .pod(let usage):
            writer.key("containers")
            writer.beginArray()
            for container in usage.containers {
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

    /// CPU in whole millicores, as Heapster had it.
    private func write(_ usage: ResourceUsage, into writer: inout JSONWriter) {
        writer.key("usage")
        writer.beginObject()
        writer.key("cpu")
        writer.string(UsageText.cpu(usage.cpuNanocores / 1_000_000 * 1_000_000))
        writer.key("memory")
        writer.string(UsageText.memory(usage.memoryBytes))
        writer.endObject()
    }
}
