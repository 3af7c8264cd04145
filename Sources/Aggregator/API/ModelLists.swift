import Wire

/// Who there is, as the model API's lists say it.
struct ModelLists: Sendable {
    let index: ClusterIndex

    /// Hostnames, as in Heapster.
    func nodes() -> [String] { index.nodes().map(\.hostname) }

    func namespaces() -> [String] { index.namespaces() }

    func pods(in namespace: String) -> [String] {
        var names = index.pods(in: namespace).map(\.name)
        // A pod that moves is on two nodes for a moment.
        if Set(names).count < names.count { names = Set(names).sorted() }
        return names
    }

    /// Those with a pod that runs now, by kind and name.
    func workloads(in namespace: String) -> [Workload] {
        var resolver = WorkloadResolver(index.directory)
        let found = Set(
            index.pods(in: namespace).compactMap { pod in
                pod.metadata.flatMap { resolver.workload(of: $0) }
            })
        return found.sorted { ($0.kind, $0.name) < ($1.kind, $1.name) }
    }

    func containers(namespace: String, pod: String) -> [String] {
        index.pod(namespace: namespace, name: pod)?.containers.map(\.name).sorted() ?? []
    }

    func systemContainers(of node: String) -> [String] {
        index.node(named: node)?.systemContainers.map(\.subject.name) ?? []
    }

    /// Heapster's keys of everything that runs now: `namespace:default/pod:web`.
    func keys() -> [String] {
        let nodes = index.nodes()
        guard !nodes.isEmpty else { return [] }
        var found = ["cluster"]
        var namespaces = Set<String>()
        for node in nodes {
            found.append("node:\(node.name)")
            for container in node.systemContainers {
                found.append("node:\(node.name)/container:\(container.subject.name)")
            }
            for pod in node.pods {
                namespaces.insert(pod.namespace)
                let key = "namespace:\(pod.namespace)/pod:\(pod.name)"
                found.append(key)
                for container in pod.containers {
                    found.append("\(key)/container:\(container.name)")
                }
            }
        }
        return found + namespaces.sorted().map { "namespace:\($0)" }
    }

    /// The name of a node that is asked for by name or by hostname.
    func nodeName(_ name: String) -> String { index.node(named: name)?.name ?? name }
}
