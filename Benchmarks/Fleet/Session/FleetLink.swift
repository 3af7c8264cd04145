import Wire

/// One node's connection to the aggregator: the agent's half of the protocol, fed from a `FrameLog`.
///
/// ```
///  idle ──connect()──> connecting ──opened──> greeting ──welcome──> streaming
///   ^                      └──────── closed, rejected, disconnect() ────┘
///   └───── after a pause: connects again as long as `isWanted` ─────────┘
/// ```
/// Unacknowledged frames are sent again after a reconnect, as far as the log still has them.
final class FleetLink: StreamConnectionDelegate {
    private enum State { case idle, connecting, greeting, streaming }

    /// Who the node is and how its dictionary differs from the log's.
    struct Identity {
        let nodeName: String
        let runID: [UInt8]
        /// Shared by all agents, where the aggregator wants one.
        let token: String?
        /// Puts the node's own names into a subject.
        let stamp: (Subject) -> Subject
    }

    let identity: Identity
    let log: FrameLog
    /// Called when a frame was acknowledged.
    var onAcknowledged: (() -> Void)?
    private(set) var acknowledged: UInt64 = 0
    /// What the aggregator has said is kept.
    private var promised = SequenceSet()
    private(set) var resolutionMilliseconds: Int64 = 0
    /// What the log has is sent to an aggregator that has nothing, however much it is.
    private let bringsAll: Bool
    private let target: FleetTarget
    private let loop: EventLoop
    private let box: CounterBox
    private var state = State.idle
    private var connection: StreamConnection?
    private var retry: TimerID?
    private var retryMilliseconds: UInt64 = 0
    private var isWanted = false
    private var selected: ChainID?
    private var nextSequence: UInt64 = 1
    private var acks = RecordStream(payloadLimit: 65_536)
    private var buffer: [UInt8] = []

    private static let outputLimit = 8 << 20
    /// Frames are handed to the connection until so much waits in it.
    private static let outputWanted = 1 << 20
    /// A chain that began this many frames ago is still followed from its beginning by a node that
    /// comes new; for an older one it is cheaper to begin another.
    private static let followedFrames: UInt64 = 30
    private static let settledRangesMax = 256
    private static let changesPerRecord = 1_000

    init(
        _ identity: Identity, log: FrameLog, target: FleetTarget, loop: EventLoop,
        box: CounterBox, bringsAll: Bool = false
    ) {
        self.bringsAll = bringsAll
        self.identity = identity
        self.log = log
        self.target = target
        self.loop = loop
        self.box = box
    }

    var isStreaming: Bool { state == .streaming }

    /// Connects and stays connected until `disconnect`.
    func connect() {
        isWanted = true
        guard state == .idle else { return }
        state = .connecting
        do throws(TransportError) {
            let connection = StreamConnection(
                try target.stream(), loop: loop, inputByteCountMax: 65_536,
                outputByteCountMax: Self.outputLimit, delegate: self)
            self.connection = connection
            try connection.start()
        } catch {
            connection?.stream.close()
            connection = nil
            state = .idle
            note("\(error)")
            scheduleRetry()
        }
    }

    /// Says goodbye and stays away until `connect`.
    func disconnect() {
        isWanted = false
        if let retry { loop.cancel(retry) }
        retry = nil
        guard let connection else { return }
        if state == .streaming {
            buffer.removeAll(keepingCapacity: true)
            Record(type: .goodbye, payload: Farewell(.shutdown, "").encode()).encode(into: &buffer)
            // The goodbye is a courtesy; the connection ends all the same.
            _ = connection.output.append(buffer)
        }
        connection.flush()
        connection.close()
    }

    /// Ends the connection without a word, as a node that loses power does, and stays away until
    /// `connect`.
    func cut() {
        isWanted = false
        connection?.close()
    }

    /// Sends what is there and was not sent.
    func pump() {
        guard state == .streaming, let connection else { return }
        skipWhatIsLost(connection)
        while connection.output.count < Self.outputWanted, let step = log[nextSequence] {
            buffer.removeAll(keepingCapacity: true)
            if selected != step.chain { select(step) }
            appendChanges(step.changes)
            buffer.append(contentsOf: step.record)
            guard connection.output.append(buffer) else { break }
            selected = step.chain
            nextSequence += 1
            box.counters.framesSent += 1
            box.counters.samplesSent += UInt64(step.sampleCount)
            box.counters.bytesSent += UInt64(buffer.count)
        }
        connection.flush()
    }

    /// Frames that left the log before they were sent are declared lost; only a new chain helps.
    private func skipWhatIsLost(_ connection: StreamConnection) {
        guard nextSequence < log.oldest else { return }
        let gap = SequenceRange(nextSequence, log.newest)
        buffer.removeAll(keepingCapacity: true)
        Record(type: .gap, payload: gap.encode()).encode(into: &buffer)
        guard connection.output.append(buffer) else { return }
        box.counters.framesLost += gap.last - gap.first + 1
        nextSequence = log.newest + 1
        log.needsNewChain = true
    }

    private func select(_ step: FrameLog.Step) {
        var payload: [UInt8] = []
        Varint.append(step.chain, to: &payload)
        if step.beginsChain { box.counters.chainsBegun += 1 }
        Record(type: .chain, flags: step.beginsChain ? .begins : [], payload: payload)
            .encode(into: &buffer)
    }

    private func appendChanges(_ changes: [SubjectChange]) {
        var rest = changes[...]
        while !rest.isEmpty {
            var payload: [UInt8] = []
            for change in rest.prefix(Self.changesPerRecord) {
                if case .add(let slot, let schema, let subject) = change {
                    DictionaryCodec.encode(
                        .add(slot, schema, identity.stamp(subject)), into: &payload)
                } else {
                    DictionaryCodec.encode(change, into: &payload)
                }
            }
            rest = rest.dropFirst(Self.changesPerRecord)
            Record(type: .subjects, payload: payload).encode(into: &buffer)
        }
    }

    // MARK: StreamConnectionDelegate

    func opened(_ connection: StreamConnection) {
        state = .greeting
        var hello = Hello(nodeName: identity.nodeName, runID: identity.runID)
        hello.agentVersion = "heapwire-fleet"
        hello.clockMilliseconds = loop.clock.realtimeNanoseconds / 1_000_000
        hello.oldestSequence = log.oldest
        hello.newestSequence = log.newest
        hello.machine.cores = 16
        hello.machine.memoryBytes = 64 << 30
        if let token = identity.token { hello.credential = .sharedToken(token) }
        buffer.removeAll(keepingCapacity: true)
        buffer.append(contentsOf: Hello.preface)
        Record(type: .hello, payload: hello.encode()).encode(into: &buffer)
        // The queue is empty and far larger than a hello.
        _ = connection.output.append(buffer)
        acks = RecordStream(payloadLimit: 65_536)
    }

    func received(_ bytes: UnsafeRawBufferPointer, on connection: StreamConnection) -> Int {
        acks.append(bytes)
        do throws(WireError) {
            while try acks.next({ (type, _, payload) throws(WireError) in
                try take(type, payload)
            }) {}
        } catch {
            note("unintelligible answer: \(error)")
            connection.close()
        }
        if state == .streaming { pump() }
        return bytes.count
    }

    func outputDrained(_ connection: StreamConnection) { pump() }

    func inputEnded(_ connection: StreamConnection) { connection.close() }

    func closed(_ connection: StreamConnection, error: TransportError?) {
        if state == .streaming {
            box.counters.connected -= 1
            box.counters.disconnects += 1
        }
        if let error { note("\(error)") }
        state = .idle
        self.connection = nil
        if isWanted { scheduleRetry() }
    }

    // MARK: Answers

    private func take(
        _ type: RecordType, _ payload: UnsafeRawBufferPointer
    ) throws(WireError) {
        switch type {
        case .welcome: follow(try Welcome(decoding: payload))
        case .ack: acknowledge(try SequenceRange(decoding: payload))
        case .reject, .goodbye:
            let farewell = try Farewell(decoding: payload)
            note("\(farewell.code): \(farewell.words)")
            retryMilliseconds = max(retryMilliseconds, farewell.retryAfterMilliseconds)
        default: throw .malformed(what: "record for an agent", offset: 0)
        }
    }

    /// Finds the frame to go on with.
    private func follow(_ welcome: Welcome) {
        resolutionMilliseconds = Int64(clamping: welcome.resolutionMilliseconds)
        selected = nil
        for range in welcome.settled.ranges { promised.insert(range) }
        // Numbers that only the promise has; a welcome names at most so many ranges.
        if welcome.settled.ranges.count < Self.settledRangesMax {
            box.counters.framesForgotten += promised.count - welcome.settled.count
        }
        promised = welcome.settled
        if let open = welcome.chains.first(where: { $0.id == log.chain }) {
            nextSequence = open.nextSequence
        } else if bringsAll, welcome.settled.ranges.isEmpty, log.chain == 1, log.oldest == 1 {
            nextSequence = 1
        } else if log.newest == 0 || log.newest - log.chain < Self.followedFrames {
            nextSequence = max(1, log.chain)
        } else {
            nextSequence = log.newest + 1
            log.needsNewChain = true
        }
        state = .streaming
        retryMilliseconds = 0
        box.counters.connected += 1
        box.counters.connects += 1
    }

    private func acknowledge(_ range: SequenceRange) {
        let now = loop.clock.monotonicNanoseconds
        var sequence = max(range.first, acknowledged + 1, log.oldest)
        while sequence <= min(range.last, log.newest) {
            if let step = log[sequence] {
                box.counters.framesAcknowledged += 1
                box.counters.samplesAcknowledged += UInt64(step.sampleCount)
                box.counters.latency.add(
                    nanoseconds: now > step.takenNanoseconds ? now - step.takenNanoseconds : 0)
            }
            sequence += 1
        }
        acknowledged = max(acknowledged, range.last)
        promised.insert(range)
        onAcknowledged?()
    }

    private func note(_ words: String) { box.counters.rejects[words, default: 0] += 1 }

    private func scheduleRetry() {
        let timer =
            retry
            ?? loop.makeTimer { [weak self] in
                guard let self, self.isWanted else { return }
                self.connect()
            }
        retry = timer
        // Doubling from 0.1 s to 5 s, half of it random, so that thousands do not come at once.
        retryMilliseconds = min(max(100, retryMilliseconds * 2), 5_000)
        let half = retryMilliseconds / 2
        let delay = half + UInt64.random(in: 0...half)
        loop.schedule(timer, afterNanoseconds: delay * 1_000_000)
    }
}
