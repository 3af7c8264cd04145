import Synchronization
import Wire

/// Everything known of one node: current values, subjects, history.
///
/// One thread brings its records (`receive`); any thread reads. The lock is this node's alone and is
/// held for the decoding of one frame, or for the taking of a snapshot.
final class NodeModel: @unchecked Sendable {
    let name: String
    let configuration: ModelConfiguration
    /// Step of the newest frame that came, milliseconds since the epoch; read without the lock.
    private let newestStep = Atomic<Int64>(.min)
    /// Ticks with every change of the subjects of any node.
    let layoutClock: LayoutClock
    let clock: ClusterClock
    /// The newest step less the time at which it came, milliseconds; `Int64.min` before the first.
    let skew = Atomic<Int64>(.min)
    /// Who waits for closed cycles.
    private let cycles: CycleFeed
    /// Number of the connection that speaks for the node, 0 for none.
    let speaker = Atomic<UInt64>(0)
    /// Frames that came, kept or not; whether any came is seen by whether it grew.
    let arrivals = Atomic<UInt64>(0)
    /// Questions that the history was read for.
    let questions = Atomic<UInt64>(0)
    /// Milliseconds of history that are kept: less than the configured while memory is short.
    let shortenedWindow = Atomic<Int64>(.max)
    /// What may be added while memory is short.
    let gate: MemoryGate
    private let lock = Lock()
    /// Used under `lock` only.
    private var state: State

    /// Where pods that are met for the first time are noted, and those that are forgotten.
    let podNodes: PodNodes
    /// Where everything goes that is taken; `nil` without `--data-dir`. Set before the first record.
    private var journal: NodeJournal?

    init(
        name: String, configuration: ModelConfiguration, rollUps: RollUps, podNodes: PodNodes,
        facts: any PodFactsSource, layoutClock: LayoutClock, interner: ModelInterner,
        cycles: CycleFeed, gate: MemoryGate, clock: ClusterClock = ClusterClock()
    ) {
        self.clock = clock
        self.name = name
        self.gate = gate
        self.configuration = configuration
        self.podNodes = podNodes
        self.layoutClock = layoutClock
        self.cycles = cycles
        state = State(cycle: NodeCycle(rollUps: rollUps, facts: facts), interner: interner)
        // Nodes that begin together need not trim together.
        state.trimPhase = Int64(truncatingIfNeeded: UInt64(bitPattern: Int64(name.hashValue)) >> 1)
    }

    /// What the lock protects.
    struct State {
        var runID: [UInt8] = []
        var machine = MachineFacts()
        /// In the order of their last use; the latest is last.
        var openChains: [OpenChain] = []
        /// All chains that history still has, the open ones among them.
        var chains: [HistoryChain] = []
        var nextChainNumber = 0
        var records = SubjectRecords()
        /// Chain of the records that come next.
        var selected: ChainID?
        /// Frames of this run that were kept or declared lost.
        var settled = SequenceSet()
        /// Dictionary changes that wait for the frame from which on they hold. A connection can end
        /// between the two; both are sent again then.
        var pending: [PendingChanges] = []
        var counters = Counters()
        var cycle: NodeCycle
        let interner: ModelInterner
        /// Copies of cycles that somebody has yet to read, oldest first; two at most.
        var captures: [CycleRows] = []
        /// The time, in trim intervals, of the last trim.
        var lastTrim: Int64 = .min
        var trimPhase: Int64 = 0
        /// Live subjects as of the newest frame that was kept.
        var subjectCount = 0

        /// The chain with the newest frame.
        var live: OpenChain? {
            openChains.max { $0.lastStep < $1.lastStep }.flatMap {
                $0.decoder.isStale ? nil : $0
            }
        }
    }

    /// A `subjects` record and what it says.
    struct PendingChanges {
        let payload: [UInt8]
        let changes: [SubjectChange]
    }

    struct Counters: Sendable {
        var frames: UInt64 = 0
        var samples: UInt64 = 0
        var bytes: UInt64 = 0
        /// Frames that the agent declared lost.
        var gapFrames: UInt64 = 0
        /// Histories that could not be decoded any more and were dropped.
        var brokenHistories: UInt64 = 0
    }

    // MARK: What the agent sends

    /// A connection speaks for this node.
    ///
    /// - Returns: a welcome with what it can continue and what need not be sent.
    func begin(_ hello: Hello) -> Welcome {
        journaled { journal in
            state.select(nil)
            if state.runID != hello.runID {
                state.runID = hello.runID
                state.endChains { _ in true }
                state.settled = SequenceSet()
                journal?.beginAnew()
            }
            take(hello.machine, journal)
            for chain in state.openChains where chain.decoder.isStale {
                prepare(journal)
                journal?.end(chain.id)
            }
            state.endChains { $0.decoder.isStale }
            var welcome = Welcome()
            welcome.chains = state.openChains.map {
                Welcome.OpenChain(id: $0.id, nextSequence: $0.nextSequence)
            }
            welcome.settled = state.settled
            return welcome
        }
    }

    func take(_ facts: MachineFacts) { journaled { take(facts, $0) } }

    private func take(_ facts: MachineFacts, _ journal: NodeJournal?) {
        guard state.machine != facts else { return }
        prepare(journal)
        state.machine = facts
        journal?.append(facts)
    }

    /// Frames that do not exist any more. Those that were kept before do not count.
    func noteGap(_ range: SequenceRange) {
        journaled { journal in
            prepare(journal)
            state.counters.gapFrames &+= state.settled.insert(range)
            journal?.append(range)
        }
    }

    /// The following records belong to this chain.
    ///
    /// - Throws: `malformed` when it neither begins nor is open.
    func select(_ id: ChainID, begins: Bool) throws(WireError) {
        let isKnown = journaled { journal in
            state.select(id)
            if begins {
                prepare(journal)
                journal?.begin(id)
                state.beginChain(id, configuration, layoutClock)
            }
            layoutClock.tick()
            guard let index = state.openChains.firstIndex(where: { $0.id == id }) else {
                return false
            }
            state.openChains.append(state.openChains.remove(at: index))
            return true
        }
        guard isKnown else { throw .malformed(what: "chain that was not begun", offset: 0) }
    }

    /// Changes of the selected chain's dictionary, which hold from the next frame on.
    ///
    /// - Throws: `truncated`, `malformed`, `limitExceeded`. The selected chain stays as it was.
    func receiveSubjects(_ payload: UnsafeRawBufferPointer) throws(WireError) {
        let limits = configuration.limits
        let changes = try DictionaryCodec.decode(payload, limits: limits)
        try lock.withLock { () throws(WireError) in
            _ = try state.selectedChain()
            let waiting = state.pending.reduce(payload.count) { $0 + $1.payload.count }
            // A whole dictionary and its replacement fit.
            let limit = 2 * (limits.dictionaryBytes + limits.subjects * 16)
            guard waiting <= limit else {
                throw .limitExceeded(what: "dictionary changes", actual: waiting, limit: limit)
            }
            state.pending.append(PendingChanges(payload: Array(payload), changes: changes))
        }
    }

    /// A frame of the selected chain; returns its number, to be acknowledged. A frame that was kept
    /// before, on another chain, is decoded for those that follow and not kept again.
    ///
    /// - Parameter now: the clock, milliseconds since the epoch. A frame from so far in the future
    ///   that the node's clock must be wrong is kept, but counts neither for the roll-ups nor for
    ///   what the newest cycle is: one such node must not make all others look stale.
    /// - Throws: what decoding and `FrameLayout` throw. The chain has to begin again.
    func receiveFrame(
        _ payload: UnsafeRawBufferPointer, now: Int64 = .max
    ) throws(WireError) -> FrameHeader {
        try journaled { (journal) throws(WireError) in
            let chain = try state.selectedChain()
            prepare(journal)
            let isKept = state.settled.contains(chain.nextSequence)
            if !isKept { chain.history.continueEmpty(from: chain.decoder) }
            state.capture(chain, configuration.resolution, for: cycles)
            let header: FrameHeader
            do throws(WireError) {
                header = try state.decode(payload, in: chain) { podNodes.insert($0, on: self) }
            } catch {
                journal?.end(chain.id)
                state.endChains { $0 === chain }
                state.select(nil)
                throw error
            }
            let step = header.stepMilliseconds
            var flags: FrameEntry.Flags = isKept ? [.isRepeated] : []
            if step > now, step &- now > configuration.clockTolerance {
                flags.insert(.isImplausible)
            }
            journal?.append(
                FrameEntry(
                    flags: flags, chain: chain.id, sequence: header.sequence, step: step,
                    changeCount: state.pending.count, frame: payload),
                state.pending)
            if isKept {
                chain.framesBefore = state.counters.frames
            } else {
                keep(header, payload, in: chain, now: now, isPlausible: flags.isEmpty)
                if gate.level != .open {
                    // Where the agent has begun anew the chain before has nothing of the present any more.
                    let begins = header.sequence == chain.id && state.live === chain
                    state.endIdleChains(after: begins ? 0 : Self.framesUntilIdleInNeed)
                }
            }
            chain.followUsage()
            state.pending.removeAll(keepingCapacity: true)
            chain.nextSequence = header.sequence &+ 1
            arrivals.wrappingAdd(1, ordering: .relaxed)
            return header
        }
    }

    /// Frames of others after which a chain is idle while memory is short.
    private static let framesUntilIdleInNeed: UInt64 = 3

    /// Puts a decoded frame, and the changes before it, into the history.
    private func keep(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, in chain: OpenChain, now: Int64,
        isPlausible: Bool
    ) {
        let step = header.stepMilliseconds
        state.append(payload, step: step, to: chain)
        state.settled.insert(SequenceRange(header.sequence, header.sequence))
        if isPlausible {
            if now != .max, step > lastStep { skew.store(step &- now, ordering: .relaxed) }
            noteStep(step)
        }
        let cycle = configuration.cycle(of: step)
        if cycle == step {
            let mended = state.cycle.close(
                cycle, header, chain, among: state.openChains,
                resolution: configuration.resolution, cores: state.machine.coreCount,
                isSummed: isPlausible,
                isPresent: clock.isPresent(
                    step, now: now, resolution: configuration.resolution))
            if isPlausible { cycles.note(cycle, closedBy: self) }
            if let mended { cycles.noteMended(mended, of: self) }
        }
        // A clock that is far ahead must not make the node's own history look old.
        let time = isPlausible ? step : now
        podNodes.remove(state.trim(now: time, window: historyWindow, configuration), from: self)
    }

    // MARK: The log

    /// Runs `body` under the lock; what it appends to the log is in one batch.
    private func journaled<Result, Failure: Error>(
        _ body: (NodeJournal?) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        guard let journal else {
            return try lock.withLock { () throws(Failure) in try body(nil) }
        }
        return try journal.stripe.withLock { () throws(Failure) in
            try lock.withLock { () throws(Failure) in try body(journal) }
        }
    }

    /// The log needs the state before what comes next.
    private func prepare(_ journal: NodeJournal?) {
        guard let journal, journal.isBehind else { return }
        journal.prepare(state, newestStep: lastStep)
    }

    /// Appends to this log from now on. Before the first record.
    func attach(_ writer: LogWriter) { journal = NodeJournal(writer: writer, name: name) }

    /// Where the node's newest record ends in the log; 0 without a log. By the thread that brings its
    /// records.
    var logPosition: UInt64 { journal?.position ?? 0 }

    /// Lets the log put the state back, before the first record.
    func restore<Result, Failure: Error>(
        _ body: (inout State) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try lock.withLock { () throws(Failure) in try body(&state) }
    }

    /// A frame of this step counts for what the newest is.
    func noteStep(_ step: Int64) {
        if step > newestStep.load(ordering: .relaxed) {
            newestStep.store(step, ordering: .releasing)
        }
    }

    /// A pod has, or had, a subject on this node.
    func meet(_ uid: String) { podNodes.insert(uid, on: self) }

    // MARK: What readers see

    /// Step of the newest frame, milliseconds since the epoch; `Int64.min` before the first. Does
    /// not take the lock.
    var lastStep: Int64 { newestStep.load(ordering: .acquiring) }

    struct Statistics: Sendable {
        var counters = Counters()
        var lastStep: Int64 = .min
        /// Memory of the encoded history.
        var historyBytes = 0
        /// Live subjects.
        var subjects = 0
    }

    var statistics: Statistics {
        read { state in
            Statistics(
                counters: state.counters, lastStep: lastStep,
                historyBytes: state.chains.reduce(0) { $0 + $1.reservedByteCount },
                subjects: state.live?.decoder.layout.subjectCount ?? 0)
        }
    }

    /// Looks at the state under the lock: copy what is needed and leave.
    func read<Result>(_ body: (State) -> Result) -> Result {
        lock.withLock { body(state) }
    }

    /// Changes the state under the lock; for the parts of the model in other files.
    func change<Result>(_ body: (inout State) -> Result) -> Result {
        lock.withLock { body(&state) }
    }
}
