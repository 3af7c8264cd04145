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
        /// In the order of their beginning; the newest is last.
        var openChains: [OpenChain] = []
        /// All chains that history still has, the open ones among them.
        var chains: [HistoryChain] = []
        var nextChainNumber = 0
        var records: [SubjectRecord.Identity: SubjectRecord] = [:]
        /// Chain of the records that come next.
        var selected: ChainID?
        var counters = Counters()
        var lastTrim: Int64 = .min

        /// The chain with the newest frame.
        var live: OpenChain? {
            openChains.max { $0.lastStep < $1.lastStep }.flatMap {
                $0.decoder.isStale ? nil : $0
            }
        }
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

    /// A connection speaks for this node: what it can continue.
    func begin(_ hello: Hello) -> [Welcome.OpenChain] {
        lock.withLock {
            state.machine = hello.machine
            state.selected = nil
            if state.runID != hello.runID {
                state.runID = hello.runID
                state.openChains = []
            }
            state.openChains.removeAll { $0.decoder.isStale }
            return state.openChains.map {
                Welcome.OpenChain(id: $0.id, nextSequence: $0.nextSequence)
            }
        }
    }

    func take(_ facts: MachineFacts) { lock.withLock { state.machine = facts } }

    func noteGap(_ range: SequenceRange) {
        lock.withLock { state.counters.gapFrames &+= range.last &- range.first &+ 1 }
    }

    /// The following records belong to this chain.
    ///
    /// - Throws: `malformed` when it neither begins nor is open.
    func select(_ id: ChainID, begins: Bool) throws(WireError) {
        let isKnown = lock.withLock {
            state.selected = id
            if !begins { return state.openChains.contains { $0.id == id } }
            state.beginChain(id, configuration)
            return true
        }
        guard isKnown else { throw .malformed(what: "chain that was not begun", offset: 0) }
    }

    /// Changes of the selected chain's dictionary.
    ///
    /// - Throws: what decoding and `FrameLayout` throw. The chain is of no use afterwards.
    func receiveSubjects(_ payload: UnsafeRawBufferPointer) throws(WireError) {
        let changes = try DictionaryCodec.decode(payload, limits: configuration.limits)
        try lock.withLock { () throws(WireError) in
            let chain = try state.selectedChain()
            for change in changes {
                try chain.decoder.apply(change)
                state.note(change, in: chain)
            }
            chain.history.append(type: .subjects, payload: payload)
            state.counters.bytes &+= UInt64(payload.count)
        }
    }

    /// A frame of the selected chain; returns its number, to be acknowledged.
    ///
    /// - Throws: what decoding throws. The chain is of no use until it begins again.
    func receiveFrame(_ payload: UnsafeRawBufferPointer) throws(WireError) -> FrameHeader {
        try lock.withLock { () throws(WireError) in
            let chain = try state.selectedChain()
            let header = try chain.decoder.decode(payload)
            chain.history.append(type: .frame, payload: payload)
            chain.history.noteFrame(step: header.stepMilliseconds, sequence: header.sequence)
            chain.nextSequence = header.sequence &+ 1
            state.counters.frames &+= 1
            state.counters.samples &+= UInt64(chain.decoder.layout.valueCount)
            state.counters.bytes &+= UInt64(payload.count)
            closeCycle(header, chain)
            try state.trim(now: header.stepMilliseconds, configuration)
            return header
        }
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
