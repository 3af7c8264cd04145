import Synchronization
import Testing
import Wire

@testable import Aggregator

/// What happens when memory becomes short: how much is used is told by the test.
@Suite struct MemoryTests {
    /// A process whose memory is the histories' and what the test adds.
    private final class Process: Sendable {
        let cluster: Cluster
        let other = Mutex(0)
        let releases = Atomic<Int>(0)

        init(_ cluster: Cluster) { self.cluster = cluster }

        var historyBytes: Int { cluster.nodes.reduce(0) { $0 + $1.statistics.historyBytes } }
        var used: Int { historyBytes + other.withLock { $0 } }
        func setOther(_ byteCount: Int) { other.withLock { $0 = byteCount } }
    }

    private struct Scene {
        let clock = ManualClock(monotonicNanoseconds: 1, realtimeNanoseconds: 1)
        let cluster: Cluster
        let process: Process
        let memory: MemoryKeeper
        let keeper: ModelKeeper
        var agents: [SyntheticNode] = []
        var models: [NodeModel] = []
        var step: Int64 = 1_000_000
        static let limit = 300_000

        init(nodes: Int, steps: Int) throws {
            var configuration = ModelConfiguration()
            configuration.resolution = 1_000
            configuration.window = 900_000
            cluster = Cluster(configuration: configuration) { _ in nil }
            let process = Process(cluster)
            self.process = process
            memory = MemoryKeeper(
                MemoryLimit(byteCount: Self.limit, origin: "test"), cluster: cluster,
                usage: { process.used }, release: { process.releases.add(1, ordering: .relaxed) })
            keeper = ModelKeeper(cluster, memory: memory, clock: .manual(clock))
            for index in 1...nodes {
                let agent = SyntheticNode("n\(index)")
                let model = try #require(cluster.enter(agent.hello, now: 0)).0
                _ = model.begin(agent.hello)
                try agent.add(0, Subject(kind: .node), [.memoryUsage, .cpuUsage])
                for unit in 1...4 * index { try Self.addUnit(agent, unit) }
                agents.append(agent)
                models.append(model)
            }
            for _ in 0..<steps { try pass() }
        }

        static func addUnit(_ agent: SyntheticNode, _ unit: Int) throws {
            try agent.add(
                Slot(unit),
                Subject(kind: .systemContainer, parent: 0, attributes: [.name: "unit-\(unit)"]),
                [.memoryUsage, .cpuUsage])
        }

        mutating func pass(only index: Int? = nil) throws {
            step += 1_000
            for (number, (agent, model)) in zip(agents, models).enumerated()
            where index == nil || index == number {
                agent.set(0, .memoryUsage, step &* 0x9E37_79B9 & 0xFFFF_FFFF)
                for unit in 1...4 {
                    agent.set(
                        Slot(unit), .cpuUsage, step &* Int64(unit) &* 0x79B9_9E37 & 0xFFFF_FFFF)
                }
                try model.receive(agent.frame(step: step))
            }
            turn()
        }

        func turn() {
            clock.advance(nanoseconds: 1_000_000_000)
            keeper.turn()
        }

        /// Everything else in the process takes so many thousandths of the limit, the history on top.
        func use(_ share: Int) {
            process.setOther(share * (Self.limit / 1_000) - process.historyBytes)
        }

        func pointCount(_ index: Int) throws -> Int {
            try ModelReader(cluster: cluster, names: NoNames())
                .series(.memoryUsage, of: .node("n\(index)")).count
        }
    }

    @Test func nothingIsGivenUpWhileThereIsRoom() throws {
        var scene = try Scene(nodes: 2, steps: 120)
        scene.use(840)
        for _ in 0..<5 { try scene.pass() }
        #expect(scene.process.releases.load(ordering: .relaxed) == 0)
        #expect(try scene.pointCount(1) == 125)
        #expect(scene.cluster.gate.level == .open)
    }

    @Test func historyOfNodesThatNobodyAsksAboutShortensFirst() throws {
        let scene = try Scene(nodes: 3, steps: 600)
        _ = try scene.pointCount(2)
        scene.turn()
        let before = scene.process.historyBytes
        scene.use(855)
        scene.turn()
        #expect(scene.process.historyBytes < before - 6_000)
        #expect(scene.process.releases.load(ordering: .relaxed) > 0)
        #expect(try scene.pointCount(2) == 600)
        #expect(try scene.pointCount(1) < 600 && scene.pointCount(3) < 600)
        #expect(try scene.pointCount(1) >= 60)
        #expect(scene.memory.current.askedWindow == 900_000)
        #expect(scene.memory.current.unaskedWindow < 600_000)
        #expect(scene.memory.current.used < Scene.limit * 85 / 100)
        #expect(scene.cluster.gate.level == .open)
    }

    @Test func thenThoseThatAreAskedAboutAndNeverBelowAMinute() throws {
        let scene = try Scene(nodes: 2, steps: 600)
        for _ in 0..<10 {
            _ = try scene.pointCount(1)
            // As if what is given up did not help.
            scene.use(900)
            scene.turn()
        }
        #expect(scene.memory.current.unaskedWindow == 60_000)
        #expect(scene.memory.current.askedWindow == 60_000)
        #expect(try scene.pointCount(1) >= 60 && scene.pointCount(1) < 120)
    }

    /// Another chain takes as much as a node without history.
    @Test(arguments: [false, true])
    func aChainThatAnAgentHasLeftIsEnded(isShort: Bool) throws {
        var scene = try Scene(nodes: 1, steps: 100)
        scene.step += 1_000
        try scene.models[0].receive(scene.agents[0].frame(step: scene.step, key: true))
        var chainCount: Int { scene.models[0].read { $0.openChains.count } }
        #expect(chainCount == 2)
        scene.use(isShort ? 930 : 0)
        scene.turn()
        #expect((scene.cluster.gate.level == .open) == !isShort)
        try scene.pass()
        #expect(chainCount == 2)
        for _ in 0..<(isShort ? 1 : 101) { try scene.pass() }
        #expect(chainCount == 1)
        let points = try scene.pointCount(1)
        #expect(isShort ? points > 0 : points == 203)
        scene.step += 1_000
        try scene.models[0].receive(scene.agents[0].frame(step: scene.step, key: true))
        #expect(chainCount == (isShort ? 1 : 2))
    }

    @Test func historyGrowsAgainWhenThereIsRoom() throws {
        var scene = try Scene(nodes: 2, steps: 300)
        scene.use(890)
        for _ in 0..<10 { scene.turn() }
        let short = try scene.pointCount(1)
        #expect(short < 200)
        scene.process.setOther(0)
        for _ in 0..<900 { try scene.pass() }
        #expect(scene.memory.current.askedWindow == 900_000)
        #expect(try scene.pointCount(1) > short + 500)
    }

    @Test func whenThereIsNoTimeHistoriesAreDroppedWholeAndFramesGoOn() throws {
        var scene = try Scene(nodes: 3, steps: 400)
        scene.use(970)
        scene.turn()
        #expect(scene.memory.current.droppedHistories > 0)
        scene.process.setOther(0)
        for _ in 0..<5 { try scene.pass() }
        for index in 1...3 { #expect(try scene.pointCount(index) >= 5) }
        #expect(scene.cluster.gate.level == .open)
    }

    @Test func theLargestNodeMayHaveNoMoreSubjects() throws {
        var scene = try Scene(nodes: 2, steps: 3)
        scene.use(935)
        scene.turn()
        scene.use(925)
        scene.turn()
        #expect(scene.cluster.gate.level == .narrow)
        try Scene.addUnit(scene.agents[0], 50)
        try scene.pass()
        #expect(scene.models[0].statistics.subjects == 6)
        // The larger one's frame is refused before it is taken.
        try Scene.addUnit(scene.agents[1], 50)
        let records = scene.agents[1].frame(step: scene.step + 1_000)
        for record in records where record.type == .subjects {
            try record.payload.withUnsafeBytes { try scene.models[1].receiveSubjects($0) }
        }
        let words = try #require(scene.models[1].refusalOfSubjects())
        #expect(words.contains("n2 has 9 subjects") && words.contains("--memory-limit"))
        #expect(scene.cluster.gate.refusals.subjects == 1)
        // One that came for one that went is taken.
        try scene.agents[0].remove(50)
        try Scene.addUnit(scene.agents[0], 51)
        try scene.pass(only: 0)
        #expect(scene.models[0].statistics.subjects == 6)
    }

    @Test func whenClosedNoNewNodeComesAndAllIsTakenAgainLater() throws {
        let scene = try Scene(nodes: 1, steps: 3)
        scene.use(985)
        scene.turn()
        scene.use(985)
        scene.turn()
        #expect(scene.cluster.gate.level == .closed)
        let counters = IngestCounters()
        let hello = SyntheticNode("other").hello
        let refusal = Self.refusal(of: hello, scene.cluster, counters)
        #expect(refusal?.code == .overloaded)
        #expect(refusal?.words.contains("no new node") == true)
        #expect(refusal?.retryAfterMilliseconds == 30_000)
        #expect(scene.cluster.gate.refusals.nodes == 1)
        // A node that is known may come back.
        #expect(Self.refusal(of: scene.agents[0].hello, scene.cluster, counters) == nil)
        scene.use(910)
        scene.turn()
        #expect(scene.cluster.gate.level == .narrow)
        scene.use(800)
        scene.turn()
        #expect(scene.cluster.gate.level == .open)
        #expect(Self.refusal(of: hello, scene.cluster, counters) == nil)
        try scene.models[0].receive(
            scene.agents[0].frame(step: scene.step + 1_000, key: true))
        #expect(scene.models[0].lastStep == scene.step + 1_000)
    }

    @Test func whatWasAdmittedCountsBeforeItHasItsMemory() throws {
        let scene = try Scene(nodes: 1, steps: 3)
        scene.use(800)
        scene.turn()
        let model = scene.models[0]
        // 21 subjects fit below 95 %, taken high; there is nothing of them to be seen in what is used.
        for _ in 0..<20 { #expect(scene.cluster.gate.admits(1, of: model)) }
        scene.turn()
        #expect(scene.memory.current.used < Scene.limit * 81 / 100)
        #expect(scene.memory.current.expected > Scene.limit * 90 / 100)
        for _ in 0..<20 { _ = scene.cluster.gate.admits(1, of: model) }
        #expect(!scene.cluster.gate.admits(30, of: model))
        // They took less: others may come when that has shown.
        for _ in 0..<6 { scene.turn() }
        #expect(scene.cluster.gate.level == .open)
        #expect(scene.memory.current.expected == scene.memory.current.used)
        #expect(scene.cluster.gate.admits(10, of: model))
    }

    private static func refusal(
        of hello: Hello, _ cluster: Cluster, _ counters: IngestCounters
    ) -> Farewell? {
        var session = IngestSession(
            cluster: cluster, authentication: AgentAuthentication(), counters: counters)
        var bytes = Array(Hello.preface)
        Record(type: .hello, payload: hello.encode()).encode(into: &bytes)
        var output: [UInt8] = []
        _ = bytes.withUnsafeBytes { session.receive($0, now: 0, output: &output) }
        return session.refusal
    }

    // MARK: How much there is

    private func limit(_ files: [String: String]) -> MemoryLimit? {
        MemoryLimit.find { files[$0].map { Array($0.utf8) } }
    }

    private let machine = "MemTotal:       16384000 kB\nMemFree:  1 kB\n"

    @Test func theLimitIsTheSmallestOfTheCgroupAndThoseAboveIt() {
        let found = limit([
            "/proc/meminfo": machine, "/proc/self/cgroup": "0::/kubepods/pod1/c1\n",
            "/sys/fs/cgroup/kubepods/pod1/c1/memory.max": "max\n",
            "/sys/fs/cgroup/kubepods/pod1/memory.max": "2147483648\n",
            "/sys/fs/cgroup/kubepods/memory.max": "8589934592\n",
        ])
        #expect(found?.byteCount == 2 << 30)
        #expect(found?.origin == "/sys/fs/cgroup/kubepods/pod1/memory.max")
    }

    @Test func theFirstVersionsLimitIsFoundInTheContainersOwnRoot() {
        let found = limit([
            "/proc/meminfo": machine,
            "/proc/self/cgroup":
                "12:cpu,cpuacct:/docker/x\n5:memory:/docker/x\n1:name=systemd:/docker/x\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
        ])
        #expect(found?.byteCount == 512 << 20)
    }

    @Test func withoutALimitItIsTheMachines() {
        let none = "9223372036854771712\n"
        let found = limit([
            "/proc/meminfo": machine, "/proc/self/cgroup": "5:memory:/\n",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": none,
        ])
        #expect(found == MemoryLimit(byteCount: 16_384_000 << 10, origin: "the machine's memory"))
        #expect(limit([:]) == nil)
        #expect(
            limit(["/proc/meminfo": "MemTotal: lots\n", "/proc/self/cgroup": ":\n::\n"]) == nil)
    }

    @Test func theFlagTakesBytesAndParts() {
        let available = MemoryLimit(byteCount: 1_000_000_000, origin: "x")
        func flags(_ arguments: [String]) -> (Int?, [String]) {
            var line = CommandLine(arguments, flags: MemoryFlags.flags)
            let flags = MemoryFlags(&line, available: available)
            return (flags.limit?.byteCount, line.problems)
        }
        #expect(flags([]).0 == 800_000_000)
        #expect(flags(["--memory-limit=50%"]).0 == 500_000_000)
        #expect(flags(["--memory-limit=2Gi"]).0 == 2 << 30)
        #expect(flags(["--memory-limit=0"]) == (nil, []))
        for wrong in ["1Ki", "0%", "101%", "much", "-1", ""] {
            #expect(flags(["--memory-limit=\(wrong)"]).1.count == 1, "\(wrong)")
        }
    }
}
