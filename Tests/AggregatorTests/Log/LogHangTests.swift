import Dispatch
import Synchronization
import Testing
import Wire

@testable import Aggregator

/// A disk that takes a sync and does not answer.
@Suite struct LogHangTests {
    /// The committing thread waits in `sync` until it is let go.
    private final class Scene: @unchecked Sendable {
        let hands = ManualClock(monotonicNanoseconds: 1, realtimeNanoseconds: 1)
        let files = FaultyLogFiles()
        let cluster: Cluster
        let writer: LogWriter
        let committer: LogCommitter
        let waits = DispatchSemaphore(value: 0)
        let letGo = DispatchSemaphore(value: 0)
        let told = Atomic<Int>(0)
        private let hangs = Mutex(false)

        init() throws {
            cluster = Cluster(configuration: ModelConfiguration()) { _ in nil }
            var configuration = LogConfiguration()
            configuration.patienceMilliseconds = 5_000
            writer = LogWriter(files: files, firstSegment: 1, configuration: configuration)
            cluster.attach(writer)
            committer = LogCommitter(
                writer, cluster, LogRetention(files: files, configuration: configuration),
                names: nil, try EventLoop(clock: .manual(hands)))
            committer.observe { [self] in told.add(1, ordering: .relaxed) }
            files.willCall = { [self] in
                guard hangs.withLock({ $0 }) else { return }
                waits.signal()
                letGo.wait()
            }
        }

        func setHanging(_ hangs: Bool) { self.hangs.withLock { $0 = hangs } }
        func advance(seconds: UInt64) { hands.advance(nanoseconds: seconds * 1_000_000_000) }
    }

    @Test func ingestGoesOnAndAcknowledgementsWaitFiveSecondsAtMost() throws {
        let scene = try Scene()
        let agent = SyntheticNode("n1")
        let model = try #require(scene.cluster.enter(agent.hello, now: 0)).0
        _ = model.begin(agent.hello)
        try agent.add(0, Subject(kind: .node), [.memoryUsage])
        try model.receive(agent.frame(step: 10_000))
        scene.committer.commit()
        #expect(scene.writer.acknowledgeable == model.logPosition)

        try model.receive(agent.frame(step: 20_000))
        scene.setHanging(true)
        let thread = try SystemThread.start(name: "log") { scene.committer.commit() }
        #expect(scene.waits.wait(timeout: .now() + 60) == .success)
        for step: Int64 in 3...50 { try model.receive(agent.frame(step: step * 10_000)) }
        #expect(model.statistics.counters.frames == 50)
        let before = scene.told.load(ordering: .relaxed)
        scene.advance(seconds: 4)
        scene.committer.watch()
        #expect(scene.writer.acknowledgeable < model.logPosition)
        #expect(scene.told.load(ordering: .relaxed) == before)
        #expect(!scene.writer.statistics.isDegraded)
        scene.advance(seconds: 1)
        scene.committer.watch()
        #expect(scene.writer.acknowledgeable == model.logPosition)
        #expect(scene.told.load(ordering: .relaxed) == before + 1)
        #expect(scene.writer.statistics.isDegraded)
        #expect(scene.writer.durable < model.logPosition)

        scene.setHanging(false)
        scene.letGo.signal()
        thread.join()
        #expect(!scene.writer.statistics.isDegraded)
        scene.committer.commit()
        #expect(scene.writer.durable == model.logPosition)
        let restored = Cluster(configuration: ModelConfiguration()) { _ in nil }
        let report = try LogRestorer(files: scene.files, cluster: restored).restore()
        #expect(report.frames == 50)
    }
}
