import Wire

/// What the model asks: names of subjects, and figures that do not come from nodes.
extension PodDirectory: NameSource {
    func pod(uid: String) -> PodName? {
        pod(uid: ObjectUID(uid)).map { PodName(namespace: $0.namespace, name: $0.name) }
    }

    /// With the kubelet's UIDs of static pods, which their cgroups go by.
    func podUIDs(namespace: String, name: String) -> [String] {
        pods(namespace: namespace, name: name).flatMap { pod in
            [pod.uid, pod.configHash].compactMap { $0?.description }
        }
    }

    func containerName(podUID: String, containerID: String) -> String? {
        container(id: ContainerID(containerID))?.container.name
    }

    func specifiedContainers(namespace: String, pod: String) -> [String] {
        pods(namespace: namespace, name: pod).first?.containers
            .filter { $0.role == .regular || $0.role == .sidecar }.map(\.name) ?? []
    }

    func values(of entity: Entity) -> [MetricID: Double] {
        switch entity {
        case .cluster: return totals(namespace: nil).sums
        case .namespace(let name): return totals(namespace: name).sums
        case .node(let name):
            guard let view = knownNode(name)?.view(), let node = view.node else { return [:] }
            return NodeFigures(node, view.totals).values
        case .pod(let namespace, let name):
            return pods(namespace: namespace, name: name).first
                .map { ResourceTotals($0).containerValues } ?? [:]
        case .container(let namespace, let pod, let name):
            let container = pods(namespace: namespace, name: pod).first?.containers
                .first { $0.name == name }
            return container.map { ResourceTotals($0).containerValues } ?? [:]
        case .systemContainer, .workload: return [:]
        }
    }
}

extension ResourceTotals {
    /// Of a namespace, a node, the cluster.
    fileprivate var sums: [MetricID: Double] {
        [
            .cpuRequest: Double(cpuRequestMillicores), .cpuLimit: Double(cpuLimitMillicores),
            .memoryRequest: Double(memoryRequestBytes), .memoryLimit: Double(memoryLimitBytes),
        ]
    }

    /// Of a container or pod.
    var containerValues: [MetricID: Double] {
        var values = sums
        values[.ephemeralStorageRequest] = Double(ephemeralStorageRequestBytes)
        values[.ephemeralStorageLimit] = Double(ephemeralStorageLimitBytes)
        values[.restartCount] = Double(restartCount)
        return values
    }
}
