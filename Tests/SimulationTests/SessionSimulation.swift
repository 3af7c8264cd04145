import TestSupport
import Wire

@testable import Aggregator
@testable import NodeAgent

/// One agent's outbox and one or more aggregators, joined by links that cut, stall, corrupt and
/// duplicate; all by one seed, without sockets or clocks.
struct SessionSimulation {
    /// One aggregator with the link to it.
    struct Peer {
        var cluster: Cluster
        var session: IngestSession?
        /// Bytes on their way.
        var toAggregator: [UInt8] = []
        var toAgent: [UInt8] = []
        /// Received but not consumed.
        var aggregatorInput: [UInt8] = []
        var agentInput: [UInt8] = []
        /// The agent believes that it is connected.
        var isOpen = false
        /// Nothing passes, and neither end is told.
        var isSilent = false
        var isDown = false
        /// Frames lost to it that earlier processes of the agent have counted.
        var lostBefore: UInt64 = 0
        /// How often it lost everything.
        var losses = 0
        /// It has lost everything and was not welcome to the agent since.
        var isBlank = false
        /// The oldest frame in the ring when the agent learnt that everything was lost.
        var owedFrom: UInt64 = 1
        /// The aggregator has refused something since it last lost everything.
        var hasRefused = false
    }

    var random: SplitMix64
    var node: SimulatedNode
    private(set) var outbox: Outbox
    private var spool: RingSpool?
    private let folder: TemporaryFolder?
    private let keys: Outbox.KeySpacing
    private let settings: DeliverySettings
    var peers: [Peer]
    /// Nanoseconds.
    var now: UInt64 = 1_000_000_000
    var step: Int64 = 1_000_000
    let runID: [UInt8]
    /// What has happened, to be sure that a run tries something.
    var events: [String: Int] = [:]

    static let stepMilliseconds: Int64 = 1_000
    private static let configuration: ModelConfiguration = {
        var configuration = ModelConfiguration()
        configuration.resolution = stepMilliseconds
        // Nothing ages out of the model: it is asked for every frame at the end.
        configuration.window = 4_000_000
        return configuration
    }()

    /// - Parameter isSpooled: frames go to a directory, so that the agent can be restarted.
    init(
        seed: UInt64, peers count: Int = 1, ringBytes: Int, keys: Outbox.KeySpacing, slots: Int,
        isSpooled: Bool = true
    ) throws {
        random = SplitMix64(seed: seed)
        node = SimulatedNode(seed: random.next(), slots: slots)
        var settings = DeliverySettings()
        settings.setStep(nanoseconds: UInt64(Self.stepMilliseconds) * 1_000_000)
        settings.catchUpByteCount = 600
        settings.inFlightFrameMax = 16
        self.keys = keys
        self.settings = settings
        let start = now
        var seeds = random
        let deliveries = (0..<count).map { _ in
            DeliveryState(settings: settings, seed: seeds.next(), now: start)
        }
        outbox = Outbox(ring: ResendRing(capacity: ringBytes), deliveries: deliveries, keys: keys)
        runID = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &seeds) }
        peers = (0..<count).map { _ in Peer(cluster: Self.makeCluster()) }
        guard isSpooled else {
            (folder, spool) = (nil, nil)
            return
        }
        let folder = try TemporaryFolder()
        let spool = Self.makeSpool(folder, outbox.ring.capacity)
        (self.folder, self.spool) = (folder, spool)
        let left = try spool.take(random: 0)
        precondition(left == nil, "a new directory has frames")
        try spool.start(runID: runID, names: peerNames, isThreaded: false)
    }

    private static func makeSpool(_ folder: TemporaryFolder, _ capacity: Int) -> RingSpool {
        RingSpool(files: DirectorySpoolFiles(directory: folder.url.path), capacity: capacity)
    }

    private var peerNames: [String] { peers.indices.map { "\($0)" } }

    static func makeCluster() -> Cluster {
        Cluster(configuration: configuration) { _ in nil }
    }

    // MARK: Moves

    mutating func takeFrame() throws {
        step += Self.stepMilliseconds
        now += UInt64(Self.stepMilliseconds) * 1_000_000
        try node.step(step, outbox: outbox)
        spool?.keepNewest(of: outbox)
        if UInt8.random(in: 0..<4, using: &random) > 0 { spool?.drain() }
    }

    /// Lets one end of each link do what it wants to do now.
    mutating func runAgent(_ index: Int, outputMax: Int = 4_096) {
        let now = now
        switch outbox.withDelivery(index, { state, _ in state.tick(now: now) }) {
        case .nothing: break
        case .connect: connect(index)
        case .close: hangUp(index, "closed")
        }
        guard peers[index].isOpen else { return }
        var output: [UInt8] = []
        outbox.withDelivery(index) { state, ring in
            state.fill(&output, byteCountMax: outputMax, ring: ring, now: now)
        }
        if !peers[index].isSilent { peers[index].toAggregator += output }
    }

    private mutating func connect(_ index: Int) {
        let now = now
        guard !peers[index].isDown else {
            return outbox.withDelivery(index) { state, _ in
                state.disconnected("refused", now: now)
            }
        }
        // A new connection: what was on the old one is gone.
        peers[index].session?.leave()
        peers[index].session = IngestSession(
            cluster: peers[index].cluster, authentication: AgentAuthentication(),
            counters: IngestCounters())
        peers[index].isOpen = true
        peers[index].isSilent = false
        clearLink(index)
        var hello = Hello(nodeName: "node", runID: runID)
        hello.oldestSequence = outbox.ring.oldest
        hello.newestSequence = outbox.ring.next - 1
        var output: [UInt8] = []
        outbox.withDelivery(index) { state, _ in
            state.connected(hello, now: now, output: &output)
        }
        peers[index].toAggregator += output
        events["connect", default: 0] += 1
    }

    private mutating func clearLink(_ index: Int) {
        peers[index].toAggregator = []
        peers[index].toAgent = []
        peers[index].aggregatorInput = []
        peers[index].agentInput = []
    }

    /// The agent's end of the connection ends.
    mutating func hangUp(_ index: Int, _ words: String) {
        guard peers[index].isOpen else { return }
        let now = now
        peers[index].isOpen = false
        peers[index].session?.leave()
        peers[index].session = nil
        clearLink(index)
        outbox.withDelivery(index) { state, _ in state.disconnected(words, now: now) }
    }

    /// Moves bytes along both ways, at most so many each.
    mutating func transfer(_ index: Int, upTo limit: Int) {
        let outward = min(limit, peers[index].toAggregator.count)
        let inward = min(limit, peers[index].toAgent.count)
        peers[index].aggregatorInput += peers[index].toAggregator.prefix(outward)
        peers[index].toAggregator.removeFirst(outward)
        peers[index].agentInput += peers[index].toAgent.prefix(inward)
        peers[index].toAgent.removeFirst(inward)
        deliverToAggregator(index)
        deliverToAgent(index)
    }

    private mutating func deliverToAggregator(_ index: Int) {
        guard var session = peers[index].session, !peers[index].aggregatorInput.isEmpty else {
            return
        }
        var output: [UInt8] = []
        let consumed = peers[index].aggregatorInput.withUnsafeBytes {
            session.receive($0, now: step, output: &output)
        }
        peers[index].aggregatorInput.removeFirst(consumed)
        if let refusal = session.refusal, !session.isStreaming {
            events["refused \(refusal.code)", default: 0] += 1
            peers[index].hasRefused = true
        }
        peers[index].session = session
        if !peers[index].isSilent { peers[index].toAgent += output }
    }

    private mutating func deliverToAgent(_ index: Int) {
        guard peers[index].isOpen, !peers[index].agentInput.isEmpty else { return }
        let (now, step) = (now, step)
        let input = peers[index].agentInput
        let consumed = input.withUnsafeBytes { bytes in
            outbox.withDelivery(index) { state, ring in
                state.receive(bytes, ring: ring, now: now, clockMilliseconds: step)
            }
        }
        peers[index].agentInput.removeFirst(consumed)
        if peers[index].isBlank, outbox.deliveries[index].isStreaming {
            peers[index].isBlank = false
            peers[index].owedFrom = outbox.ring.oldest
        }
    }

    // MARK: What goes wrong

    /// - Parameter changingBytes: besides losing them.
    mutating func damage(_ index: Int, changingBytes: Bool = true) {
        let kind = UInt8.random(in: 0..<10, using: &random)
        switch kind {
        case 3..<6 where !changingBytes: break
        case 0, 1:
            transfer(index, upTo: Int.random(in: 0...2_000, using: &random))
            hangUp(index, "cut")
            events["cut", default: 0] += 1
        case 2:
            peers[index].isSilent = true
            events["silence", default: 0] += 1
        case 3:
            Self.flip(&peers[index].toAggregator, &random)
            events["corrupt", default: 0] += 1
        case 4:
            Self.flip(&peers[index].toAgent, &random)
            events["corrupt", default: 0] += 1
        case 5:
            Self.duplicate(&peers[index].toAggregator, &random)
            events["duplicate", default: 0] += 1
        case 6:
            hangUp(index, "restart")
            peers[index].isDown.toggle()
            events["restart with state", default: 0] += 1
        case 7:
            guard UInt8.random(in: 0..<4, using: &random) == 0 else { return }
            loseEverything(index)
        case 8: now += UInt64.random(in: 0...20_000_000_000, using: &random)
        default: transfer(index, upTo: Int.random(in: 0...10_000, using: &random))
        }
    }

    mutating func loseEverything(_ index: Int) {
        hangUp(index, "lost everything")
        peers[index].cluster = Self.makeCluster()
        peers[index].losses += 1
        peers[index].isBlank = true
        peers[index].hasRefused = false
        events["restart without state", default: 0] += 1
    }

    private static func flip(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
        guard let index = bytes.indices.randomElement(using: &random) else { return }
        bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    }

    private static func duplicate(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
        guard !bytes.isEmpty else { return }
        let start = Int.random(in: 0..<bytes.count, using: &random)
        let end = Int.random(in: start...bytes.count, using: &random)
        bytes.insert(contentsOf: bytes[start..<end], at: end)
    }

    /// The agent stops or is killed, and starts with what it has on disk.
    mutating func restartAgent() throws {
        guard let folder else { return }
        for index in peers.indices { hangUp(index, "agent restart") }
        if Bool.random(using: &random) {
            spool?.finish(outbox, isThreaded: false)
            events["agent restart", default: 0] += 1
        } else {
            // What waits to be written is gone; some of it was sent.
            events["agent killed", default: 0] += 1
        }
        let spool = Self.makeSpool(folder, outbox.ring.capacity)
        self.spool = spool
        let restored = try spool.take(random: UInt32.random(in: .min ... .max, using: &random))
        guard let restored else {
            // Nothing was ever written, or nothing taken.
            try spool.start(runID: runID, names: peerNames, isThreaded: false)
            return
        }
        var deliveries: [DeliveryState] = []
        for (index, name) in peerNames.enumerated() {
            var delivery = DeliveryState(settings: settings, seed: random.next(), now: now)
            delivery.restore(
                acknowledged: restored.acknowledged[name] ?? SequenceSet(), ring: restored.ring)
            peers[index].lostBefore +=
                outbox.deliveries[index].counters.lostFrames
                + restored.ring.evictedUnsettledCount
            deliveries.append(delivery)
        }
        outbox = Outbox(ring: restored.ring, deliveries: deliveries, keys: keys)
        try spool.start(runID: restored.runID, names: peerNames, isThreaded: false)
        node.restart()
    }

    /// Everything works again: runs until all is acknowledged.
    mutating func heal() {
        for index in peers.indices {
            peers[index].isDown = false
            hangUp(index, "healed")
        }
        settle()
    }

    /// Runs on over links that work until all is acknowledged, or gives up.
    mutating func settle() {
        for _ in 0..<100_000 {
            now += 50_000_000
            // A refusal can ask for an hour's wait.
            if peers.count == 1, case .waiting(let until) = outbox.deliveries[0].phase {
                now = max(now, until)
            }
            for index in peers.indices {
                runAgent(index, outputMax: 65_536)
                transfer(index, upTo: .max)
            }
            if outbox.deliveries.allSatisfy({ $0.isStreaming && $0.isSettled(outbox.ring) }) {
                return
            }
        }
    }
}
