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
            return Self.values(of: node, view.totals)
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

    /// Heapster's node values: absent processors and memory are 0, local storage is left out unless
    /// both figures are there; no reservation of nothing.
    private static func values(of node: Node, _ totals: ResourceTotals) -> [MetricID: Double] {
        var values = totals.sums
        values[.ephemeralStorageRequest] = Double(totals.ephemeralStorageRequestBytes)
        values[.ephemeralStorageLimit] = Double(totals.ephemeralStorageLimitBytes)
        let (capacity, allocatable) = (node.capacity, node.allocatable)
        values[.cpuNodeCapacity] = Double(capacity.cpuMillicores ?? 0)
        values[.cpuNodeAllocatable] = Double(allocatable.cpuMillicores ?? 0)
        values[.memoryNodeCapacity] = Double(capacity.memoryBytes ?? 0)
        values[.memoryNodeAllocatable] = Double(allocatable.memoryBytes ?? 0)
        func reserve(_ metric: MetricID, _ request: Int64, of allocatable: Int64?) {
            guard let allocatable, allocatable > 0 else { return }
            values[metric] = Double(request) / Double(allocatable)
        }
        reserve(.cpuNodeReservation, totals.cpuRequestMillicores, of: allocatable.cpuMillicores)
        reserve(.memoryNodeReservation, totals.memoryRequestBytes, of: allocatable.memoryBytes)
        if let all = capacity.ephemeralStorageBytes, let usable = allocatable.ephemeralStorageBytes
        {
            values[.ephemeralStorageNodeCapacity] = Double(all)
            values[.ephemeralStorageNodeAllocatable] = Double(usable)
            reserve(
                .ephemeralStorageNodeReservation, totals.ephemeralStorageRequestBytes, of: usable)
        }
        return values
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
