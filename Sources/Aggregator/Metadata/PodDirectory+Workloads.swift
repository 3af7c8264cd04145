/// Which workload pods belong to, for a while: what it found out once it remembers, by controller.
struct WorkloadResolver {
    private let directory: PodDirectory
    private var known: [OwnerReference: Workload?] = [:]

    init(_ directory: PodDirectory) { self.directory = directory }

    mutating func workload(of pod: Pod) -> Workload? {
        guard let controller = pod.controller else { return nil }
        if let known = known[controller] { return known }
        let found = directory.workload(of: pod)
        known[controller] = .some(found)
        return found
    }
}

extension PodDirectory {
    /// What a pod belongs to: its controller, or the controller's controller for a replica set of a
    /// deployment and a job of a cron job; `nil` for a pod of its own and for a static pod.
    func workload(of pod: Pod) -> Workload? {
        guard let controller = pod.controller, controller.kind != "Node" else { return nil }
        if let outer = outerController(of: controller.uid) {
            return Workload(kind: outer.kind, namespace: pod.namespace, name: outer.name)
        }
        if controller.kind == "ReplicaSet", let hash = pod.labels["pod-template-hash"],
            controller.name.hasSuffix("-\(hash)"), controller.name.utf8.count > hash.utf8.count + 1
        {
            // Only a deployment sets this label, and names its replica sets after it.
            let name = controller.name.dropLast(hash.count + 1)
            return Workload(kind: "Deployment", namespace: pod.namespace, name: String(name))
        }
        return Workload(kind: controller.kind, namespace: pod.namespace, name: controller.name)
    }

    /// The pods of a namespace or a workload that are there or went within the window; none of
    /// anything else. O(pods of the namespace).
    func pods(of group: Entity) -> [GroupPod] {
        switch group {
        case .namespace(let name): return allPods(namespace: name).flatMap(\.groupPods)
        case .workload(let workload):
            var resolver = WorkloadResolver(self)
            return allPods(namespace: workload.namespace)
                .filter { resolver.workload(of: $0) == workload }.flatMap(\.groupPods)
        default: return []
        }
    }
}

extension Pod {
    /// Once for each UID that its cgroups may go by.
    fileprivate var groupPods: [GroupPod] {
        let values = ResourceTotals(self).containerValues
        var named: [String: Double] = [:]
        for container in containers where container.role == .regular {
            for other in container.resources.requests.others {
                named["\(other.name)/request", default: 0] += Double(other.value)
            }
        }
        return [uid, configHash].compactMap { $0?.description }
            .map { GroupPod(uid: $0, values: values, namedValues: named) }
    }
}
