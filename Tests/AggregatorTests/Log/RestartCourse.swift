import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Nodes to which things happen, an aggregator with a log in a folder that fails, and the reference,
/// which sees each frame once.
///
/// The nodes do as agents do: they keep every frame, and send after a restart what the welcome does
/// not name, beginning a chain again where it is not open.
final class RestartCourse {
    /// What is left of the folder when the power goes.
    enum Cut: CaseIterable {
        /// The process died: what was written is there.
        case process
        /// What was synced, and nothing else.
        case synced
        /// A part of the rest, with holes.
        case torn
    }

    private struct Peer {
        let random: RandomNode
        var model: NodeModel?
        var run: UInt8 = 0
        /// Of this run, all.
        var frames: [RandomNode.Delivery] = []
        /// Sent, and not yet acknowledged: sequence and position in the log.
        var waiting: [(sequence: UInt64, position: UInt64)] = []
        var acknowledged: Set<UInt64> = []
        /// Of earlier runs.
        var earlierSteps: [Int64] = []
        var selected: ChainID?
        /// By chain and run: its number among the node's.
        var chains: [String: Int] = [:]
    }

    let reference: ReferenceModel
    private(set) var cluster: Cluster
    private(set) var writer: LogWriter
    private(set) var report: LogRestorer.Report
    /// What of the window was not read yet.
    private var past: LogPast?
    var files: FaultyLogFiles
    private var committer: LogCommitter
    private let modelConfiguration: ModelConfiguration
    private let logConfiguration: LogConfiguration
    private let hands = ManualClock(realtimeNanoseconds: 10_000_000_000_000)
    private var peers: [Peer] = []
    private var random: SeededRandom
    private(set) var restartCount = 0
    /// Restarts that left a part for later.
    private(set) var pastCount = 0
    /// Where things go wrong; for messages.
    var what: String

    static let resolution: Int64 = 10_000

    init(
        seed: UInt64, nodes: Int = 2, window: Int64 = 86_400_000, log: LogConfiguration,
        files: FaultyLogFiles = FaultyLogFiles(), agentsRestart: Bool = true, what: String
    ) throws {
        self.what = what
        self.files = files
        random = SeededRandom(seed: seed)
        logConfiguration = log
        var configuration = ModelConfiguration()
        configuration.resolution = Self.resolution
        configuration.window = window
        modelConfiguration = configuration
        reference = ReferenceModel(
            resolution: Self.resolution, names: RandomPodNames(uids: []))
        for index in 0..<nodes {
            peers.append(
                Peer(
                    random: try RandomNode(
                        "n\(index)", seed: seed &* 31 &+ UInt64(index), start: 10_000_000,
                        stepLength: Self.resolution, clockMayStep: false, mayRestart: agentsRestart)
                ))
        }
        (cluster, report, past, writer, committer) = try Self.start(
            files, configuration, log, hands)
    }

    private static func start(
        _ files: FaultyLogFiles, _ configuration: ModelConfiguration, _ log: LogConfiguration,
        _ hands: ManualClock
    ) throws -> (Cluster, LogRestorer.Report, LogPast?, LogWriter, LogCommitter) {
        let names = RandomPodNames(uids: [])
        let cluster = Cluster(configuration: configuration) { names.pod(uid: $0)?.namespace }
        let (report, past) = try LogRestorer(files: files, cluster: cluster).restorePresent()
        let writer = LogWriter(
            files: files, firstSegment: report.nextSegment, firstBatch: report.nextBatch,
            configuration: log)
        cluster.attach(writer)
        let committer = LogCommitter(
            writer, cluster, LogRetention(files: files, configuration: log), names: nil,
            try EventLoop(clock: .manual(hands)))
        return (cluster, report, past, writer, committer)
    }

    // MARK: What happens

    /// Runs so many steps, with commits in between.
    func run(steps: Int) throws {
        for _ in 0..<steps {
            hands.advance(nanoseconds: UInt64(Self.resolution) * 1_000_000)
            for index in peers.indices { try takeFrame(index) }
            if Int.random(in: 0..<3, using: &random) > 0 { commit() }
        }
    }

    /// Runs until the folder fails; an agent then waits for ever.
    func runUntilCut(steps: Int) throws {
        for _ in 0..<steps where writer.statistics.failures == 0 { try run(steps: 1) }
    }

    private func takeFrame(_ index: Int) throws {
        let frame = try peers[index].random.step()
        if peers[index].run != frame.run {
            try settle(index)
            peers[index].earlierSteps += peers[index].frames.map(\.step)
            peers[index].frames = []
            peers[index].acknowledged = []
            peers[index].run = frame.run
            peers[index].model = nil
        }
        let key = "\(frame.run)/\(frame.chain)"
        if frame.begins { peers[index].chains[key] = peers[index].chains.count }
        reference.take(frame.frame(try #require(peers[index].chains[key])))
        peers[index].frames.append(frame)
        if peers[index].model == nil {
            try connect(index)
        } else {
            try send(frame, index)
        }
    }

    /// An agent ends when everything is acknowledged, or what it had would be lost with it.
    private func settle(_ index: Int) throws {
        for _ in 0..<20 where !peers[index].waiting.isEmpty { commit() }
        #expect(peers[index].waiting.isEmpty, "\(what)")
    }

    private func send(_ frame: RandomNode.Delivery, _ index: Int) throws {
        let model = try #require(peers[index].model)
        if !frame.begins, peers[index].selected != frame.chain {
            try model.select(frame.chain, begins: false)
        }
        peers[index].selected = frame.chain
        try model.receive(frame.records)
        peers[index].waiting.append((frame.sequence, model.logPosition))
    }

    /// Says hello and sends what the other end does not have.
    private func connect(_ index: Int) throws {
        guard let last = peers[index].frames.last else { return }
        let isUnknown = cluster.node(named: peers[index].random.name) == nil
        if isUnknown, cluster.hasPastToRead.load(ordering: .acquiring) {
            peers[index].model = nil
            return
        }
        let (model, _) = try #require(cluster.enter(last.hello, now: 0))
        let welcome = model.begin(last.hello)
        peers[index].model = model
        peers[index].selected = nil
        peers[index].waiting = []
        var next: [ChainID: UInt64] = [:]
        for chain in welcome.chains { next[chain.id] = chain.nextSequence }
        for frame in peers[index].frames where !welcome.settled.contains(frame.sequence) {
            if !frame.begins, next[frame.chain] != frame.sequence {
                // What it needs is decoded and not kept a second time.
                for earlier in peers[index].frames
                where earlier.chain == frame.chain && earlier.sequence < frame.sequence {
                    try send(earlier, index)
                }
            }
            try send(frame, index)
            next[frame.chain] = frame.sequence + 1
        }
    }

    func commit() {
        committer.commit()
        let end = writer.acknowledgeable
        for index in peers.indices {
            for sent in peers[index].waiting where sent.position <= end {
                peers[index].acknowledged.insert(sent.sequence)
            }
            peers[index].waiting.removeAll { $0.position <= end }
        }
    }

    /// Removes what is too old or too much, as the log's thread does now and then.
    func applyRetention() throws {
        try LogRetention(files: files, configuration: logConfiguration).apply(
            now: Int64(hands.realtimeNanoseconds / 1_000_000))
    }

    /// Nothing more is written; another process finds what is left.
    ///
    /// - Parameter readsAll: at once, before agents find it again.
    func restart(
        _ cut: Cut, readsAll: Bool = true, change: (FaultyLogFiles) -> Void = { _ in }
    ) throws {
        restartCount += 1
        let share = Double.random(in: 0...1, using: &random)
        switch cut {
        case .process: files = files.afterPowerCut(keeping: 1)
        case .synced: files = files.afterPowerCut(keeping: 0)
        case .torn: files = files.afterPowerCut(keeping: share, reordered: &random)
        }
        change(files)
        (cluster, report, past, writer, committer) = try Self.start(
            files, modelConfiguration, logConfiguration, hands)
        if readsAll { readPast() }
    }

    /// Reads what of the window was left for later.
    func readPast() {
        guard let past else { return }
        self.past = nil
        pastCount += 1
        let listed = cluster.nodes.map(\.name)
        let found = past.restore { [self] in
            // Who is only half there is found by nobody.
            #expect(cluster.nodes.map(\.name) == listed, "\(what)")
            return false
        }
        report.add(found)
    }

    /// Reads it while a node is forgotten that was there already, as one that is silent for the whole
    /// window is.
    ///
    /// - Parameter count: segments that are read before that.
    func readPast(forgetting index: Int, afterSegments count: Int) throws {
        let past = try #require(past)
        self.past = nil
        let node = try #require(cluster.node(named: peers[index].random.name))
        try #require(past.segments.count > count)
        var asked = 0
        report.add(
            past.restore { [cluster, what] in
                if asked == count { #expect(cluster.forget(node), "\(what)") }
                asked += 1
                return false
            })
    }

    /// Agents find the aggregator again.
    func reconnect() throws {
        for index in peers.indices { try connect(index) }
    }

    // MARK: What must be true

    /// Steps of all frames in a node's history, as they are in memory.
    func keptSteps(_ index: Int) throws -> [Int64] {
        guard let node = cluster.node(named: peers[index].random.name) else { return [] }
        let snapshots = node.read { $0.chains.map { $0.snapshot(wanting: nil) } }
        var steps: [Int64] = []
        for snapshot in snapshots {
            try snapshot.replay(
                changed: { _, _ in false },
                frame: { header, _ in
                    steps.append(header.stepMilliseconds)
                    return true
                })
        }
        return steps.sorted()
    }

    /// Right after a restart: whatever agents were told is kept is there, and no frame is there twice.
    func expectAcknowledgedIsKept() throws {
        for index in peers.indices {
            let steps = try keptSteps(index)
            let acknowledged = peers[index].frames.filter {
                peers[index].acknowledged.contains($0.sequence)
            }.map(\.step)
            #expect(Set(steps).isSuperset(of: acknowledged), "\(what): node \(index)")
            #expect(Set(steps).isSuperset(of: peers[index].earlierSteps), "\(what): node \(index)")
            #expect(Set(steps).count == steps.count, "\(what): node \(index) has frames twice")
        }
    }

    /// Each frame is there once, and each series is as if nothing had happened.
    func expectEverything() throws {
        for index in peers.indices {
            let wanted = peers[index].earlierSteps + peers[index].frames.map(\.step)
            #expect(try keptSteps(index) == wanted.sorted(), "\(what): node \(index)")
            let frames = cluster.node(named: peers[index].random.name)?.statistics.counters.frames
            #expect(frames == UInt64(wanted.count), "\(what): node \(index)")
        }
        let names = RandomPodNames(reference)
        let reader = ModelReader(cluster: cluster, names: names)
        for entity in SeriesExpectation.entities(reference, names) {
            for metric in SeriesExpectation.asked {
                SeriesExpectation.expect(
                    try reader.series(metric, of: entity), reference.series(metric, of: entity),
                    metric, entity, what)
            }
        }
    }

    /// After damage: so many frames of a node may be gone at most, none is there twice, and whatever is
    /// answered is what the reference says.
    func expectNothingFalse(lostMax: Int) throws {
        var lost: Set<Int64> = []
        for index in peers.indices {
            let steps = try keptSteps(index)
            let wanted = Set(peers[index].earlierSteps + peers[index].frames.map(\.step))
            #expect(wanted.isSuperset(of: steps), "\(what)")
            #expect(Set(steps).count == steps.count, "\(what): node \(index) has frames twice")
            #expect(wanted.count - steps.count <= lostMax, "\(what): node \(index)")
            lost.formUnion(wanted.subtracting(steps))
        }
        let names = RandomPodNames(reference)
        let reader = ModelReader(cluster: cluster, names: names)
        for entity in SeriesExpectation.entities(reference, names) {
            // Rates over a hole and sums of fewer are others.
            if case .cluster = entity { continue }
            if case .namespace = entity { continue }
            for metric in SeriesExpectation.asked where Rates.counter(of: metric) == nil {
                let known = reference.series(metric, of: entity)
                // Where one of two pods of a name is gone, the other answers.
                let points = try reader.series(metric, of: entity)
                    .filter { !lost.contains($0.cycle) }
                SeriesExpectation.expect(
                    points, known.filter { cycle, _ in points.contains { $0.cycle == cycle } },
                    metric, entity, what)
            }
        }
    }
}
