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
