import Synchronization
import Testing
import Wire

@testable import Aggregator

/// Nodes that fall silent, come back, and go for good; the clock is turned by hand.
@Suite struct ModelKeeperTests {
    private struct Scene {
        let clock = ManualClock(
            monotonicNanoseconds: 1_000_000_000_000, realtimeNanoseconds: 1_000_000_000_000)
        let cluster: Cluster
        let keeper: ModelKeeper
        var agents: [SyntheticNode] = []
        var models: [NodeModel] = []
        var speakers: [Cluster.Speaker] = []
        var step: Int64 = 1_000_000

        init(
            nodes: Int, window: Int64 = 300_000, resolution: Int64 = 10_000,
            expected: Set<String>? = nil
        ) throws {
            var configuration = ModelConfiguration()
            configuration.resolution = resolution
            configuration.window = window
            cluster = Cluster(configuration: configuration) { $0 == "uid-1" ? "default" : nil }
            var names: (@Sendable () -> Set<String>)?
            if let expected { names = { expected } }
            keeper = ModelKeeper(
                cluster, memory: nil, clock: .manual(clock), expectedNodes: names)
            for index in 1...nodes {
                let agent = SyntheticNode("n\(index)")
                let entered = try #require(cluster.enter(agent.hello, now: 0))
                _ = entered.0.begin(agent.hello)
                try agent.add(0, Subject(kind: .node), [.memoryUsage])
                try agent.add(
                    1,
                    Subject(
                        kind: .pod, parent: 0, startTimeMilliseconds: 900_000,
                        attributes: [.podUID: "uid-\(index)"]), [.memoryUsage])
                agents.append(agent)
                models.append(entered.0)
                speakers.append(entered.1)
            }
        }

        /// A step of ten seconds in which these nodes (counted from 1) bring a frame.
        mutating func pass(_ reporting: [Int]) throws {
            step += 10_000
            for index in reporting {
                agents[index - 1].set(1, .memoryUsage, 100)
                try models[index - 1].receive(agents[index - 1].frame(step: step))
            }
            for _ in 0..<10 {
                clock.advance(nanoseconds: 1_000_000_000)
                keeper.turn()
            }
        }

        var counts: NodePresence.Counts? { cluster.presence.counts }
    }

    private func counts(_ reporting: Int, of expected: Int) -> NodePresence.Counts {
        NodePresence.Counts(reporting: reporting, expected: expected)
    }

    @Test func aNodeIsSilentAfterThreeStepsAndLeavesTheSums() throws {
        var scene = try Scene(nodes: 2)
        try scene.pass([1, 2])
        #expect(scene.counts == counts(2, of: 2))
        for _ in 0..<3 { try scene.pass([1]) }
        #expect(scene.counts == counts(2, of: 2), "three steps late is not silent yet")
        try scene.pass([1])
        #expect(scene.counts == counts(1, of: 2))
        let sums = scene.cluster.rollUps.points(.memoryUsage, namespace: nil)
        #expect(sums.map(\.value) == [200, 100, 100, 100, 100])
        try scene.pass([1, 2])
        #expect(scene.counts == counts(2, of: 2))
    }

    @Test func whenNoNodeReportsAllAreSilent() throws {
        var scene = try Scene(nodes: 3)
        try scene.pass([1, 2, 3])
        for _ in 0..<4 { try scene.pass([]) }
        #expect(scene.counts == counts(0, of: 3))
        let index = ClusterIndex(cluster: scene.cluster, directory: PodDirectory())
        #expect(index.nodes().isEmpty)
        try scene.pass([2])
        #expect(scene.counts == counts(1, of: 3))
        #expect(index.nodes().map(\.name) == ["n2"])
    }

    @Test func expectedAreTheNodesThatTheSourceTellsOfAndOthersThatReport() throws {
        var scene = try Scene(nodes: 2, expected: ["n1", "n8", "n9"])
        try scene.pass([1, 2])
        #expect(scene.counts == counts(2, of: 4))
        for _ in 0..<4 { try scene.pass([1]) }
        #expect(scene.counts == counts(1, of: 3))
    }

    @Test func aNodeThatIsGoneForLongerThanTheWindowIsForgotten() throws {
        var scene = try Scene(nodes: 2)
        let index = ClusterIndex(cluster: scene.cluster, directory: PodDirectory())
        try scene.pass([1, 2])
        #expect(index.node(named: "n1") != nil)
        scene.cluster.leave(scene.models[0], scene.speakers[0])
        for _ in 0..<29 { try scene.pass([2]) }
        #expect(scene.cluster.node(named: "n1") != nil)
        #expect(scene.cluster.podNodes.nodes(of: ["uid-1"]).count == 1)
        for _ in 0..<12 { try scene.pass([2]) }
        #expect(scene.cluster.nodes.map(\.name) == ["n2"])
        #expect(index.node(named: "n1") == nil)
        #expect(index.node(named: "n2") != nil)
        #expect(scene.cluster.podNodes.nodes(of: ["uid-1"]).isEmpty)
        #expect(!scene.cluster.rollUps.namespaces.contains("default"))
        #expect(scene.counts == counts(1, of: 1))
        weak let model = scene.models[0]
        scene.models.removeFirst()
        scene.keeper.turn()
        #expect(model == nil, "somebody still holds the node's memory")
    }

    @Test func aNodeWhoseAgentIsConnectedIsNotForgotten() throws {
        var scene = try Scene(nodes: 2)
        try scene.pass([1, 2])
        for _ in 0..<80 { try scene.pass([2]) }
        #expect(scene.cluster.nodes.map(\.name) == ["n1", "n2"])
        // Its history is.
        #expect(scene.models[0].statistics.historyBytes == 0)
        let hello = scene.agents[0].hello
        #expect(scene.models[0].begin(hello).chains.isEmpty)
        try scene.models[0].receive(scene.agents[0].frame(step: scene.step, key: true))
        try scene.pass([1, 2])
        #expect(scene.counts == counts(2, of: 2))
    }

    /// A clock that is far ahead for a moment neither hides the others nor empties the node's history.
    @Test func aFrameFromTheFutureCostsNoHistory() throws {
        var scene = try Scene(nodes: 1)
        for _ in 0..<10 { try scene.pass([1]) }
        let model = scene.models[0]
        let before = model.read { $0.chains.compactMap(\.firstStep).min() }
        let records = scene.agents[0].frame(step: scene.step + 86_400_000, key: true)
        for record in records {
            try record.payload.withUnsafeBytes { payload in
                switch record.type {
                case .chain:
                    let chain = try ChainSelection(decoding: payload, flags: record.flags)
                    try model.select(chain.id, begins: chain.begins)
                case .subjects: try model.receiveSubjects(payload)
                default: _ = try model.receiveFrame(payload, now: scene.step)
                }
            }
        }
        #expect(model.read { $0.chains.compactMap(\.firstStep).min() } == before)
        #expect(model.lastStep == scene.step)
        // What it left is gone once the node's clock is right and a window has passed.
        scene.agents[0].set(1, .memoryUsage, 1)
        try model.receive(scene.agents[0].frame(step: scene.step + 10_000, key: true))
        for _ in 0..<80 { try scene.pass([1]) }
        let steps = model.read { $0.chains.map(\.lastStep) }
        #expect(steps.allSatisfy { $0 <= scene.step })
    }

    /// At a second's resolution a clock that is half a minute ahead is within what is believed, and still
    /// decides nothing for the others.
    @Test func aClockThatIsAheadOfTheOthersMakesNobodySilent() throws {
        let scene = try Scene(nodes: 4, resolution: 1_000)
        let now = { (scene: Scene) in Int64(scene.clock.realtimeNanoseconds / 1_000_000) }
        for _ in 0..<30 {
            scene.clock.advance(nanoseconds: 1_000_000_000)
            for (index, (agent, model)) in zip(scene.agents, scene.models).enumerated() {
                // One reads half a minute ahead of the others; all are some time ahead of us.
                let step = now(scene) + (index == 3 ? 37_000 : 7_000)
                agent.set(1, .memoryUsage, 100)
                try model.receive(agent.frame(step: step), now: now(scene))
            }
            scene.keeper.turn()
        }
        #expect(scene.cluster.rollUps.newestCycle == now(scene) + 7_000)
        #expect(scene.counts == counts(4, of: 4))
        // What the one brought counts for its own cycles.
        let reader = ModelReader(cluster: scene.cluster, names: NoNames())
        let series = try reader.series(.memoryUsage, of: .cluster)
        #expect(series.last?.cycle == now(scene) + 37_000)
        #expect(series.contains { $0.cycle == now(scene) + 7_000 })
    }

    @Test func aHistoryThatCannotBeDecodedIsDroppedAndTheNodeGoesOn() throws {
        var scene = try Scene(nodes: 1, window: 100_000)
        for _ in 0..<12 { try scene.pass([1]) }
        scene.models[0].read { state in
            for chain in state.chains { chain.base = [0xFF] }
        }
        for _ in 0..<24 { try scene.pass([1]) }
        #expect(scene.models[0].statistics.counters.brokenHistories == 1)
        let reader = ModelReader(cluster: scene.cluster, names: NoNames())
        let series = try reader.series(.memoryUsage, of: .pod(namespace: "_unknown", name: "uid-1"))
        #expect(series.last?.cycle == scene.step)
        #expect(series.count >= 9)
    }
}
