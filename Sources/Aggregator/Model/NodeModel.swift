import Synchronization
import Wire

/// Everything known of one node: current values, subjects, history.
///
/// One thread brings its records (`receive`); any thread reads. The lock is this node's alone and is
/// held for the decoding of one frame, or for the taking of a snapshot.
final class NodeModel: @unchecked Sendable {
    let name: String
    let configuration: ModelConfiguration
    /// Number of the connection that speaks for the node, 0 for none.
    let speaker = Atomic<UInt64>(0)
    private let lock = Lock()
    /// Used under `lock` only.
    private var state = State()

    /// Told of each cycle that a frame brings, under the node's lock: where roll-ups come from.
    typealias CycleObserver = @Sendable (NodeModel.CycleView) -> Void
    private let onCycle: CycleObserver

    init(
        name: String, configuration: ModelConfiguration,
        onCycle: @escaping CycleObserver = { _ in }
    ) {
        self.name = name
        self.configuration = configuration
        self.onCycle = onCycle
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
        var records: [SubjectRecord.Identity: SubjectRecord] = [:]
        /// Chain of the records that come next.
        var selected: ChainID?
        /// Frames of this run that were kept or declared lost.
        var settled = SequenceSet()
        /// Dictionary changes that wait for the frame from which on they hold. A connection can end
        /// between the two; both are sent again then.
        var pending: [PendingChanges] = []
        var counters = Counters()
        var lastTrim: Int64 = .min

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
    }

    /// A frame that closes a cycle of this node, seen under its lock.
    struct CycleView {
        let node: NodeModel
        /// Milliseconds since the epoch, a multiple of the resolution.
        let cycle: Int64
        let chain: OpenChain
    }

    // MARK: What the agent sends

    /// A connection speaks for this node.
    ///
    /// - Returns: a welcome with what it can continue and what need not be sent.
    func begin(_ hello: Hello) -> Welcome {
        lock.withLock {
            state.machine = hello.machine
            state.select(nil)
            if state.runID != hello.runID {
                state.runID = hello.runID
                state.openChains = []
                state.settled = SequenceSet()
            }
            state.openChains.removeAll { $0.decoder.isStale }
            var welcome = Welcome()
            welcome.chains = state.openChains.map {
                Welcome.OpenChain(id: $0.id, nextSequence: $0.nextSequence)
            }
            welcome.settled = state.settled
            return welcome
        }
    }

    func take(_ facts: MachineFacts) { lock.withLock { state.machine = facts } }

    /// Frames that do not exist any more. Those that were kept before do not count.
    func noteGap(_ range: SequenceRange) {
        lock.withLock { state.counters.gapFrames &+= state.settled.insert(range) }
    }

    /// The following records belong to this chain.
    ///
    /// - Throws: `malformed` when it neither begins nor is open.
    func select(_ id: ChainID, begins: Bool) throws(WireError) {
        let isKnown = lock.withLock {
            state.select(id)
            if begins { state.beginChain(id, configuration) }
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
    /// - Throws: what decoding and `FrameLayout` throw. The chain has to begin again.
    func receiveFrame(_ payload: UnsafeRawBufferPointer) throws(WireError) -> FrameHeader {
        try lock.withLock { () throws(WireError) in
            let chain = try state.selectedChain()
            let isKept = state.settled.contains(chain.nextSequence)
            if !isKept { chain.history.continueEmpty(from: chain.decoder) }
            let header: FrameHeader
            do throws(WireError) {
                header = try state.decode(payload, in: chain)
            } catch {
                state.openChains.removeAll { $0 === chain }
                state.select(nil)
                throw error
            }
            if !isKept { try keep(header, payload, in: chain) }
            state.pending.removeAll(keepingCapacity: true)
            chain.nextSequence = header.sequence &+ 1
            return header
        }
    }

    /// Puts a decoded frame, and the changes before it, into the history.
    private func keep(
        _ header: FrameHeader, _ payload: UnsafeRawBufferPointer, in chain: OpenChain
    ) throws(WireError) {
        for change in state.pending {
            change.payload.withUnsafeBytes { chain.history.append(type: .subjects, payload: $0) }
            state.counters.bytes &+= UInt64(change.payload.count)
        }
        chain.history.append(type: .frame, payload: payload)
        chain.history.noteFrame(step: header.stepMilliseconds, sequence: header.sequence)
        state.settled.insert(SequenceRange(header.sequence, header.sequence))
        state.counters.frames &+= 1
        state.counters.samples &+= UInt64(chain.decoder.layout.valueCount)
        state.counters.bytes &+= UInt64(payload.count)
        closeCycle(header, chain)
        try state.trim(now: header.stepMilliseconds, configuration)
    }

    /// Moves rates on when the frame is the last of its cycle, and tells who wants to know.
    private func closeCycle(_ header: FrameHeader, _ chain: OpenChain) {
        let step = header.stepMilliseconds
        let cycle = configuration.cycle(of: step)
        chain.forEachRow { _, subject, row in
            let record = subject.record
            guard step > record.lastStep else { return }
            record.lastStep = step
            guard cycle == step else { return }
            subject.plan.advance(
                &record.rates, cycle: cycle, header: header, row: row,
                start: record.subject.startTimeMilliseconds, resolution: configuration.resolution)
        }
        guard cycle == step else { return }
        onCycle(CycleView(node: self, cycle: cycle, chain: chain))
    }

    // MARK: What readers see

    /// Step of the newest frame, milliseconds since the epoch; `Int64.min` before the first.
    var lastStep: Int64 { read { $0.live?.lastStep ?? .min } }

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
                counters: state.counters, lastStep: state.live?.lastStep ?? .min,
                historyBytes: state.chains.reduce(0) { $0 + $1.reservedByteCount },
                subjects: state.live?.decoder.layout.subjectCount ?? 0)
        }
    }

    /// Looks at the state under the lock: copy what is needed and leave.
    func read<Result>(_ body: (State) -> Result) -> Result {
        lock.withLock { body(state) }
    }

    /// Drops what is older than the window although no frame comes any more.
    func trim(now: Int64) throws(WireError) {
        try lock.withLock { () throws(WireError) in try state.trim(now: now, configuration) }
    }
}

extension NodeModel.State {
    /// The records that come next belong to this chain.
    mutating func select(_ id: ChainID?) {
        selected = id
        pending.removeAll(keepingCapacity: true)
    }

    /// Brings a chain's decoder and subjects to the next frame.
    mutating func decode(
        _ payload: UnsafeRawBufferPointer, in chain: OpenChain
    ) throws(WireError) -> FrameHeader {
        for record in pending {
            for change in record.changes {
                try chain.decoder.apply(change)
                note(change, in: chain)
            }
        }
        let header = try chain.decoder.decode(payload)
        guard header.sequence == chain.nextSequence else {
            throw .sequenceGap(expected: chain.nextSequence, actual: header.sequence)
        }
        return header
    }

    mutating func beginChain(_ id: ChainID, _ configuration: ModelConfiguration) {
        openChains.removeAll { $0.id == id }
        while openChains.count >= configuration.openChains { openChains.removeFirst() }
        let history = HistoryChain(
            runID: runID, number: nextChainNumber, firstSequence: id,
            limits: configuration.limits)
        nextChainNumber += 1
        chains.append(history)
        openChains.append(OpenChain(id: id, history: history, limits: configuration.limits))
    }

    func selectedChain() throws(WireError) -> OpenChain {
        guard let selected, let chain = openChains.first(where: { $0.id == selected }) else {
            throw .malformed(what: "record outside a chain", offset: 0)
        }
        return chain
    }

    /// Keeps the subjects in step with a change that the decoder took.
    mutating func note(_ change: SubjectChange, in chain: OpenChain) {
        switch change {
        case .schema: break
        case .remove(let slot): chain.clear(slot)
        case .add(let slot, let number, let subject):
            let schema = chain.decoder.layout.schema(number) ?? Schema([])
            let parent = subject.parent.flatMap { chain.subject(in: $0)?.record }
            let identity = SubjectRecord.Identity(
                subject: subject, schema: schema, parent: parent)
            let record =
                records[identity]
                ?? SubjectRecord(subject: subject, schema: schema, parent: parent)
            records[identity] = record
            chain.place(record, in: slot, schema: number)
        }
    }

    /// Forgets what is older than the window. At most once a minute of frames: it looks at every
    /// subject.
    mutating func trim(now: Int64, _ configuration: ModelConfiguration) throws(WireError) {
        guard lastTrim == .min || now &- lastTrim >= min(60_000, configuration.window / 10) else {
            return
        }
        lastTrim = now
        let horizon = now &- configuration.window
        for chain in chains { try chain.dropFrames(before: horizon) }
        let open = Set(openChains.map(\.history.number))
        let ended = chains.filter { !open.contains($0.number) && $0.lastStep < horizon }
        for chain in ended {
            for record in records.values { record.forget(chain: chain.number) }
        }
        chains.removeAll { chain in ended.contains { $0 === chain } }
        let liveRecords = Set(
            openChains.flatMap { $0.live.compactMap { $0.map { ObjectIdentifier($0.record) } } })
        records = records.filter {
            $0.value.lastStep >= horizon || liveRecords.contains(ObjectIdentifier($0.value))
        }
    }
}
