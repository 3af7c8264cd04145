import Testing
import Wire

@testable import Aggregator

/// `ephemeral_storage/usage` is added up from what is measured of directories, in series and in batches.
@Suite struct EphemeralStorageTests {
    private static let uid = "0a1b2c3d-0000-1111-2222-333344445555"
    private static let whole = String(repeating: "ab", count: 32)
    private static let half = String(repeating: "cd", count: 32)

    private struct World {
        let directory = PodDirectory()
        let api: AggregatorAPI
        let model: NodeModel
        let agent = SyntheticNode("n1")

        init() throws {
            let cluster = Cluster(configuration: ModelConfiguration(), facts: directory)
            model = try #require(cluster.enter(agent.hello, now: 1_000)).0
            _ = model.begin(agent.hello)
            api = AggregatorAPI(
                cluster: cluster, ingest: IngestCounters(),
                metadata: MetadataMetrics(directory: directory, status: nil))
        }

        func container(_ slot: Slot, _ id: String) throws {
            try agent.add(
                slot,
                Subject(
                    kind: .container, parent: 1, startTimeMilliseconds: 1_000,
                    attributes: [.podUID: uid, .containerID: id]), [.memoryUsage])
        }

        func filesystem(
            _ slot: Slot, of parent: Slot, _ name: String, role: String?, device: String? = nil,
            usage: Int64
        ) throws {
            var attributes: [Subject.Attribute: String] = [.name: name]
            attributes[.role] = role
            attributes[.device] = device
            try agent.add(
                slot, Subject(kind: .filesystem, parent: parent, attributes: attributes),
                [.filesystemUsage])
            agent.set(slot, .filesystemUsage, usage)
        }

        /// What a batch says, by kind and container.
        func batch() throws -> [String: Double] {
            let batch = try #require(
                ModelBatch.newest(index: api.index, custom: nil, options: api.batchOptions))
            var found: [String: Double] = [:]
            batch.forEachSet { set in
                let name = set.labels.first { $0.key == "container_name" }?.value ?? ""
                if let value = set.value(.ephemeralStorageUsage) {
                    found["\(set.kind.rawValue) \(name)"] = value.double
                }
            }
            return found
        }

        func series(_ entity: Entity) throws -> [Double] {
            try api.reader.series(.ephemeralStorageUsage, of: entity).map(\.value.double)
        }
    }

    /// A node with two disks; a pod with an emptyDir on disk and one in memory, a container of which all is
    /// known and one without logs.
    private func filled() throws -> World {
        let world = try World()
        try world.agent.add(0, Subject(kind: .node), [.memoryUsage])
        try world.agent.add(
            1, Subject(kind: .pod, parent: 0, attributes: [.podUID: Self.uid]), [.memoryUsage])
        try world.container(2, Self.whole)
        try world.container(3, Self.half)
        try world.filesystem(10, of: 0, "/", role: nil, device: "/dev/sda", usage: 1)
        try world.filesystem(11, of: 0, "/var", role: "nodefs", device: "/dev/sdb", usage: 20)
        try world.filesystem(12, of: 2, "rootfs", role: "rootfs", usage: 300)
        try world.filesystem(13, of: 2, "logs", role: "logs", usage: 4_000)
        try world.filesystem(14, of: 3, "rootfs", role: "rootfs", usage: 50_000)
        try world.filesystem(15, of: 1, "cache", role: "volume", usage: 600_000)
        try world.filesystem(
            16, of: 1, "memory", role: "volume", device: "tmpfs", usage: 7_000_000)
        return world
    }

    private let pod = Entity.pod(namespace: unknownNamespace, name: Self.uid)
    private func container(_ id: String) -> Entity {
        .container(namespace: unknownNamespace, pod: Self.uid, name: id)
    }

    @Test func itIsTheSumOfWhatIsOnTheNodesDisk() throws {
        let world = try filled()
        try world.model.receive(world.agent.frame(step: 60_000))
        world.agent.set(13, .filesystemUsage, 5_000)
        world.agent.set(15, .filesystemUsage, 0)
        try world.model.receive(world.agent.frame(step: 70_000))

        #expect(try world.series(.node("n1")) == [20, 20])
        #expect(try world.series(container(Self.whole)) == [4_300, 5_300])
        #expect(try world.series(container(Self.half)) == [], "logs are not known")
        #expect(try world.series(pod) == [604_300, 5_300])
        let own = try world.batch().filter { $0.key.hasPrefix("pod") || $0.key.hasPrefix("node") }
        #expect(
            own == ["node ": 20, "pod ": 5_300, "pod_container \(Self.whole)": 5_300])
    }

    @Test func whoHasItIsListed() throws {
        let world = try filled()
        try world.model.receive(world.agent.frame(step: 60_000))
        let name = "ephemeral_storage/usage"
        for entity in [.node("n1"), pod, container(Self.whole)] {
            #expect(world.api.reader.metricNames(of: entity).contains(name), "\(entity)")
        }
        #expect(!world.api.reader.metricNames(of: container(Self.half)).contains(name))
    }

    @Test func aNamespaceHasTheSumOfItsPods() throws {
        let world = try filled()
        var parts = Pod.Parts()
        (parts.namespace, parts.name, parts.nodeName) = ("shop", "web", "n1")
        parts.uid = ObjectUID(Self.uid)
        world.directory.apply(.pod(Pod(parts)), now: 1_000)
        try world.model.receive(world.agent.frame(step: 60_000))
        world.agent.set(13, .filesystemUsage, 5_000)
        try world.model.receive(world.agent.frame(step: 70_000))
        #expect(try world.series(.namespace("shop")) == [604_300, 605_300])
        #expect(
            world.api.reader.metricNames(of: .namespace("shop"))
                .contains("ephemeral_storage/usage"))
    }

    /// An agent that tells it itself is believed.
    @Test func aColumnOfItsOwnComesFirst() throws {
        let world = try World()
        try world.agent.add(0, Subject(kind: .node), [.ephemeralStorageUsage])
        world.agent.set(0, .ephemeralStorageUsage, 5)
        try world.filesystem(11, of: 0, "/var", role: "nodefs", device: "/dev/sdb", usage: 20)
        try world.model.receive(world.agent.frame(step: 60_000))
        #expect(try world.series(.node("n1")) == [5])
        #expect(try world.batch().filter { $0.key.hasPrefix("node") }.map(\.value) == [5])
    }

    /// Nothing is added up of a pod of which no container is known.
    @Test func anEmptyDirAloneIsNoPodsSum() throws {
        let world = try World()
        try world.agent.add(0, Subject(kind: .node), [.memoryUsage])
        try world.agent.add(
            1, Subject(kind: .pod, parent: 0, attributes: [.podUID: Self.uid]), [.memoryUsage])
        try world.container(3, Self.half)
        try world.filesystem(15, of: 1, "cache", role: "volume", usage: 600_000)
        try world.model.receive(world.agent.frame(step: 60_000))
        #expect(try world.series(pod) == [])
        #expect(try world.batch().isEmpty)
    }
}
