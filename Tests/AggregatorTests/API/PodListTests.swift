import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Lists of pods, made from flat tables that are kept, against the same lists made slowly from
/// nothing, while pods, labels and nodes come and go.
@Suite struct PodListTests {
    private static let start: Int64 = 1_767_225_600_000
    private static let resolution: Int64 = 10_000

    /// Agents whose pods change at random.
    private final class World {
        let cluster: Cluster
        let directory = PodDirectory()
        let index: ClusterIndex
        var random = SeededRandom(seed: 7)
        private var agents: [(agent: SyntheticNode, model: NodeModel, pods: [Slot: [Slot]])] = []
        private var pods: [Int: Pod] = [:]
        private var lastPod = 0
        private var nextSlot: Slot = 1
        private var numbers: [String: Int] = [:]

        init(nodes: Int) throws {
            var configuration = ModelConfiguration()
            configuration.resolution = PodListTests.resolution
            cluster = Cluster(configuration: configuration, facts: directory)
            index = ClusterIndex(cluster: cluster, directory: directory)
            for number in 0..<nodes { try addNode("n\(number)") }
        }

        private func addNode(_ name: String) throws {
            let agent = SyntheticNode(name)
            let entered = cluster.enter(agent.hello, now: PodListTests.start)
            let model = try #require(entered?.0)
            _ = model.begin(agent.hello)
            try agent.add(0, Subject(kind: .node), [.cpuUsage, .memoryWorkingSet])
            agents.append((agent, model, [:]))
        }

        /// A pod with up to two containers, sometimes one that is never named by the apiserver.
        func addPod() throws {
            lastPod += 1
            let node = Int.random(in: 0..<agents.count, using: &random)
            let agent = agents[node].agent
            let containers = (0...Int.random(in: 0...1, using: &random)).map {
                lastPod * 4 + $0 + 1
            }
            let uid = MetadataMaker.uid(lastPod).description
            let podSlot = nextSlot
            nextSlot += 1
            try agent.add(
                podSlot, Subject(kind: .pod, parent: 0, attributes: [.podUID: uid]), [.cpuUsage])
            var slots: [Slot] = []
            for container in containers {
                let id = MetadataMaker.containerID(container).description
                try agent.add(
                    nextSlot,
                    Subject(
                        kind: .container, parent: podSlot,
                        startTimeMilliseconds: PodListTests.start,
                        attributes: [.podUID: uid, .containerID: id]),
                    [.cpuUsage, .memoryWorkingSet])
                slots.append(nextSlot)
                nextSlot += 1
            }
            agents[node].pods[podSlot] = slots
            numbers["\(node)/\(podSlot)"] = lastPod
            if Int.random(in: 0..<10, using: &random) == 0 { return }
            pods[lastPod] = MetadataMaker.pod(
                lastPod, name: ["web", "w", "web-\u{22}", "zed"][lastPod % 4] + "-\(lastPod)",
                namespace: ["prod", "prod-2", "dev", "p"][lastPod % 4], node: "n\(node)",
                containers: containers, labels: lastPod % 3 == 0 ? [:] : ["app": "a<\(lastPod % 5)"]
            )
        }

        func removePod() throws {
            let node = Int.random(in: 0..<agents.count, using: &random)
            guard let (pod, slots) = agents[node].pods.randomElement(using: &random) else { return }
            for slot in slots.reversed() { try agents[node].agent.remove(slot) }
            try agents[node].agent.remove(pod)
            agents[node].pods[pod] = nil
            if let number = numbers["\(node)/\(pod)"] { pods[number] = nil }
        }

        func relabel() {
            guard let (number, pod) = pods.randomElement(using: &random) else { return }
            pods[number] = MetadataMaker.pod(
                number, name: pod.name, namespace: pod.namespace, node: pod.nodeName,
                containers: [number * 4 + 1], labels: ["app": "again"])
        }

        /// One step of all nodes but `silent`.
        func step(_ step: Int64, silent: Int?) throws {
            directory.replacePods(Array(pods.values), now: step)
            for (number, item) in agents.enumerated() where number != silent {
                item.agent.set(0, .cpuUsage, step)
                for slot in item.pods.values.joined() {
                    item.agent.set(slot, .cpuUsage, (step - PodListTests.start) * Int64(slot) * 10)
                    item.agent.set(slot, .memoryWorkingSet, Int64(slot) * 4_096 + step % 7)
                }
                try item.model.receive(item.agent.frame(step: step))
            }
        }
    }

    /// The slow way: every pod of every node, sorted.
    private func expected(
        _ world: World, _ namespace: String?, _ isWanted: (JoinedPod) -> Bool
    ) -> [ResourceItem] {
        var items: [ResourceItem] = []
        for node in world.index.nodes() {
            let found = world.index.read(node) { node, rows in
                node.pods.compactMap { pod -> ResourceItem? in
                    guard let metadata = pod.metadata, isWanted(pod),
                        namespace == nil || pod.namespace == namespace
                    else { return nil }
                    let usage = PodUsage(pod, in: rows)
                    guard !usage.containers.isEmpty else { return nil }
                    return ResourceItem(
                        name: pod.name, labels: metadata.labels,
                        content: .pod(namespace: pod.namespace, containers: usage.containers))
                }
            }
            items += found ?? []
        }
        return items.sorted { ($0.namespace ?? "", $0.name) < ($1.namespace ?? "", $1.name) }
    }

    private func text(_ readings: PodReadings, now: Int64) -> String {
        String(decoding: body(PodListProducer(readings, now: now)), as: UTF8.self)
    }

    private func body(_ producer: some HTTPBodyProducer) -> [UInt8] {
        var body: [UInt8] = []
        var isMore = true
        while isMore {
            var piece: [UInt8] = []
            isMore = producer.produce(into: &piece)
            body += piece
        }
        return body
    }

    @Test func listsAreThoseOfTheSlowWayWhateverChanges() throws {
        let world = try World(nodes: 6)
        let writer = ResourceItemWriter(now: Self.start)
        var largest = 0
        for round in 1...60 {
            for _ in 0..<Int.random(in: 0...12, using: &world.random) { try world.addPod() }
            for _ in 0..<Int.random(in: 0...4, using: &world.random) { try world.removePod() }
            if round % 5 == 0 { world.relabel() }
            // A node that is silent for four steps leaves the lists, and returns.
            let silent = (20..<25).contains(round) ? 2 : nil
            try world.step(Self.start + Int64(round) * Self.resolution, silent: silent)
            for namespace in [nil, "prod", "prod-2", "p", "none"] {
                let readings = PodReadings(world.index, namespace: namespace, where: nil)
                let expected = expected(world, namespace) { _ in true }
                #expect(
                    text(readings, now: Self.start)
                        == String(
                            decoding: writer.list(expected, kind: "PodMetricsList"), as: UTF8.self))
                #expect(readings.items.map(\.name) == expected.map(\.name))
                #expect(
                    body(PodProtobufProducer(readings, now: Self.start))
                        == writer.protobuf(expected, kind: "PodMetricsList"))
                largest = max(largest, expected.count)
            }
            let isChosen: (JoinedPod) -> Bool = { $0.metadata?.labels["app"] == "a<1" }
            #expect(
                text(PodReadings(world.index, namespace: nil, where: isChosen), now: Self.start)
                    == String(
                        decoding: writer.list(
                            expected(world, nil, isChosen), kind: "PodMetricsList"), as: UTF8.self))
        }
        // More than one piece of text, or the test says little.
        #expect(largest > 100)
    }

    @Test func readingsAreKeptAsLongAsSomebodyAsks() throws {
        let world = try World(nodes: 3)
        for _ in 0..<30 { try world.addPod() }
        var step: Int64 = 0
        func steps(_ count: Int) throws {
            for _ in 0..<count {
                step += 1
                try world.step(Self.start + step * Self.resolution, silent: nil)
            }
        }
        func watched() -> Int {
            world.cluster.nodes.count { $0.read { $0.live?.usageWatch != nil } }
        }
        func isRight() -> Bool {
            let expected = ResourceItemWriter(now: 0).list(
                expected(world, nil) { _ in true }, kind: "PodMetricsList")
            let readings = PodReadings(world.index, namespace: nil, where: nil)
            return text(readings, now: 0) == String(decoding: expected, as: UTF8.self)
        }
        try steps(2)
        #expect(watched() == 0)
        #expect(isRight() && watched() == 3)
        try steps(60)
        #expect(watched() == 3 && isRight())
        try steps(60)
        #expect(watched() == 3 && isRight())
        try steps(100)
        #expect(watched() == 0)
        #expect(isRight() && watched() == 3)
        // Other subjects: what was kept is of no use.
        try world.addPod()
        try steps(1)
        #expect(watched() == 2 && isRight())
    }
}
