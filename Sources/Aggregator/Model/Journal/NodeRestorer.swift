import Wire

/// Builds a node's model from its records in the log.
///
/// Frames before the newest state go into the history as they are; only those after it are decoded,
/// so that the live values, rates and dictionaries are what they were.
final class NodeRestorer {
    /// What could not be taken over.
    struct Losses: Sendable, Equatable {
        /// Frames that need one that is not there.
        var frames = 0
        var records = 0
    }

    let node: NodeModel
    /// What is older need not be in memory, milliseconds since the epoch.
    var horizon: Int64
    /// Records since the newest state.
    private var tail: [UInt8] = []
    /// Records before it that were not taken yet.
    private var ready: [UInt8] = []
    private(set) var losses = Losses()
    private(set) var frames = 0
    /// Chains that the newest state has not named yet.
    private var unnamed: Set<ChainID>?
    /// The newest state is being taken.
    private var isDecoding = false
    /// The node that this one becomes the past of; `nil` where it is the whole.
    private let successor: NodeModel?
    /// Who has what was read, once `finish` was called.
    var restored: NodeModel { successor ?? node }
    /// The first record was a state: nothing from before is needed. `nil` before it.
    private var hasStateFirst: Bool?
    var beganWithState: Bool { hasStateFirst ?? false }

    init(_ node: NodeModel, horizon: Int64, inFrontOf successor: NodeModel? = nil) {
        self.node = node
        self.horizon = horizon
        self.successor = successor
    }

    /// Keeps a record until `work` or `finish`. Quick: the reader of the log calls it.
    func hold(_ record: LogRecord.View) {
        if hasStateFirst == nil { hasStateFirst = record.kind == .nodeState }
        if record.kind == .nodeState {
            if ready.isEmpty { swap(&ready, &tail) } else { ready += tail }
            tail.removeAll(keepingCapacity: true)
        }
        record.append(to: &tail)
    }

    /// Takes what is older than the newest state.
    func work() {
        take(ready)
        ready.removeAll(keepingCapacity: true)
    }

    /// Takes the rest and brings the decoders up to it, or puts all of it in front of what is there.
    func finish() {
        work()
        if let successor { return finish(inFrontOf: successor) }
        isDecoding = true
        take(tail)
        tail = []
        node.restore { state in
            endUnnamed(in: &state)
            // A chain that was not named by the newest state was not brought up to it.
            state.endChains { $0.isBehind }
            state.select(nil)
        }
        ready = []
    }

    private func finish(inFrontOf successor: NodeModel) {
        take(tail)
        tail = []
        ready = []
        node.restore { endUnnamed(in: &$0) }
        successor.adopt(node)
    }

    /// A pod has, or had, a subject on the node.
    private func meet(_ uid: String) { restored.meet(uid) }

    private func take(_ records: [UInt8]) {
        records.withUnsafeBytes { bytes in
            LogRecord.visit(in: bytes) { record in
                do throws(WireError) {
                    try node.restore { (state) throws(WireError) in try take(record, &state) }
                } catch {
                    losses.records += 1
                }
            }
        }
    }

    private func take(
        _ record: LogRecord.View, _ state: inout NodeModel.State
    ) throws(WireError) {
        if record.kind != .chainState { endUnnamed(in: &state) }
        switch record.kind {
        case .nodeState: try take(NodeSnapshot(decoding: record.payload), &state)
        case .chainState: try takeChain(record.payload, &state)
        case .chain: try beginOrEnd(record.payload, &state)
        case .subjects:
            let changes = try DictionaryCodec.decode(
                record.payload, limits: node.configuration.limits)
            state.pending.append(
                NodeModel.PendingChanges(payload: Array(record.payload), changes: changes))
        case .frame: try take(FrameEntry(decoding: record.payload), &state)
        case .gap:
            let range = try SequenceRange(decoding: record.payload)
            state.counters.gapFrames &+= state.settled.insert(range)
        case .facts: state.machine = try MachineFacts(decoding: record.payload)
        case .node, .metadata, .cycle, .cyclePart, .batchBegin, .batchEnd, .continuation,
            .departure:
            break
        }
    }

    // MARK: States

    private func take(_ snapshot: NodeSnapshot, _ state: inout NodeModel.State) {
        if state.runID != snapshot.runID {
            state.endChains { _ in true }
            state.runID = snapshot.runID
        }
        state.machine = snapshot.machine
        state.settled = snapshot.settled
        state.counters = snapshot.counters
        state.cycle.restore(counted: snapshot.counted)
        state.select(nil)
        node.noteStep(snapshot.newestStep)
        unnamed = Set(state.openChains.map(\.id))
    }

    /// The chains that a state does not name were ended before it.
    private func endUnnamed(in state: inout NodeModel.State) {
        guard let unnamed else { return }
        self.unnamed = nil
        state.endChains { unnamed.contains($0.id) }
    }

    private func takeChain(
        _ payload: UnsafeRawBufferPointer, _ state: inout NodeModel.State
    ) throws(WireError) {
        let head = try ChainSnapshot.Head(decoding: payload)
        if let index = state.openChains.firstIndex(where: {
            $0.id == head.id && $0.nextSequence == head.nextSequence
        }) {
            let chain = state.openChains.remove(at: index)
            state.openChains.append(chain)
            unnamed?.remove(head.id)
            let isOld = chain.history.lastStep < horizon
            guard isDecoding || isOld else { return }
            let snapshot = try ChainSnapshot(
                decoding: payload, limits: node.configuration.limits, interner: state.interner,
                isKnown: true)
            if isOld { chain.history.rebase(snapshot.decoderState, before: head.nextSequence) }
            if isDecoding {
                chain.restore(snapshot.decoder)
                chain.restoreReadings(snapshot)
            }
            return
        }
        // Ends one of that number that lacks frames.
        let snapshot = try ChainSnapshot(
            decoding: payload, limits: node.configuration.limits, interner: state.interner,
            isKnown: false)
        state.beginChain(snapshot.id, node.configuration, node.layoutClock)
        unnamed?.remove(head.id)
        guard let chain = state.openChains.last else { return }
        chain.history.rebase(snapshot.decoderState, before: head.nextSequence)
        chain.restore(snapshot.decoder)
        chain.nextSequence = snapshot.nextSequence
        var records: [SubjectRecord] = []
        var pods: Set<String> = []
        for (entry, place) in zip(snapshot.entries, snapshot.places) {
            let parent = entry.parent.map { records[$0] }
            let record = state.record(of: entry.subject, entry.schema, parent, in: chain)
            records.append(record)
            guard let place else { continue }
            chain.place(
                record, in: place.slot, schema: entry.schema, firstSequence: place.firstSequence)
            if let pod = entry.subject[.podUID], pods.insert(pod).inserted { meet(pod) }
        }
        chain.restoreReadings(snapshot)
    }

    // MARK: What was appended

    private func beginOrEnd(
        _ payload: UnsafeRawBufferPointer, _ state: inout NodeModel.State
    ) throws(WireError) {
        var reader = ByteReader(payload)
        let id = try reader.varint()
        switch try reader.byte() {
        case NodeJournal.begun: state.beginChain(id, node.configuration, node.layoutClock)
        case NodeJournal.ended: state.endChains { $0.id == id }
        default: throw .malformed(what: "chain", offset: reader.offset)
        }
    }

    private func take(
        _ entry: FrameEntry, _ state: inout NodeModel.State
    ) throws(WireError) {
        defer { state.pending.removeAll(keepingCapacity: true) }
        guard let index = state.openChains.firstIndex(where: { $0.id == entry.chain }) else {
            losses.frames += 1
            return
        }
        let chain = state.openChains.remove(at: index)
        state.openChains.append(chain)
        do throws(WireError) {
            guard entry.sequence == chain.nextSequence else {
                throw .sequenceGap(expected: chain.nextSequence, actual: entry.sequence)
            }
            guard entry.changeCount == state.pending.count else {
                throw .malformed(what: "dictionary changes", offset: 0)
            }
            try take(entry, &state, chain)
        } catch {
            losses.frames += 1
            state.endChains { $0 === chain }
        }
    }

    private func take(
        _ entry: FrameEntry, _ state: inout NodeModel.State, _ chain: OpenChain
    ) throws(WireError) {
        let isRepeated = entry.flags.contains(.isRepeated)
        let isPlausible = !entry.flags.contains(.isImplausible)
        if !isRepeated, !chain.isBehind { chain.history.continueEmpty(from: chain.decoder) }
        var header: FrameHeader?
        if isDecoding || isRepeated {
            guard !chain.isBehind else {
                throw .sequenceGap(expected: entry.sequence, actual: 0)
            }
            header = try state.decode(entry.frame, in: chain) { meet($0) }
        } else {
            for record in state.pending {
                for change in record.changes {
                    try chain.decoder.apply(change)
                    if let pod = state.note(change, in: chain) { meet(pod) }
                }
            }
            chain.skip(to: entry.step)
        }
        chain.nextSequence = entry.sequence &+ 1
        guard !isRepeated else { return }
        frames += 1
        state.append(entry.frame, step: entry.step, to: chain)
        state.settled.insert(SequenceRange(entry.sequence, entry.sequence))
        if isPlausible { node.noteStep(entry.step) }
        let cycle = node.configuration.cycle(of: entry.step)
        if let header, cycle == entry.step {
            state.cycle.replay(
                cycle, header, chain, among: state.openChains,
                resolution: node.configuration.resolution, cores: state.machine.coreCount,
                isSummed: isPlausible)
        }
    }
}
