import CLinux
import Glibc
import Wire

/// The running agent: one thread, one event loop; samples at each step and keeps the links going.
final class AgentService {
    /// Milliseconds between frames until an aggregator has said what it wishes.
    static let defaultResolution: Int64 = 10_000

    private let configuration: AgentConfiguration
    private let sampler: Sampler
    private let loop: EventLoop
    private let outbox: Outbox
    private let spool: RingSpool?
    private let signals: SignalDescriptor
    private let runID: [UInt8]
    private var links: [AggregatorLink] = []
    private var schedule: SampleSchedule
    private var skippedBefore: Int64 = 0
    private var sampleTimer: TimerID?
    private var sendTimer: TimerID?
    private var newcomerTimer: TimerID?
    private var lastFrameMilliseconds: Int64 = .min
    private var announcedMachine: MachineFacts
    private var isStopping = false
    /// Steps until what only the start or a handshake needed is let go from memory.
    private var stepsToTrim: Int64 = 2
    private var streamingCount = 0

    /// Frames between two steps, for what has just appeared, come no closer than this.
    private static let newcomerIntervalMilliseconds: Int64 = 100
    private static let farewellNanoseconds: UInt64 = 500_000_000

    /// - Throws: what the user can mend.
    init(
        _ configuration: AgentConfiguration, sampler: Sampler
    ) throws(AgentUsageError) {
        self.configuration = configuration
        self.sampler = sampler
        sampler.betweenParts = ResidentMemory.releaseText
        announcedMachine = sampler.machine
        do throws(TransportError) {
            signals = try SignalDescriptor([SIGTERM, SIGINT, SIGUSR1])
            loop = try EventLoop()
        } catch {
            throw AgentUsageError(problems: ["\(error)"])
        }
        let resolution = configuration.resolution ?? Self.defaultResolution
        var settings = DeliverySettings()
        settings.setStep(nanoseconds: UInt64(resolution) * 1_000_000)
        let now = loop.clock.monotonicNanoseconds
        let names = configuration.aggregators.map(\.description)
        var deliveries = names.map { _ in
            DeliveryState(settings: settings, seed: Self.randomSeed(), now: now)
        }
        spool = try Self.openSpool(configuration)
        let restored = try Self.take(spool)
        runID = restored?.runID ?? Self.makeRunID()
        let ring = restored?.ring ?? ResendRing(capacity: configuration.ringBytes)
        if let restored {
            for (index, name) in names.enumerated() {
                deliveries[index].restore(
                    acknowledged: restored.acknowledged[name] ?? SequenceSet(), ring: ring)
            }
        }
        outbox = Outbox(ring: ring, deliveries: deliveries)
        schedule = SampleSchedule(
            resolutionMilliseconds: resolution, now: Self.now(loop.clock))
    }

    private static func openSpool(
        _ configuration: AgentConfiguration
    ) throws(AgentUsageError) -> RingSpool? {
        guard let directory = configuration.spoolDirectory else { return nil }
        do throws(RingSpoolError) {
            return try RingSpool.open(directory: directory, capacity: configuration.ringBytes)
        } catch {
            throw AgentUsageError(problems: ["\(error)"])
        }
    }

    /// What the last process left in the spool.
    private static func take(
        _ spool: RingSpool?
    ) throws(AgentUsageError) -> SpoolReader.Restored? {
        do throws(SpoolFileError) {
            let restored = try spool?.take(random: UInt32(truncatingIfNeeded: randomSeed()))
            for notice in spool?.notices ?? [] { Diagnostics.warning(notice) }
            if let ring = restored?.ring {
                Diagnostics.info(
                    "--spool-dir: \(ring.frameCount) frames of the last process are there")
            }
            return restored
        } catch {
            throw AgentUsageError(problems: ["--spool-dir: \(error)"])
        }
    }

    /// Runs until SIGTERM or SIGINT.
    func run() throws(AgentUsageError) {
        do throws(TransportError) {
            try signals.start(on: loop) { [unowned self] in handle(signal: $0) }
            try watchNewcomers()
            try spool?.start(runID: runID, names: aggregatorNames)
        } catch {
            throw AgentUsageError(problems: ["\(error)"])
        }
        sampleTimer = loop.makeTimer { [unowned self] in step() }
        sendTimer = loop.makeTimer { [unowned self] in send() }
        newcomerTimer = loop.makeTimer { [unowned self] in sampleNewcomers() }
        let options = AggregatorLink.Options(
            security: configuration.security, handshakeEnded: ResidentMemory.releaseText
        ) { [unowned self] in adoptResolution() }
        links = configuration.aggregators.enumerated().map { index, address in
            AggregatorLink(
                address, index: index, loop: loop, outbox: outbox, options: options
            ) { [unowned self] in hello() }
        }
        announce()
        scheduleStep()
        prepareStep()
        for link in links { link.start() }
        while !isStopping { loop.turn(waitMillisecondsMax: -1) }
        leave()
    }

    private func announce() {
        let targets = configuration.aggregators.map(\.description).joined(separator: ", ")
        Diagnostics.info(
            "agent \(HeapwireVersion.current) of node \(configuration.nodeName) delivers to \(targets)"
        )
        if configuration.isInsecure {
            Diagnostics.warning(
                "frames go over plain TCP: anyone on the way can read and change them "
                    + "(--insecure-ingest)")
        }
        for notice in sampler.files.takeNotices() { Diagnostics.info(notice) }
    }

    private func hello() -> Hello {
        var hello = Hello(nodeName: configuration.nodeName, runID: runID)
        hello.agentVersion = HeapwireVersion.current
        hello.resolutionMilliseconds = UInt64(configuration.resolution ?? 0)
        hello.clockMilliseconds = loop.clock.realtimeNanoseconds / 1_000_000
        if !outbox.ring.isEmpty {
            hello.oldestSequence = outbox.ring.oldest
            hello.newestSequence = outbox.ring.next - 1
        }
        hello.machine = sampler.machine
        if let path = configuration.tokenFile {
            do throws(SmallFileError) {
                let token = try SmallFile.read(path, byteLimit: 16_384).trimmingWhitespace()
                let text = String(decoding: token, as: UTF8.self)
                hello.credential =
                    configuration.isServiceAccountToken
                    ? .serviceAccountToken(text) : .sharedToken(text)
            } catch {
                Diagnostics.error("\(configuration.tokenFlag): \(error); saying hello without")
            }
        }
        return hello
    }

    // MARK: Sampling

    private static func now(_ clock: Clock) -> SampleSchedule.Now {
        SampleSchedule.Now(
            realtimeMilliseconds: Int64(clock.realtimeNanoseconds / 1_000_000),
            monotonicMilliseconds: Int64(clock.monotonicNanoseconds / 1_000_000),
            boottimeMilliseconds: SampleClock.system.boottimeNanoseconds() / 1_000_000)
    }

    private func scheduleStep() {
        guard let sampleTimer else { return }
        let wait = schedule.millisecondsToWait(Self.now(loop.clock))
        loop.schedule(sampleTimer, afterNanoseconds: UInt64(wait) * 1_000_000)
    }

    private func step() {
        if let step = schedule.takeStep(Self.now(loop.clock)) {
            let begin = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
            if lastFrameMilliseconds == .min { ResidentMemory.releaseText() }
            let changes = sampler.step(into: outbox.encoder, state: agentState)
            append(step: step, readDelay: begin - step, changes)
            lastFrameMilliseconds = step
            scheduleSend()
            announceMachine()
            for notice in sampler.files.takeNotices() { Diagnostics.info(notice) }
            if sampler.hasPending { scheduleNewcomers() }
            prepareStep()
        }
        if let jump = schedule.lastJump { report(jump) }
        scheduleStep()
    }

    private func report(_ jump: SampleSchedule.Jump) {
        switch jump {
        case .clockSet(let milliseconds):
            Diagnostics.warning("the clock was set by \(milliseconds) ms; steps follow it")
        case .slept(let milliseconds):
            Diagnostics.info(
                "the machine slept for \(describeDuration(milliseconds: milliseconds)); there are "
                    + "no samples of that time")
        }
    }

    /// Does between steps what need not be done in one: looks for what no event tells of, and lets go from
    /// memory what only that, the start or a handshake used.
    private func prepareStep() {
        let isRescanDue = sampler.isRescanDue(inMilliseconds: schedule.resolutionMilliseconds)
        if isRescanDue {
            ResidentMemory.releaseText()
            sampler.rescan()
        }
        stepsToTrim -= 1
        if isRescanDue || stepsToTrim == 0 { ResidentMemory.trim() }
        let streaming = outbox.deliveries.count(where: \.isStreaming)
        if streaming > streamingCount { stepsToTrim = 3 }
        streamingCount = streaming
    }

    private func append(step: Int64, readDelay: Int64, _ changes: [SubjectChange]) {
        outbox.append(step: step, readDelay: readDelay, changes: changes)
        spool?.keepNewest(of: outbox)
    }

    private var agentState: AgentState {
        var state = AgentState()
        state.stepsSkipped = skippedBefore + schedule.skippedCount
        state.ringBytes = Int64(outbox.ring.byteCount)
        state.ringFrames = Int64(outbox.ring.frameCount)
        state.slowFiles = sampler.slowFileCount
        state.readsSkipped = sampler.skippedReadCount
        state.ringFramesDropped = Int64(clamping: outbox.ring.evictedUnsettledCount)
        state.spoolFramesDropped = Int64(clamping: spool?.counters.droppedFrames ?? 0)
        return state
    }

    private var aggregatorNames: [String] { configuration.aggregators.map(\.description) }

    /// Frames of many nodes do not arrive in the same millisecond: each waits its own part of the
    /// step, under a tenth of it and under 25 ms, before it sends.
    private func scheduleSend() {
        guard let sendTimer else { return }
        let window = min(UInt64(schedule.resolutionMilliseconds) * 1_000_000 / 10, 25_000_000)
        loop.schedule(
            sendTimer, afterNanoseconds: Self.hash(configuration.nodeName) % window)
    }

    private func send() {
        for link in links { link.run() }
    }

    private func announceMachine() {
        guard sampler.machine != announcedMachine else { return }
        announcedMachine = sampler.machine
        for link in links { link.send(announcedMachine) }
    }

    /// Takes over the resolution that the aggregators wish, the finest where they differ.
    private func adoptResolution() {
        guard configuration.resolution == nil else { return }
        let wishes = outbox.deliveries.compactMap { $0.welcome?.resolutionMilliseconds }
            .filter { $0 > 0 }.map { Int64(clamping: min(max($0, 100), 3_600_000)) }
        guard let wish = wishes.min(), wish != schedule.resolutionMilliseconds else { return }
        Diagnostics.info(
            "sampling every \(describeDuration(milliseconds: wish)), as the aggregator wishes")
        skippedBefore += schedule.skippedCount
        schedule = SampleSchedule(resolutionMilliseconds: wish, now: Self.now(loop.clock))
        sampler.setResolution(milliseconds: wish)
        for index in outbox.deliveries.indices {
            outbox.withDelivery(index) { state, _ in
                state.settings.setStep(nanoseconds: UInt64(wish) * 1_000_000)
            }
        }
        scheduleStep()
    }

    // MARK: What appears between two steps

    private func watchNewcomers() throws(TransportError) {
        guard let descriptor = sampler.watchDescriptor else { return }
        try loop.add(
            descriptor, interest: .read,
            handler: NewcomerWatch { [unowned self] in scheduleNewcomers() })
    }

    private func scheduleNewcomers() {
        guard let newcomerTimer else { return }
        if let descriptor = sampler.watchDescriptor { loop.setInterest([], of: descriptor) }
        let clock = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
        let soonest = max(lastFrameMilliseconds, clock - 80)
        let wait = Self.newcomerIntervalMilliseconds - max(clock - soonest, 0)
        loop.schedule(newcomerTimer, afterNanoseconds: UInt64(wait) * 1_000_000)
    }

    private func sampleNewcomers() {
        if let descriptor = sampler.watchDescriptor { loop.setInterest(.read, of: descriptor) }
        // The step that is about to come sees them too, and the first frame has everything.
        let clock = Int64(loop.clock.realtimeNanoseconds / 1_000_000)
        guard lastFrameMilliseconds > .min, clock > lastFrameMilliseconds,
            schedule.nextStepMilliseconds - clock > 50
        else {
            return
        }
        let changes = sampler.stepNew(into: outbox.encoder)
        if !changes.isEmpty {
            append(step: clock, readDelay: 0, changes)
            lastFrameMilliseconds = clock
            send()
        }
        if sampler.hasPending { scheduleNewcomers() }
    }

    // MARK: Signals and the end

    private func handle(signal: Int32) {
        switch signal {
        case SIGUSR1: printState()
        default:
            Diagnostics.info("stopping: \(signal == SIGINT ? "SIGINT" : "SIGTERM")")
            isStopping = true
        }
    }

    /// On SIGUSR1.
    private func printState() {
        let ring = outbox.ring
        Diagnostics.info(
            "state: frames \(ring.oldest) to \(ring.next - 1) in the ring, \(ring.byteCount) of "
                + "\(ring.capacity) bytes, \(ring.evictedUnsettledCount) lost; "
                + "\(sampler.registry.subjectCount) subjects in \(sampler.registry.slotCount) slots, "
                + "\(sampler.registry.schemaCount) schemas, \(sampler.files.keptCount) kept files, "
                + "\(sampler.files.failureCount) read errors, last step took "
                + "\(sampler.lastStepNanoseconds / 1_000) us, "
                + "\(skippedBefore + schedule.skippedCount) steps skipped, clock set "
                + "\(schedule.clockJumpCount) times, slept \(schedule.suspendCount) times, "
                + "\(sampler.slowFileCount) slow files read less often")
        if let counters = spool?.counters {
            Diagnostics.info(
                "state: spool: \(counters.droppedFrames) frames not on disk, "
                    + "\(counters.failures) failures")
        }
        for (link, delivery) in zip(links, outbox.deliveries) {
            let counters = delivery.counters
            Diagnostics.info(
                "state: aggregator \(link.address): \(delivery.phase), "
                    + "\(counters.sentFrames) frames and \(counters.sentBytes) bytes sent, "
                    + "\(counters.acknowledgedFrames) acknowledged, \(counters.lostFrames) lost, "
                    + "\(counters.failures) failures, clock skew "
                    + "\(delivery.clockSkewMilliseconds) ms, last end: \(delivery.lastEnd)")
        }
    }

    /// Lets what is on its way arrive, says goodbye, keeps the rest.
    private func leave() {
        if let sampleTimer { loop.cancel(sampleTimer) }
        if let newcomerTimer { loop.cancel(newcomerTimer) }
        send()
        turn { [outbox] in
            outbox.deliveries.allSatisfy { !$0.isStreaming || $0.isSettled(outbox.ring) }
        }
        for link in links { link.leave() }
        turn { [links] in links.allSatisfy { !$0.isConnected } }
        spool?.finish(outbox)
    }

    /// Serves the loop until something holds, for a moment at most.
    private func turn(until isDone: () -> Bool) {
        let deadline = loop.clock.monotonicNanoseconds + Self.farewellNanoseconds
        while !isDone(), loop.clock.monotonicNanoseconds < deadline {
            loop.turn(waitMillisecondsMax: 10)
        }
    }

    // MARK: Randomness

    private static func makeRunID() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = hw_getrandom(&bytes, bytes.count)
        precondition(count == bytes.count, "getrandom: \(count)")
        return bytes
    }

    private static func randomSeed() -> UInt64 {
        var random = SystemRandomNumberGenerator()
        return random.next()
    }

    /// FNV-1a: the same at every start, unlike Swift's own.
    static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }
}

/// Hears that the sampler has something to look at.
private final class NewcomerWatch: ReadinessHandler {
    private let found: () -> Void
    init(_ found: @escaping () -> Void) { self.found = found }
    func ready(_ readiness: Readiness) { found() }
}
