import Synchronization
import Testing
import Wire

@testable import Aggregator

@Suite struct ModelTests {
    private let podA = Subject(
        kind: .pod, parent: 0, startTimeMilliseconds: 990_000, attributes: [.podUID: "uid-a"])

    private func makeCluster(window: Int64 = 900_000) -> Cluster {
        var configuration = ModelConfiguration()
        configuration.window = window
        return Cluster(configuration: configuration) { $0 == "uid-a" ? "default" : nil }
    }

    private func node(_ cluster: Cluster, _ agent: SyntheticNode) throws -> NodeModel {
        let entered = cluster.enter(agent.hello, now: 0)
        let node = try #require(entered?.0)
        _ = node.begin(agent.hello)
        return node
    }

    private struct Names: NameSource {
        func pod(uid: String) -> PodName? {
            uid == "uid-a" ? PodName(namespace: "default", name: "web") : nil
        }
        func podUIDs(namespace: String, name: String) -> [String] {
            namespace == "default" && name == "web" ? ["uid-a"] : []
        }
        func containerName(podUID: String, containerID: String) -> String? {
            ["c1": "app", "c2": "app", "c3": "side"][containerID]
        }
        func values(of entity: Entity) -> [MetricID: Double] { [:] }
        func specifiedContainers(namespace: String, pod: String) -> [String] { [] }
    }

    @Test func ratesAreTheChangeOverTheTimeBetweenTrueReadTimes() throws {
        let cluster = makeCluster()
        let agent = SyntheticNode("n1")
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.cpuUsage, .memoryUsage])
        agent.set(0, .cpuUsage, 5_000_000_000)
        agent.set(0, .memoryUsage, 4_096)
        try model.receive(agent.frame(step: 1_000_000, delay: 3))
        agent.set(0, .cpuUsage, 10_000_000_000)
        agent.set(0, .readOffset, 200)
        try model.receive(agent.frame(step: 1_010_000, delay: 3))
        let reader = ModelReader(cluster: cluster, names: NoNames())
        // 5 s of CPU in 10.2 s.
        #expect(
            try reader.series(.cpuUsageRate, of: .node("n1"))
                == [SeriesPoint(cycle: 1_010_000, value: .integer(490))])
        #expect(
            try reader.series(.memoryUsage, of: .node("n1")).map(\.value)
                == [.integer(4_096), .integer(4_096)])
        #expect(try reader.series(.memoryRSS, of: .node("n1")).isEmpty)
        #expect(try reader.series(.cpuUsage, of: .node("n2")).isEmpty)
        #expect(reader.metricNames(of: .node("n1")).contains("cpu/usage_rate"))
    }

    /// Two catalogues: an agent that is newer than we are sends what we do not know, one that is older does
    /// not send what we do.
    @Test func aMetricOfAnotherCatalogueDisturbsNoOther() throws {
        let cluster = makeCluster()
        let (newer, older) = (SyntheticNode("newer"), SyntheticNode("older"))
        let models = [try node(cluster, newer), try node(cluster, older)]
        try newer.add(
            0, Subject(kind: .node), [.cpuUsage, .memoryUsage, .memoryRSS],
            newer: [SchemaField(metric: 65_000, granularity: 7, isCounter: true)])
        try older.add(0, Subject(kind: .node), [.cpuUsage, .memoryUsage])
        for step in 1...3 as ClosedRange<Int64> {
            for agent in [newer, older] {
                agent.set(0, .cpuUsage, step * 1_000_000_000)
                agent.set(0, .memoryUsage, step * 4_096)
            }
            newer.set(0, .memoryRSS, step)
            newer.set(0, newer: 65_000, step * 7_000_000)
            for (model, agent) in zip(models, [newer, older]) {
                try model.receive(agent.frame(step: 1_000_000 + step * 10_000))
            }
        }
        let reader = ModelReader(cluster: cluster, names: NoNames())
        for name in ["newer", "older"] {
            #expect(
                try reader.series(.memoryUsage, of: .node(name)).map(\.value)
                    == [.integer(4_096), .integer(8_192), .integer(12_288)])
            #expect(
                try reader.series(.cpuUsageRate, of: .node(name)).map(\.value)
                    == [.integer(100), .integer(100)])
        }
        #expect(try reader.series(.memoryRSS, of: .node("newer")).count == 3)
        #expect(try reader.series(.memoryRSS, of: .node("older")).isEmpty)
        let ours = Set(reader.metricNames(of: .node("older")))
        #expect(
            Set(reader.metricNames(of: .node("newer"))).subtracting(ours) == ["memory/rss"])
    }

    @Test func aNewContainerHasItsFirstRateFromItsStart() throws {
        let cluster = makeCluster()
        let agent = SyntheticNode("n1")
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.cpuUsage])
        try model.receive(agent.frame(step: 1_000_000))
        try agent.add(1, podA, [.cpuUsage])
        try agent.add(
            2,
            Subject(
                kind: .container, parent: 1, startTimeMilliseconds: 1_006_000,
                attributes: [.podUID: "uid-a", .containerID: "c1"]), [.cpuUsage])
        agent.set(2, .cpuUsage, 1_000_000_000)
        try model.receive(agent.frame(step: 1_010_000))
        let reader = ModelReader(cluster: cluster, names: Names())
        let entity = Entity.container(namespace: "default", pod: "web", name: "app")
        #expect(
            try reader.series(.cpuUsageRate, of: entity)
                == [SeriesPoint(cycle: 1_010_000, value: .integer(250))])
        #expect(reader.metricNames(of: entity).contains("cpu/usage_rate"))
    }

    /// Knows a pod once it is told, and counts how often it is asked.
    private final class LateFacts: PodFactsSource {
        private let state = Mutex((isTold: false, asked: 0))

        func tell() { state.withLock { $0.isTold = true } }
        var asked: Int { state.withLock { $0.asked } }
        var factsGeneration: UInt64? { state.withLock { $0.isTold ? 2 : 1 } }

        func facts(uid: String) -> PodFacts? {
            state.withLock { state in
                state.asked += 1
                return state.isTold ? PodFacts(namespace: "default") : nil
            }
        }
    }

    @Test func aPodIsAskedForAgainOnlyWhenSomethingIsNewAndCountsFromThenOn() throws {
        let facts = LateFacts()
        let cluster = Cluster(configuration: ModelConfiguration(), facts: facts)
        let agent = SyntheticNode("n1")
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.memoryUsage])
        try agent.add(1, podA, [.memoryUsage])
        agent.set(1, .memoryUsage, 4_096)
        for step in Int64(0)..<3 { try model.receive(agent.frame(step: 1_000_000 + step * 10_000)) }
        #expect(facts.asked == 1)
        facts.tell()
        for step in Int64(3)..<6 { try model.receive(agent.frame(step: 1_000_000 + step * 10_000)) }
        #expect(facts.asked == 2)
        let cycles = { (namespace: String) in
            cluster.rollUps.points(.memoryUsage, namespace: namespace).map(\.cycle)
        }
        #expect(cycles(unknownNamespace) == [1_000_000, 1_010_000, 1_020_000])
        #expect(cycles("default") == [1_030_000, 1_040_000, 1_050_000])
    }

    /// A start time that is wrong by a second must not make a container busier than its machine.
    @Test func aFirstRateIsNoMoreThanTheMachineHas() throws {
        let cluster = makeCluster()
        let agent = SyntheticNode("n1")
        agent.cores = 4
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.cpuUsage])
        try model.receive(agent.frame(step: 1_000_000))
        try agent.add(1, podA, [.memoryUsage])
        try agent.add(
            2,
            Subject(
                kind: .container, parent: 1, startTimeMilliseconds: 1_009_990,
                attributes: [.podUID: "uid-a", .containerID: "c1"]), [.cpuUsage])
        agent.set(2, .cpuUsage, 1_000_000_000)
        try model.receive(agent.frame(step: 1_010_000))
        let reader = ModelReader(cluster: cluster, names: Names())
        let first = [SeriesPoint(cycle: 1_010_000, value: .integer(4_000))]
        let container = Entity.container(namespace: "default", pod: "web", name: "app")
        #expect(try reader.series(.cpuUsageRate, of: container) == first)
        #expect(try reader.series(.cpuUsageRate, of: container, start: 1_010_000) == first)
        #expect(try reader.series(.cpuUsageRate, of: .namespace("default")) == first)
        let generation = try #require(model.layoutGeneration)
        let nanocores = model.withLiveRows(generation) { $0.cpu(2)?.nanocores }
        #expect(nanocores == 4_000_000_000)
    }

    @Test func aRestartIsNoNegativeRateAndThePodGoesOn() throws {
        let cluster = makeCluster()
        let agent = SyntheticNode("n1")
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.cpuUsage])
        try agent.add(1, podA, [.memoryUsage])
        let first = Subject(
            kind: .container, parent: 1, startTimeMilliseconds: 900_000,
            attributes: [.podUID: "uid-a", .containerID: "c1"])
        try agent.add(2, first, [.cpuUsage])
        agent.set(2, .cpuUsage, 50_000_000_000)
        try model.receive(agent.frame(step: 1_000_000))
        agent.set(2, .cpuUsage, 52_000_000_000)
        try model.receive(agent.frame(step: 1_010_000))
        try agent.remove(2)
        let second = Subject(
            kind: .container, parent: 1, startTimeMilliseconds: 1_015_000,
            attributes: [.podUID: "uid-a", .containerID: "c2"])
        try agent.add(2, second, [.cpuUsage])
        agent.set(2, .cpuUsage, 500_000_000)
        try model.receive(agent.frame(step: 1_020_000))
        let reader = ModelReader(cluster: cluster, names: Names())
        let container = Entity.container(namespace: "default", pod: "web", name: "app")
        let expected: [SeriesPoint] = [
            SeriesPoint(cycle: 1_010_000, value: .integer(200)),
            SeriesPoint(cycle: 1_020_000, value: .integer(100)),
        ]
        #expect(try reader.series(.cpuUsageRate, of: container) == expected)
        // The pod has no CPU figure of its own here, so it is the sum of its containers.
        let pod = Entity.pod(namespace: "default", name: "web")
        #expect(try reader.series(.cpuUsageRate, of: pod) == expected)
        #expect(try reader.series(.cpuUsageRate, of: .namespace("default")) == expected)
        #expect(try reader.series(.cpuUsageRate, of: .cluster) == expected)
    }

    @Test func framesOfAnOutageFillTheirOwnTimesAndAmendTheRollUps() throws {
        let cluster = makeCluster()
        let agent = SyntheticNode("n1")
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.memoryUsage])
        try agent.add(1, podA, [.memoryUsage])
        var late: [Record] = []
        for step in 0..<6 {
            agent.set(1, .memoryUsage, Int64(step) * 4_096)
            let records = agent.frame(step: 1_000_000 + Int64(step) * 10_000, key: step == 4)
            if step == 2 || step == 3 { late += records } else { try model.receive(records) }
        }
        let reader = ModelReader(cluster: cluster, names: Names())
        #expect(try reader.series(.memoryUsage, of: .cluster).count == 4)
        try model.select(1, begins: false)
        try model.receive(late)
        let all = (0..<6).map {
            SeriesPoint(cycle: 1_000_000 + $0 * 10_000, value: .integer($0 * 4_096))
        }
        let pod = Entity.pod(namespace: "default", name: "web")
        #expect(try reader.series(.memoryUsage, of: pod) == all)
        #expect(try reader.series(.memoryUsage, of: .cluster) == all)
        #expect(
            try reader.series(.memoryUsage, of: pod, start: 1_010_000, end: 1_030_000)
                == Array(all[1...3]))
    }

    @Test func historyForgetsWhatIsOlderThanTheWindowAndKeepsTheRestReadable() throws {
        let cluster = makeCluster(window: 600_000)
        let agent = SyntheticNode("n1")
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.cpuUsage, .memoryUsage])
        var expected: [Int64: Int64] = [:]
        for step in 0..<1_000 {
            // Subjects come and go, so that the base has to follow the dictionary.
            if step % 7 == 3 {
                try agent.add(
                    Slot(step % 14 + 1),
                    Subject(
                        kind: .systemContainer, parent: 0,
                        attributes: [.name: "unit-\(step).service"]), [.memoryRSS])
            }
            if step % 14 == 13 {
                try agent.remove(Slot(3 + 1))
                try agent.remove(Slot(10 + 1))
            }
            let time = 1_000_000 + Int64(step) * 10_000
            expected[time] = Int64(step * step)
            agent.set(0, .memoryUsage, Int64(step * step))
            try model.receive(agent.frame(step: time))
        }
        let reader = ModelReader(cluster: cluster, names: NoNames())
        let series = try reader.series(.memoryUsage, of: .node("n1"))
        #expect(series.count >= 60 && series.count < 400)
        for point in series { #expect(point.value == .integer(expected[point.cycle] ?? -1)) }
        #expect(series.last?.cycle == Int64(10_990_000))
        // Ended units are forgotten with the window.
        let records = model.read { $0.records.count }
        #expect(records < 100)
    }

    @Test func aDictionaryThatFillsAChunkAloneLosesNoHistory() throws {
        let cluster = makeCluster()
        let agent = SyntheticNode("n1")
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.memoryUsage])
        // More text than the first chunk of a history has room for, so that the frame goes into
        // the next one and the first is dropped without any.
        for index in 1...100 {
            let name = "unit-\(index)-" + String(repeating: "x", count: 60)
            try agent.add(
                Slot(index),
                Subject(kind: .systemContainer, parent: 0, attributes: [.name: name]),
                [.memoryRSS])
        }
        for step in 0..<3 {
            agent.set(0, .memoryUsage, Int64(step) + 1)
            try model.receive(agent.frame(step: 1_000_000 + Int64(step) * 10_000))
        }
        let reader = ModelReader(cluster: cluster, names: NoNames())
        #expect(
            try reader.series(.memoryUsage, of: .node("n1")).map(\.value)
                == [.integer(1), .integer(2), .integer(3)])
    }

    @Test func framesFinerThanTheCycleAreKeptAndTheCycleTakesItsOwn() throws {
        let cluster = makeCluster()
        let agent = SyntheticNode("n1")
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.memoryUsage])
        for second in 0...20 {
            agent.set(0, .memoryUsage, Int64(second))
            try model.receive(agent.frame(step: 1_000_000 + Int64(second) * 1_000))
        }
        let reader = ModelReader(cluster: cluster, names: NoNames())
        #expect(
            try reader.series(.memoryUsage, of: .node("n1")).map(\.value)
                == [.integer(0), .integer(10), .integer(20)])
        #expect(model.read { $0.counters.frames } == 21)
    }

    @Test func aBrokenFrameLeavesTheHistoryAsItWas() throws {
        let cluster = makeCluster()
        let agent = SyntheticNode("n1")
        let model = try node(cluster, agent)
        try agent.add(0, Subject(kind: .node), [.memoryUsage])
        agent.set(0, .memoryUsage, 7)
        try model.receive(agent.frame(step: 1_000_000))
        var broken = agent.frame(step: 1_010_000)
        broken[0].payload.removeLast()
        #expect(throws: WireError.self) { try model.receive(broken) }
        let reader = ModelReader(cluster: cluster, names: NoNames())
        #expect(try reader.series(.memoryUsage, of: .node("n1")).map(\.value) == [.integer(7)])
        // What comes after it in the same chain is refused, a new chain is taken.
        #expect(throws: WireError.self) { try model.receive(agent.frame(step: 1_020_000)) }
        try model.receive(agent.frame(step: 1_030_000, key: true))
        #expect(
            try reader.series(.memoryUsage, of: .node("n1")).map(\.cycle) == [1_000_000, 1_030_000])
    }
}
