import Wire

/// What the model is told about names: the directory's, and for what it does not know the index's.
///
/// Sums over a node's pods are over those that the node has told of, as Heapster's are.
struct JoinedNames: NameSource {
    let index: ClusterIndex
    private var directory: PodDirectory { index.directory }

    init(_ index: ClusterIndex) { self.index = index }

    func pod(uid: String) -> PodName? { directory.pod(uid: uid) }

    func podUIDs(namespace: String, name: String) -> [String] {
        directory.podUIDs(namespace: namespace, name: name)
    }

    func containerName(podUID: String, containerID: String) -> String? {
        directory.containerName(podUID: podUID, containerID: containerID)
    }

    func specifiedContainers(namespace: String, pod: String) -> [String] {
        directory.specifiedContainers(namespace: namespace, pod: pod)
    }

    func pods(of group: Entity) -> [GroupPod] { directory.pods(of: group) }

    func values(of entity: Entity) -> [MetricID: Double] {
        switch entity {
        case .cluster, .namespace:
            // Part of the roll-ups, cycle by cycle.
            return [:]
        case .node(let name):
            guard let node = index.node(named: name), let metadata = node.metadata else {
                return [:]
            }
            return NodeFigures(metadata, node.reportedTotals).values
        default: return directory.values(of: entity)
        }
    }

    func namedValues(of entity: Entity) -> [String: Double] {
        let containers: [Pod.Container]
        switch entity {
        case .pod(let namespace, let name):
            containers =
                directory.pods(namespace: namespace, name: name).first?.containers
                .filter { $0.role == .regular } ?? []
        case .container(let namespace, let pod, let name):
            containers =
                directory.pods(namespace: namespace, name: pod).first?.containers
                .filter { $0.name == name } ?? []
        default: return [:]
        }
        var found: [String: Double] = [:]
        for container in containers {
            for other in container.resources.requests.others {
                found["\(other.name)/request", default: 0] += Double(other.value)
            }
        }
        return found
    }
}

extension JoinedNode {
    /// Requests and limits of the pods that the node has told of.
    var reportedTotals: ResourceTotals {
        var totals = ResourceTotals()
        for pod in pods { if let metadata = pod.metadata { totals.add(ResourceTotals(metadata)) } }
        return totals
    }
}

/// A node's figures that do not come from the node, by Heapster's rules: processors and memory that
/// the apiserver does not tell are 0, local storage is left out unless both figures are there, and
/// there is no reservation of nothing.
struct NodeFigures {
    private(set) var values: [MetricID: Double]

    init(_ node: Node, _ totals: ResourceTotals) {
        let (capacity, allocatable) = (node.capacity, node.allocatable)
        values = [
            .cpuRequest: Double(totals.cpuRequestMillicores),
            .cpuLimit: Double(totals.cpuLimitMillicores),
            .memoryRequest: Double(totals.memoryRequestBytes),
            .memoryLimit: Double(totals.memoryLimitBytes),
            .ephemeralStorageRequest: Double(totals.ephemeralStorageRequestBytes),
            .ephemeralStorageLimit: Double(totals.ephemeralStorageLimitBytes),
            .cpuNodeCapacity: Double(capacity.cpuMillicores ?? 0),
            .cpuNodeAllocatable: Double(allocatable.cpuMillicores ?? 0),
            .memoryNodeCapacity: Double(capacity.memoryBytes ?? 0),
            .memoryNodeAllocatable: Double(allocatable.memoryBytes ?? 0),
        ]
        reserve(.cpuNodeReservation, totals.cpuRequestMillicores, of: allocatable.cpuMillicores)
        reserve(.memoryNodeReservation, totals.memoryRequestBytes, of: allocatable.memoryBytes)
        if let all = capacity.ephemeralStorageBytes, let usable = allocatable.ephemeralStorageBytes
        {
            values[.ephemeralStorageNodeCapacity] = Double(all)
            values[.ephemeralStorageNodeAllocatable] = Double(usable)
            reserve(
                .ephemeralStorageNodeReservation, totals.ephemeralStorageRequestBytes, of: usable)
        }
    }

    private mutating func reserve(_ metric: MetricID, _ request: Int64, of allocatable: Int64?) {
        guard let allocatable, allocatable > 0 else { return }
        values[metric] = Double(request) / Double(allocatable)
    }
}
