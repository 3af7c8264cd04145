extension JoinedNode {
    /// Who is on this node and not on what it became, by UIDs: a pod that only got its name is the
    /// same one.
    ///
    /// - Parameter successor: `nil` where the node is forgotten.
    func departures(to successor: JoinedNode?) -> [Departure] {
        var found: [Departure] = []
        func add(_ pod: Departure.Pod?, _ containers: [String]) {
            found.append(
                Departure(
                    time: model.lastStep, node: name, hostname: hostname, pod: pod,
                    containers: containers))
        }
        let there = Set(successor?.systemContainers.map(\.subject.name) ?? [])
        let gone = systemContainers.map(\.subject.name).filter { !there.contains($0) }
        if successor == nil || !gone.isEmpty { add(nil, gone) }
        let pods = Dictionary(
            (successor?.pods ?? []).map { ($0.uid, $0) }, uniquingKeysWith: { first, _ in first })
        for pod in self.pods {
            let containers = pod.containersGone(from: pods[pod.uid])
            guard pods[pod.uid] == nil || !containers.isEmpty else { continue }
            add(
                Departure.Pod(namespace: pod.namespace, name: pod.name, uid: pod.uid), containers)
        }
        return found
    }
}

extension JoinedPod {
    /// Names of those that ran and are not there any more under this name or another.
    fileprivate func containersGone(from successor: JoinedPod?) -> [String] {
        guard let successor else { return containers.map(\.name) }
        let names = Set(successor.containers.map(\.name))
        let identifiers = Set(successor.containers.compactMap { $0.subject?.subject.containerID })
        return containers.filter { container in
            guard let subject = container.subject else { return false }
            return !names.contains(container.name)
                && !identifiers.contains(subject.subject.containerID)
        }.map(\.name)
    }
}
