import Synchronization
import Wire

/// All nodes, and what is summed over them.
final class Cluster: Sendable {
    let configuration: ModelConfiguration
    let rollUps: RollUps
    /// Where pods are.
    let podNodes = PodNodes()
    /// Ticks with every change of the subjects of any node.
    let layoutClock = LayoutClock()
    private let interner = ModelInterner()
    /// Tells sinks which cycles nodes have closed.
    let cycles = CycleFeed()
    /// What may be added while memory is short.
    let gate = MemoryGate()
    /// What time the agents go by.
    let clock = ClusterClock()
    /// Which nodes report.
    let presence: NodePresence
    private let facts: any PodFactsSource
    private let state = Mutex(State())

    /// The connection that speaks for a node.
    struct Speaker: Sendable, Equatable {
        fileprivate let number: UInt64
    }

    private struct State {
        var nodes: [String: NodeEntry] = [:]
        var speakers: UInt64 = 0
        /// All nodes in the order of their names; `nil` when one has come since.
        var sorted: [NodeModel]?
        /// `nil` without `--data-dir`.
        var log: LogWriter?
    }

    private struct NodeEntry {
        let node: NodeModel
        /// The agent's clock less ours when it said hello, milliseconds.
        var clockSkew: Int64 = 0
    }

    init(configuration: ModelConfiguration, facts: any PodFactsSource) {
        self.configuration = configuration
        rollUps = RollUps(configuration: configuration)
        presence = NodePresence(resolution: configuration.resolution)
        self.facts = facts
    }

    /// Where requests and limits are not wanted.
    convenience init(configuration: ModelConfiguration, namespaceOfPod: @escaping NamespaceOfPod) {
        self.init(
            configuration: configuration, facts: PodNamespaces(namespaceOfPod: namespaceOfPod))
    }

    /// A connection speaks for a node from now on; another that did is replaced.
    ///
    /// - Returns: `nil` when the node is new and there are as many as may be.
    func enter(_ hello: Hello, now: Int64) -> (NodeModel, Speaker)? {
        let name = hello.nodeName
        let skew = Int64(clamping: hello.clockMilliseconds) &- now
        return state.withLock { state in
            state.speakers += 1
            let speaker = Speaker(number: state.speakers)
            guard insert(name, &state) != nil else { return nil }
            state.nodes[name]?.node.speaker.store(speaker.number, ordering: .releasing)
            state.nodes[name]?.clockSkew = skew
            return state.nodes[name].map { ($0.node, speaker) }
        }
    }

    /// The node of that name, made if it is not there; `nil` when there are as many as may be.
    private func insert(_ name: String, _ state: inout State) -> NodeModel? {
        if let known = state.nodes[name] { return known.node }
        guard state.nodes.count < configuration.nodes else { return nil }
        let node = makeNode(name)
        list(node, &state)
        return node
    }

    private func list(_ node: NodeModel, _ state: inout State) {
        if let log = state.log { node.attach(log) }
        state.nodes[node.name] = NodeEntry(node: node)
        state.sorted = nil
    }

    private func makeNode(_ name: String) -> NodeModel {
        NodeModel(
            name: name, configuration: configuration, rollUps: rollUps, podNodes: podNodes,
            facts: facts, layoutClock: layoutClock, interner: interner, cycles: cycles,
            gate: gate, clock: clock)
    }

    // MARK: The log

    /// The log was not read to the beginning of the window yet, and may have nodes that are not here.
    let hasPastToRead = Atomic<Bool>(false)

    /// A node that the log tells of, before any speaks.
    func restoredNode(named name: String) -> NodeModel? {
        state.withLock { insert(name, &$0) }
    }

    /// A node that is not to be there: nothing in it counts, and nobody speaks for it.
    func dropRestored(named name: String) {
        state.withLock { state in
            state.nodes[name] = nil
            state.sorted = nil
        }
    }

    /// A node that nobody finds before `list`: an agent that did would be told that nothing is kept.
    func unlistedNode(named name: String) -> NodeModel { makeNode(name) }

    /// Lets everybody find a node, as far as more may be there. There is none of its name.
    func list(_ node: NodeModel) {
        state.withLock { state in
            guard state.nodes.count < configuration.nodes else { return }
            list(node, &state)
        }
    }

    /// A node that nobody finds, for what is to become a part of the one of that name.
    func detachedNode(named name: String) -> NodeModel {
        let node = makeNode(name)
        node.change { $0.nextChainNumber = NodeModel.firstPastChain }
        return node
    }

    /// Everything that nodes bring goes to this log from now on. Before the first speaks.
    func attach(_ log: LogWriter) {
        rollUps.beginLogging()
        state.withLock { state in
            state.log = log
            for entry in state.nodes.values { entry.node.attach(log) }
        }
    }

    /// The log that must have a record before it is acknowledged.
    var log: LogWriter? { state.withLock { $0.log } }

    func isSpeaker(_ speaker: Speaker, for node: NodeModel) -> Bool {
        node.speaker.load(ordering: .acquiring) == speaker.number
    }

    func leave(_ node: NodeModel, _ speaker: Speaker) {
        // Fails when another connection speaks for the node by now, as it should.
        _ = node.speaker.compareExchange(
            expected: speaker.number, desired: 0, ordering: .acquiringAndReleasing)
    }

    /// Lets go of a node that nobody speaks for.
    ///
    /// - Returns: whether it did: not when an agent has said hello meanwhile.
    func forget(_ node: NodeModel) -> Bool {
        let isForgotten = state.withLock { state in
            guard state.nodes[node.name]?.node === node,
                node.speaker.load(ordering: .acquiring) == 0
            else { return false }
            state.nodes[node.name] = nil
            state.sorted = nil
            return true
        }
        if isForgotten { layoutClock.tick() }
        return isForgotten
    }

    /// Steps older than this are those of a node that is silent.
    var horizon: Int64 { presence.horizon(newest: rollUps.newestCycle) }

    func node(named name: String) -> NodeModel? { state.withLock { $0.nodes[name]?.node } }

    /// All nodes that ever spoke, in the order of their names.
    var nodes: [NodeModel] {
        state.withLock { state in
            if let sorted = state.sorted { return sorted }
            let sorted = state.nodes.values.map(\.node).sorted { $0.name < $1.name }
            state.sorted = sorted
            return sorted
        }
    }

    /// Step of the newest frame of all, milliseconds since the epoch; `nil` before the first.
    var newestStep: Int64? {
        var newest = Int64.min
        for node in nodes { newest = max(newest, node.lastStep) }
        return newest == .min ? nil : newest
    }

    /// Nodes whose agent is connected.
    var connectedNodeCount: Int {
        nodes.count { $0.speaker.load(ordering: .relaxed) != 0 }
    }

    /// The agent's clock less ours, milliseconds, by node.
    var clockSkews: [String: Int64] { state.withLock { $0.nodes.mapValues(\.clockSkew) } }
}
