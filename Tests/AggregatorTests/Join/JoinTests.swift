import Testing
import Wire

@testable import Aggregator

/// Names come from the apiserver, subjects from nodes, in any order; they find each other.
@Suite struct JoinTests {
    private typealias Make = MetadataMaker

    /// One node and a directory.
    private final class World {
        let directory = PodDirectory()
        let api: AggregatorAPI
        let agent = SyntheticNode("n1")
        let model: NodeModel
        private var cycle: Int64 = 1_767_225_600_000

        init() throws {
            let cluster = Cluster(configuration: ModelConfiguration(), facts: directory)
            api = AggregatorAPI(
                cluster: cluster, ingest: IngestCounters(),
                metadata: MetadataMetrics(directory: directory, status: nil))
            let entered = cluster.enter(agent.hello, now: 0)
            model = try #require(entered?.0)
            _ = model.begin(agent.hello)
            try agent.add(0, Subject(kind: .node), [.memoryUsage])
        }

        func addPod(_ slot: Slot, uid: String) throws {
            try agent.add(
                slot, Subject(kind: .pod, parent: 0, attributes: [.podUID: uid]), [.processThreads])
        }

        func addContainer(
            _ slot: Slot, of pod: Slot, uid: String, id: String, start: Int64 = 0,
            isSandbox: Bool = false
        ) throws {
            var attributes: [Subject.Attribute: String] = [.podUID: uid, .containerID: id]
            if isSandbox { attributes[.sandbox] = "sandbox" }
            try agent.add(
                slot,
                Subject(
                    kind: .container, parent: pod, startTimeMilliseconds: start,
                    attributes: attributes), [.memoryUsage])
        }

        /// A frame in which each of these containers has a figure.
        func frame(_ memory: [Slot: Int64]) throws {
            cycle += api.cluster.configuration.resolution
            for (slot, value) in memory { agent.set(slot, .memoryUsage, value) }
            try model.receive(agent.frame(step: cycle))
        }

        func remove(_ uid: ObjectUID) { directory.apply(.podRemoved(uid), now: cycle) }

        func tell(_ pod: Pod) { directory.apply(.pod(pod), now: cycle) }

        var pods: [String] {
            api.index.node(named: "n1")?.pods.map { "\($0.namespace)/\($0.name)" } ?? []
        }

        func containers(_ pod: String, _ namespace: String = "default") -> [String] {
            ModelLists(index: api.index).containers(namespace: namespace, pod: pod)
        }

        func memory(_ pod: String, _ container: String) throws -> [Double] {
            try api.reader.series(
                .memoryUsage,
                of: .container(namespace: "default", pod: pod, name: container)
            ).map(\.value.double)
        }
    }

    private func uid(_ number: Int) -> String { Make.uid(number).description }
    private func id(_ number: Int) -> String { Make.containerID(number).description }

    @Test func aFrameIsNeverHeldBackAndNamedWhenTheNameArrives() throws {
        let world = try World()
        try world.addPod(1, uid: uid(1))
        try world.addContainer(2, of: 1, uid: uid(1), id: id(7))
        try world.frame([2: 10])
        // Nobody knows the pod.
        #expect(world.pods == ["_unknown/\(uid(1))"])
        #expect(world.containers(uid(1), "_unknown") == [id(7)])
        // It is there, but has no status: its UID is in the cgroup's path.
        world.tell(Make.pod(1, name: "web", containers: [0]))
        #expect(world.pods == ["default/web"])
        #expect(world.containers("web") == [id(7), "c0"].sorted())
        #expect(try world.memory("web", id(7)) == [10])
        try world.frame([2: 11])
        // The status came: all of it has its name, also what was before.
        world.tell(Make.pod(1, name: "web", containers: [7]))
        try world.frame([2: 12])
        #expect(world.containers("web") == ["c0"])
        #expect(try world.memory("web", "c0") == [10, 11, 12])
        #expect(try world.memory("web", id(7)).isEmpty)
        #expect(world.api.index.namespaces() == ["default"])
    }

    @Test func aRestartedContainerGoesOnUnderItsName() throws {
        let world = try World()
        world.tell(Make.pod(1, name: "web", containers: [7]))
        try world.addPod(1, uid: uid(1))
        try world.addContainer(2, of: 1, uid: uid(1), id: id(7), start: 1_000)
        try world.frame([2: 10])
        try world.agent.remove(2)
        try world.addContainer(2, of: 1, uid: uid(1), id: id(8), start: 2_000)
        try world.frame([2: 11])
        #expect(world.containers("web") == [id(8), "c0"].sorted())
        world.tell(Make.pod(1, name: "web", containers: [8]))
        #expect(world.containers("web") == ["c0"])
        #expect(try world.memory("web", "c0") == [10, 11])
    }

    @Test func aStaticPodIsFoundByTheHashThatItsCgroupHas() throws {
        let world = try World()
        let hash = "0123456789abcdef0123456789abcdef"
        try world.addPod(1, uid: hash)
        try world.addContainer(2, of: 1, uid: hash, id: id(3))
        try world.frame([2: 5])
        world.tell(
            Make.pod(
                9, name: "etcd-n1", containers: [3],
                controller: OwnerReference(kind: "Node", name: "n1", uid: Make.uid(99)),
                configHash: ObjectUID(hash)))
        #expect(world.pods == ["default/etcd-n1"])
        #expect(try world.memory("etcd-n1", "c0") == [5])
        let pod = try #require(world.api.index.pod(namespace: "default", name: "etcd-n1"))
        #expect(pod.uid == hash && pod.metadata?.uid == Make.uid(9))
        #expect(ModelLists(index: world.api.index).workloads(in: "default").isEmpty)
    }

    @Test func initialAndEphemeralContainersHaveTheirNames() throws {
        let world = try World()
        var parts = Pod.Parts()
        (parts.namespace, parts.name, parts.nodeName) = ("default", "web", "n1")
        parts.uid = Make.uid(1)
        let roles: [(String, Pod.Container.Role)] = [
            ("app", .regular), ("idle", .regular), ("setup", .initial), ("later", .initial),
            ("proxy", .sidecar), ("debug", .ephemeral),
        ]
        parts.containers = roles.enumerated().map { index, item in
            var container = Pod.Container(name: item.0, image: "i", role: item.1)
            container.id = ["idle", "later"].contains(item.0) ? .none : Make.containerID(index + 1)
            return container
        }
        world.tell(Pod(parts))
        try world.addPod(1, uid: uid(1))
        for (offset, number) in [1, 3, 5, 6].enumerated() {
            try world.addContainer(Slot(2 + offset), of: 1, uid: uid(1), id: id(number))
        }
        try world.frame([2: 1, 3: 3, 4: 5, 5: 6])
        // Of those that do not run only regular ones are shown.
        #expect(world.containers("web") == ["app", "debug", "idle", "proxy", "setup"])
        #expect(try world.memory("web", "setup") == [3])
        #expect(try world.memory("web", "debug") == [6])
        #expect(try world.memory("web", "idle").isEmpty)
    }

    @Test func thePauseContainerIsThePodsAndNoContainer() throws {
        let world = try World()
        world.tell(Make.pod(1, name: "web", containers: [7]))
        try world.addPod(1, uid: uid(1))
        try world.addContainer(2, of: 1, uid: uid(1), id: id(7))
        try world.addContainer(3, of: 1, uid: uid(1), id: id(8), isSandbox: true)
        try world.agent.add(
            4, Subject(kind: .networkInterface, parent: 1, attributes: [.name: "eth0"]),
            [.networkReceiveBytes])
        world.agent.set(4, .networkReceiveBytes, 1_000)
        try world.frame([2: 10, 3: 1])
        #expect(world.containers("web") == ["c0"])
        let pod = try #require(world.api.index.pod(namespace: "default", name: "web"))
        #expect(pod.sandbox?.subject.containerID == id(8))
        let received = try world.api.reader.series(
            .networkReceiveBytes, of: .pod(namespace: "default", name: "web"))
        #expect(received.map(\.value) == [.integer(1_000)])
        var names: [String?] = []
        try #require(ModelBatch.newest(index: world.api.index)).forEachSet {
            (set: borrowing MetricSet) in
            if set.kind == .container { names.append(set.label("container_name")) }
        }
        #expect(names == ["c0"])
    }

    @Test func aNameUsedAgainIsAnotherPod() throws {
        let world = try World()
        world.tell(Make.pod(1, name: "db-0", containers: [1]))
        try world.addPod(1, uid: uid(1))
        try world.addContainer(2, of: 1, uid: uid(1), id: id(1), start: 1_000)
        try world.frame([2: 10])
        for slot in [Slot(2), 1] { try world.agent.remove(slot) }
        world.remove(Make.uid(1))
        // The cgroup of the new one is seen before the apiserver tells of it.
        try world.addPod(1, uid: uid(2))
        try world.addContainer(2, of: 1, uid: uid(2), id: id(2), start: 2_000)
        try world.frame([2: 20])
        #expect(world.pods == ["_unknown/\(uid(2))"])
        world.tell(Make.pod(2, name: "db-0", containers: [2]))
        #expect(world.pods == ["default/db-0"])
        let pod = try #require(world.api.index.pod(namespace: "default", name: "db-0"))
        #expect(pod.uid == uid(2) && pod.metadata?.uid == Make.uid(2))
        // By name both, one after the other; by UID each its own.
        #expect(try world.memory("db-0", "c0") == [10, 20])
        for (number, value) in [(1, 10.0), (2, 20)] {
            let own = try world.api.reader.series(
                .memoryUsage,
                of: .container(namespace: unknownNamespace, pod: uid(number), name: "c0"))
            #expect(own.map(\.value.double) == [value])
        }
        var identifiers: [String?] = []
        try #require(ModelBatch.newest(index: world.api.index)).forEachSet {
            (set: borrowing MetricSet) in
            if set.kind == .pod { identifiers.append(set.label("pod_id")) }
        }
        #expect(identifiers == [uid(2)])
    }
}
