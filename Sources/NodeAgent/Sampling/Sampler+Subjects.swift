import Wire

/// What a cgroup is as a subject, whose network it has, and what machine this is.
extension Sampler {
    func subject(
        _ path: String, _ identity: PodCgroupPath, _ parent: Slot, _ startTime: Int64
    ) -> Subject {
        var subject = Subject(
            kind: .systemContainer, parent: parent, startTimeMilliseconds: startTime)
        switch identity {
        case .pod(let uid, let qosClass, _):
            subject.kind = .pod
            subject.attributes = [.podUID: uid, .qosClass: qosClass.rawValue]
            if isHostNetwork(path) == true { subject.attributes[.sandbox] = "host-network" }
        case .container(let podUID, let qosClass, let containerID, let runtime):
            subject.kind = .container
            subject.attributes = [
                .podUID: podUID, .containerID: containerID, .qosClass: qosClass.rawValue,
            ]
            if let runtime { subject.attributes[.runtime] = runtime }
            if let start, let first = start.processIDs(of: path).first, start.isPause(first) {
                subject.attributes[.sandbox] = "sandbox"
            }
        case .other(let containerID, let runtime):
            subject.attributes = [.name: path]
            if let containerID { subject.attributes[.containerID] = containerID }
            if let runtime { subject.attributes[.runtime] = runtime }
        case .podGroup, .insidePod: subject.attributes = [.name: path]
        }
        return subject
    }

    // MARK: Networks

    /// A process of any container of a pod; `nil` where there is none now.
    private func process(ofPod path: String) -> Int32? {
        guard let tree, let start, let children = tree.children(of: path) else { return nil }
        for child in children.sorted() {
            if let processID = start.processIDs(of: path + "/" + child).first { return processID }
        }
        return nil
    }

    private func isHostNetwork(_ pod: String) -> Bool? {
        guard let network, let processID = process(ofPod: pod) else { return nil }
        return network.isHostNetwork(processID)
    }

    /// Finds the network namespaces of pods whose containers changed.
    func resolveNetworks() {
        defer { podsToResolve.removeAll(keepingCapacity: true) }
        guard let network, let cgroups else { return }
        for path in podsToResolve {
            guard let pod = cgroups.entry(of: path), pod.kind == .pod else { continue }
            guard let processID = process(ofPod: path) else {
                // The last process is gone, and with it the namespace's life; or it was not shown.
                podsUnresolved.insert(path)
                network.remove(pod.slot, registry: &registry)
                continue
            }
            switch network.isHostNetwork(processID) {
            case false?:
                if !network.set(processID, of: pod.slot, registry: &registry) {
                    podsUnresolved.insert(path)
                }
            case true?: network.remove(pod.slot, registry: &registry)
            case nil: podsUnresolved.insert(path)
            }
        }
        _ = network.settle(registry: &registry)
    }

    // MARK: Machine

    func readMachine() {
        machine = MachineReader(roots: configuration.roots, files: files).read(
            cgroupVersion: hierarchies?.version ?? 0, driver: driver, previous: machine)
    }
}
