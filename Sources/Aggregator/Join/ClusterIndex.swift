import Synchronization
import Wire

/// Who is where now: nodes, pods by namespace and name, joined with their names.
///
/// Kept up to date by whoever asks: two numbers tell that nothing changed; when something did, each
/// node tells whether it was it, and only nodes that changed are joined again. With 5,000 nodes such
/// a look costs well under a millisecond, and joining one node about 50 µs.
final class ClusterIndex: Sendable {
    let cluster: Cluster
    let directory: PodDirectory
    private let state = Mutex(State())
    private let order = PodOrder()
    /// One joins, the others wait for it.
    private let joining = Mutex(())
    private let departureObserver = Mutex<(@Sendable ([Departure]) -> Void)?>(nil)

    private struct State {
        var layoutTick: UInt64 = .max
        var directoryGeneration: UInt64 = .max
        var byName: [String: JoinedNode] = [:]
        /// In the order of their names.
        var nodes: [JoinedNode] = []
        var byHostname: [String: String] = [:]
        /// Namespace, name, and the pods of that name: one, but for the moment of a move.
        var pods: [String: [String: [JoinedPod]]] = [:]

        mutating func remove(_ name: String) {
            guard let old = byName.removeValue(forKey: name) else { return }
            for pod in old.pods { remove(pod) }
            if byHostname[old.hostname] == old.name { byHostname[old.hostname] = nil }
        }

        mutating func put(_ node: JoinedNode) {
            remove(node.name)
            byName[node.name] = node
            byHostname[node.hostname] = node.name
            for pod in node.pods {
                pods[pod.namespace, default: [:]][pod.name, default: []].append(pod)
            }
        }

        private mutating func remove(_ pod: JoinedPod) {
            pods[pod.namespace]?[pod.name]?.removeAll { $0 === pod }
            if pods[pod.namespace]?[pod.name]?.isEmpty == true {
                pods[pod.namespace]?[pod.name] = nil
            }
            if pods[pod.namespace]?.isEmpty == true { pods[pod.namespace] = nil }
        }
    }

    init(cluster: Cluster, directory: PodDirectory) {
        self.cluster = cluster
        self.directory = directory
    }

    /// Calls `body` with who has gone, whenever a look notices it.
    func observeDepartures(_ body: @escaping @Sendable ([Departure]) -> Void) {
        departureObserver.withLock { $0 = body }
    }

    /// Notices what has changed, as each question does.
    func look() { upToDate { _ in } }

    // MARK: Asking

    /// Nodes with a frame no older than three cycles before the newest one, by name.
    func nodes() -> [JoinedNode] {
        let horizon = horizon
        return allNodes().filter { $0.model.lastStep >= horizon }
    }

    /// By name, else by hostname; also one that is silent.
    func node(named name: String) -> JoinedNode? {
        upToDate { state in
            state.byName[name] ?? state.byHostname[name].flatMap { state.byName[$0] }
        }
    }

    /// Also those that are silent, by name.
    func allNodes() -> [JoinedNode] { upToDate { $0.nodes } }

    /// Namespaces of all nodes' pods, also of those that are silent.
    func allNamespaces() -> [String] { upToDate { Array($0.pods.keys) } }

    /// A namespace's pods on all nodes, also on those that are silent.
    func allPods(in namespace: String) -> [JoinedPod] {
        upToDate { $0.pods[namespace]?.values.flatMap { $0 } ?? [] }
    }

    /// Namespaces of the pods that run now.
    func namespaces() -> [String] {
        let horizon = horizon
        let live = Set(upToDate { $0.nodes }.filter { $0.model.lastStep >= horizon }.map(\.name))
        return upToDate { state in
            state.pods.filter { $0.value.values.contains { Self.isLive($0, live) } }.map(\.key)
        }.sorted()
    }

    private static func isLive(_ pods: [JoinedPod], _ live: Set<String>) -> Bool {
        pods.contains { live.contains($0.nodeName) }
    }

    /// The pods of a namespace that run now, by name.
    func pods(in namespace: String) -> [JoinedPod] {
        live(allPods(in: namespace)).sorted { $0.name < $1.name }
    }

    /// The pods of `nodes()` in the order of namespace and name.
    func podOrder() -> PodOrder.Snapshot { order.snapshot(of: nodes()) }

    /// The pod of that name that runs now.
    func pod(namespace: String, name: String) -> JoinedPod? {
        live(upToDate { $0.pods[namespace]?[name] ?? [] }).first
    }

    /// The node that a joined pod is on, as it is now.
    func node(of pod: JoinedPod) -> JoinedNode? { upToDate { $0.byName[pod.nodeName] } }

    /// Steps older than this are an agent's that is silent.
    var horizon: Int64 { cluster.horizon }

    private func live(_ pods: [JoinedPod]) -> [JoinedPod] {
        let horizon = horizon
        return pods.filter { pod in
            guard let node = cluster.node(named: pod.nodeName) else { return false }
            return node.lastStep >= horizon
        }
    }

    /// Reads values of a node. Where its subjects changed meanwhile, it is joined again first.
    ///
    /// - Returns: `nil` when it has none, or changes faster than it can be looked at.
    func read<Result>(
        _ node: JoinedNode, _ body: (JoinedNode, LiveRows) -> Result
    ) -> Result? {
        if let result = node.withRows({ body(node, $0) }) { return result }
        for _ in 0..<3 {
            guard let again = self.node(named: node.name) else { return nil }
            if let result = again.withRows({ body(again, $0) }) { return result }
        }
        return nil
    }

    // MARK: Keeping up to date

    private func upToDate<Result: Sendable>(_ body: (State) -> Result) -> Result {
        // Read before the work: a change in between is seen by the next look.
        let (tick, generation) = (cluster.layoutClock.now, directory.generation)
        let result = state.withLock { state -> Result? in
            guard state.layoutTick == tick, state.directoryGeneration == generation else {
                return nil
            }
            return body(state)
        }
        if let result { return result }
        joining.withLock { _ in join(tick, generation) }
        return state.withLock { body($0) }
    }

    private func join(_ tick: UInt64, _ generation: UInt64) {
        let old = state.withLock { state -> [String: JoinedNode]? in
            let isDone = state.layoutTick == tick && state.directoryGeneration == generation
            return isDone ? nil : state.byName
        }
        guard let old else { return }
        var changed: [JoinedNode] = []
        let models = cluster.nodes
        var metAgain = 0
        for model in models {
            if old[model.name] != nil { metAgain += 1 }
            let names = directory.node(model.name)
            if let known = old[model.name], known.generation == model.layoutGeneration,
                known.metadataGeneration == names.generation
            {
                continue
            }
            guard let layout = model.liveLayout() else { continue }
            changed.append(JoinedNode(model, layout, names.view(), names: directory))
        }
        // Nodes are forgotten when they were silent for the whole window.
        var forgotten: [String] = []
        if metAgain < old.count {
            let names = Set(models.map(\.name))
            forgotten = old.keys.filter { !names.contains($0) }
        }
        if let observer = departureObserver.withLock({ $0 }) {
            var departures = changed.flatMap { old[$0.name]?.departures(to: $0) ?? [] }
            for name in forgotten { departures += old[name]?.departures(to: nil) ?? [] }
            if !departures.isEmpty { observer(departures) }
        }
        state.withLock { state in
            for name in forgotten { state.remove(name) }
            for node in changed { state.put(node) }
            let isOther = changed.contains { old[$0.name] == nil } || !forgotten.isEmpty
            if isOther || state.nodes.isEmpty {
                state.nodes = state.byName.values.sorted { $0.name < $1.name }
            } else {
                let fresh = Dictionary(
                    changed.map { ($0.name, $0) }, uniquingKeysWith: { _, last in last })
                if !fresh.isEmpty { state.nodes = state.nodes.map { fresh[$0.name] ?? $0 } }
            }
            state.layoutTick = tick
            state.directoryGeneration = generation
        }
    }
}
