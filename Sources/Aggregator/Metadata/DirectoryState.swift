/// The tables of `PodDirectory`, for one thread at a time.
struct DirectoryState {
    /// Where a container is: the pod as it was when it had this ID.
    private struct Place {
        let pod: Pod
        let index: Int32
    }

    private struct NamespacePods {
        /// The newest of each name.
        var pods: [String: Pod] = [:]
        var totals = ResourceTotals()
    }

    private struct Departure {
        let time: Int64
        let pod: Pod
    }

    private struct OwnedDeparture {
        let time: Int64
        let uid: ObjectUID
    }

    struct Owned: Equatable {
        let kind: OwnedKind
        let controller: OwnerReference
        let namespace: String
        let name: String
    }

    enum OwnedKind: UInt8 {
        case replicaSet, job, other

        init(_ kind: String) {
            switch kind {
            case "ReplicaSet": self = .replicaSet
            case "Job": self = .job
            default: self = .other
            }
        }
    }

    let window: Int64
    let departedLimit: Int
    var observer: (@Sendable (MetadataChange, Int64) -> Void)?

    private var byUID: [ObjectUID: Pod] = [:]
    private var departedUIDs: Set<ObjectUID> = []
    /// Static pods: the kubelet's UID to the apiserver's.
    private var byConfigHash: [ObjectUID: ObjectUID] = [:]
    /// By fingerprint; a container whose fingerprint another one has too is found through its
    /// pod only, which no one will live to see with IDs that are hashes.
    private var byContainer: [UInt64: Place] = [:]
    private var byNamespace: [String: NamespacePods] = [:]
    /// Earlier pods of names in use, oldest first.
    private var earlier: [String: [Pod]] = [:]
    private(set) var byNode: [String: NodeMetadata] = [:]
    private var totals = ResourceTotals()
    private(set) var namespaces: [String: Namespace] = [:]
    private(set) var owned: [ObjectUID: Owned] = [:]
    private var nodes: [String: Node] = [:]

    /// Pods that went, and earlier states of pods whose containers got new IDs; by time.
    private var departures = Queue<Departure>()
    /// Replica sets and jobs that went: kept as long as the pods that say they belong to them.
    private var ownedDepartures = Queue<OwnedDeparture>()
    /// When they went.
    private var departedOwned: [ObjectUID: Int64] = [:]
    private var evicted: UInt64 = 0

    init(window: Int64, departedLimit: Int) {
        self.window = window
        self.departedLimit = departedLimit
    }

    // MARK: Changes

    /// Whether it made a difference.
    mutating func apply(_ change: MetadataChange, now: Int64) -> Bool {
        let isNew: Bool
        switch change {
        case .pod(let pod): isNew = put(pod, now: now)
        case .podRemoved(let uid): isNew = remove(uid, now: now)
        case .node(let node):
            isNew = nodes[node.name] != node
            if isNew {
                nodes[node.name] = node
                nodeMetadata(node.name).set(node)
            }
        case .nodeRemoved(let name):
            isNew = nodes.removeValue(forKey: name) != nil
            if isNew { nodeMetadata(name).set(nil) }
        case .namespace(let namespace):
            isNew = namespaces[namespace.name] != namespace
            namespaces[namespace.name] = namespace
        case .namespaceRemoved(let name): isNew = namespaces.removeValue(forKey: name) != nil
        case .owned(let object): isNew = put(object)
        case .ownedRemoved(let uid):
            isNew = owned[uid] != nil && departedOwned[uid] == nil
            if isNew {
                departedOwned[uid] = now
                ownedDepartures.append(OwnedDeparture(time: now, uid: uid))
            }
        }
        if isNew { observer?(change, now) }
        return isNew
    }

    private mutating func put(_ pod: Pod, now: Int64) -> Bool {
        let old = byUID[pod.uid]
        let wasDeparted = departedUIDs.remove(pod.uid) != nil
        if let old {
            if old == pod, !wasDeparted { return false }
            if !wasDeparted { count(old, -1) }
            if old.nodeName != pod.nodeName, let node = byNode[old.nodeName] {
                node.remove(old, keeping: false)
                node.forget(old.uid)
            }
            if hasLostContainers(old, pod) { departures.append(Departure(time: now, pod: old)) }
        }
        byUID[pod.uid] = pod
        if let hash = pod.configHash { byConfigHash[hash] = pod.uid }
        for (index, container) in pod.containers.enumerated() where !container.id.isEmpty {
            byContainer[container.id.fingerprint] = Place(pod: pod, index: Int32(index))
        }
        name(pod)
        if !pod.nodeName.isEmpty { nodeMetadata(pod.nodeName).put(pod) }
        count(pod, 1)
        return true
    }

    /// Whether a container ID of the old state is none of the new one.
    private func hasLostContainers(_ old: Pod, _ new: Pod) -> Bool {
        old.containers.contains { container in
            !container.id.isEmpty && !new.containers.contains { $0.id == container.id }
        }
    }

    private mutating func remove(_ uid: ObjectUID, now: Int64) -> Bool {
        guard let pod = byUID[uid], departedUIDs.insert(uid).inserted else { return false }
        count(pod, -1)
        departures.append(Departure(time: now, pod: pod))
        byNode[pod.nodeName]?.remove(pod, keeping: true)
        return true
    }

    private mutating func put(_ object: OwnedObject) -> Bool {
        let isBack = departedOwned.removeValue(forKey: object.uid) != nil
        guard let controller = object.controller else {
            return owned.removeValue(forKey: object.uid) != nil
        }
        let new = Owned(
            kind: OwnedKind(object.kind), controller: controller, namespace: object.namespace,
            name: object.name)
        guard owned[object.uid] != new || isBack else { return false }
        owned[object.uid] = new
        return true
    }

    private mutating func count(_ pod: Pod, _ sign: Int) {
        guard pod.holdsResources else { return }
        let own = ResourceTotals(pod)
        if sign > 0 {
            totals.add(own)
            byNamespace[pod.namespace, default: NamespacePods()].totals.add(own)
        } else {
            totals.subtract(own)
            byNamespace[pod.namespace]?.totals.subtract(own)
        }
    }

    // MARK: Names

    private func nameKey(_ pod: Pod) -> String { "\(pod.namespace)/\(pod.name)" }

    /// Makes the pod the newest of its name.
    private mutating func name(_ pod: Pod) {
        let before = byNamespace[pod.namespace, default: NamespacePods()]
            .pods.updateValue(pod, forKey: pod.name)
        guard let before, before.uid != pod.uid else { return }
        var others = earlier[nameKey(pod)] ?? []
        others.removeAll { $0.uid == before.uid || $0.uid == pod.uid }
        earlier[nameKey(pod)] = others + [before]
    }

    private mutating func unname(_ pod: Pod) {
        let key = nameKey(pod)
        if var others = earlier[key] {
            others.removeAll { $0.uid == pod.uid }
            if byNamespace[pod.namespace]?.pods[pod.name]?.uid == pod.uid {
                byNamespace[pod.namespace]?.pods[pod.name] = others.popLast()
            }
            earlier[key] = others.isEmpty ? nil : others
        } else if byNamespace[pod.namespace]?.pods[pod.name]?.uid == pod.uid {
            byNamespace[pod.namespace]?.pods[pod.name] = nil
        }
        if byNamespace[pod.namespace]?.pods.isEmpty == true { byNamespace[pod.namespace] = nil }
    }

    // MARK: Forgetting

    /// Forgets at most `limit` states; whether there may be more to forget.
    mutating func expire(now: Int64, limit: Int) -> Bool {
        var forgotten = 0
        while let first = departures.first,
            first.time <= now &- window || departures.count > departedLimit
        {
            guard forgotten < limit else { return true }
            forgotten += 1
            if first.time > now &- window { evicted += 1 }
            departures.removeFirst()
            forget(first.pod)
        }
        while let first = ownedDepartures.first,
            first.time <= now &- window || ownedDepartures.count > departedLimit
        {
            guard forgotten < limit else { return true }
            forgotten += 1
            ownedDepartures.removeFirst()
            // It may have come back, and gone again later: then it waits for that.
            guard departedOwned[first.uid] == first.time else { continue }
            departedOwned[first.uid] = nil
            owned[first.uid] = nil
        }
        return false
    }

    /// Drops a state of a pod: the pod itself if it has gone and this is its last state, and the
    /// containers that only this state has.
    private mutating func forget(_ pod: Pod) {
        let current = byUID[pod.uid]
        let isGone = current === pod && departedUIDs.contains(pod.uid)
        // The pod came back.
        if current === pod, !isGone { return }
        for container in pod.containers where !container.id.isEmpty {
            let key = container.id.fingerprint
            if byContainer[key]?.pod === pod { byContainer[key] = nil }
        }
        guard isGone else { return }
        byUID[pod.uid] = nil
        departedUIDs.remove(pod.uid)
        if let hash = pod.configHash, byConfigHash[hash] == pod.uid { byConfigHash[hash] = nil }
        unname(pod)
        guard let node = byNode[pod.nodeName] else { return }
        node.forget(pod.uid)
        dropIfVacant(pod.nodeName)
    }

    /// Readers that hold the node's part keep it in the table: they would not see what comes.
    private mutating func dropIfVacant(_ name: String) {
        guard var node = byNode.removeValue(forKey: name) else { return }
        if node.isVacant, isKnownUniquelyReferenced(&node) { return }
        byNode[name] = node
    }

    // MARK: Questions

    mutating func nodeMetadata(_ name: String) -> NodeMetadata {
        if let known = byNode[name] { return known }
        let made = NodeMetadata(name: name)
        byNode[name] = made
        return made
    }

    func pod(uid: ObjectUID) -> Pod? {
        byUID[uid] ?? byConfigHash[uid].flatMap { byUID[$0] }
    }

    func livePod(uid: ObjectUID) -> Pod? { departedUIDs.contains(uid) ? nil : byUID[uid] }

    func container(id: ContainerID) -> PodContainer? {
        guard !id.isEmpty, let place = byContainer[id.fingerprint] else { return nil }
        let found = PodContainer(pod: place.pod, index: Int(place.index))
        return found.container.id == id ? found : nil
    }

    func pods(namespace: String, name: String) -> [Pod] {
        guard let newest = byNamespace[namespace]?.pods[name] else { return [] }
        return [newest] + (earlier["\(namespace)/\(name)"] ?? []).reversed()
    }

    func pods(namespace: String) -> [Pod] {
        byNamespace[namespace]?.pods.values.filter { !departedUIDs.contains($0.uid) } ?? []
    }

    /// Also those that went.
    func allPods(namespace: String) -> [Pod] {
        guard let newest = byNamespace[namespace]?.pods.values else { return [] }
        guard !earlier.isEmpty else { return Array(newest) }
        let prefix = "\(namespace)/"
        return newest + earlier.filter { $0.key.hasPrefix(prefix) }.flatMap(\.value)
    }

    func livePods() -> [Pod] {
        departedUIDs.isEmpty
            ? Array(byUID.values) : byUID.values.filter { !departedUIDs.contains($0.uid) }
    }

    func livePodUIDs() -> [ObjectUID] { livePods().map(\.uid) }
    func nodeNames() -> [String] { Array(nodes.keys) }
    func namespaceNames() -> [String] { Array(namespaces.keys) }
    func allNodes() -> [Node] { Array(nodes.values) }

    func ownedUIDs(kind: String) -> [ObjectUID] {
        let kind = OwnedKind(kind)
        return owned.filter { $0.value.kind == kind && departedOwned[$0.key] == nil }.map(\.key)
    }

    // MARK: Everything

    /// What would have to be applied, in order, to an empty directory.
    ///
    /// - Parameter now: stands for when things came that are still there.
    func snapshot(now: Int64) -> DirectorySnapshot {
        var snapshot = DirectorySnapshot(time: now)
        snapshot.owned = owned.map { uid, object in
            DirectorySnapshot.Owned(uid: uid, object: object, departed: departedOwned[uid])
        }
        // What has gone waits to be forgotten in the order of time.
        snapshot.owned.sort { $0.departed ?? now < $1.departed ?? now }
        snapshot.namespaces = Array(namespaces.values)
        snapshot.nodes = Array(nodes.values)
        snapshot.pods = livePods()
        // From the last to the first, so that each state knows what followed it.
        var following: [ObjectUID: Pod] = [:]
        for departure in departures.all.reversed() {
            let uid = departure.pod.uid
            let isEnd = departedUIDs.contains(uid) && byUID[uid] === departure.pod
            let successor = isEnd ? nil : following[uid] ?? byUID[uid]
            // A pod that came back after it had gone is told of as it is now.
            if !isEnd, successor == nil || successor === departure.pod { continue }
            snapshot.departures.append(
                DirectorySnapshot.Departure(
                    time: departure.time, pod: departure.pod, successor: successor))
            following[uid] = departure.pod
        }
        snapshot.departures.reverse()
        return snapshot
    }

    func totals(namespace: String?) -> ResourceTotals {
        guard let namespace else { return totals }
        return byNamespace[namespace]?.totals ?? ResourceTotals()
    }

    var counts: PodDirectory.Counts {
        PodDirectory.Counts(
            pods: byUID.count - departedUIDs.count, departedPods: departedUIDs.count,
            containers: byContainer.count, nodes: nodes.count, namespaces: namespaces.count,
            evictedPods: evicted)
    }
}

/// First in, first out, in one array whose used-up front is cut off now and then.
private struct Queue<Element> {
    private var elements: [Element?] = []
    private var start = 0

    var count: Int { elements.count - start }
    var all: [Element] { elements[start...].compactMap { $0 } }
    var first: Element? { start < elements.count ? elements[start] : nil }

    mutating func append(_ element: Element) { elements.append(element) }

    mutating func removeFirst() {
        elements[start] = nil
        start += 1
        if start > 64, start * 2 > elements.count {
            elements.removeFirst(start)
            start = 0
        }
    }
}
