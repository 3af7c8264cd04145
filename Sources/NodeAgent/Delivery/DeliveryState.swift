import Wire

/// The agent's half of the protocol with one aggregator: times and bytes in, bytes and wishes out.
/// No socket, no clock, no randomness of its own.
///
/// ```
///  waiting ──time──> connecting ──connected()──> greeting ──welcome──> streaming
///     ^                  │                           │                     │
///     └──── back-off ────┴── failed, too late ───────┴── closed, no ack ───┘
/// ```
/// What was acknowledged, and what was lost, outlives the connection.
struct DeliveryState {
    enum Phase: Equatable {
        case waiting(until: UInt64)
        case connecting(deadline: UInt64)
        case greeting(deadline: UInt64)
        case streaming
    }

    /// What the owner of the socket has to do.
    enum Command: Equatable {
        case nothing
        /// Look the name up and try an address; then `connected`, `nextAddress` or `disconnected`.
        case connect
        /// Close the connection, then `nextAddress` or `disconnected`.
        case close
    }

    var settings: DeliverySettings
    private(set) var phase: Phase
    private(set) var counters = Counters()
    /// Frames that this aggregator has, or knows to be lost.
    private(set) var acknowledged = SequenceSet()
    /// What the last welcome said.
    private(set) var welcome: Welcome?
    /// The aggregator's clock minus ours at the last welcome, milliseconds.
    private(set) var clockSkewMilliseconds: Int64 = 0
    /// Why the last connection ended, in words; empty before the first end.
    private(set) var lastEnd = ""

    private var backOff: BackOff
    private var plan: SendPlan?
    private var inFlight = SequenceSet()
    /// When the last acknowledgement came, or the first frame after all were acknowledged was sent.
    private var lastProgress: UInt64 = 0
    private var streamingSince: UInt64 = 0
    private var acknowledgedSinceWelcome = false
    private var backlogDue: UInt64 = 0
    /// Set when the conversation is over from our side or theirs.
    private var end: End?
    /// Frames below it were looked at when they were evicted.
    private var evictedEnd: UInt64 = 1

    private struct End {
        var words: String
        var waitAtLeast: UInt64
    }

    struct Counters: Equatable {
        var connections: UInt64 = 0
        var failures: UInt64 = 0
        var sentFrames: UInt64 = 0
        var sentBytes: UInt64 = 0
        var acknowledgedFrames: UInt64 = 0
        /// Frames that the ring had to give up before this aggregator had them.
        var lostFrames: UInt64 = 0
    }

    /// - Parameters:
    ///   - seed: of the back-off.
    ///   - now: nanoseconds of the same clock as everywhere below; the first attempt is due at once.
    init(settings: DeliverySettings, seed: UInt64, now: UInt64) {
        self.settings = settings
        backOff = BackOff(seed: seed)
        phase = .waiting(until: now)
    }

    /// Continues what an earlier process of the same run has reached.
    ///
    /// - Parameter ring: what it has left; losses before its oldest frame were counted already.
    mutating func restore(acknowledged: SequenceSet, ring: ResendRing) {
        self.acknowledged = acknowledged
        self.acknowledged.formUnion(ring.voids)
        evictedEnd = ring.oldest
    }

    var isStreaming: Bool { phase == .streaming }

    /// Whether the next frame should be a key frame.
    func wantsKey(_ ring: ResendRing) -> Bool { plan?.wantsKey(ring) ?? false }

    /// When `tick` or `fill` has something to do next, nanoseconds; `nil`: when something happens.
    var nextDeadline: UInt64? {
        if end != nil { return 0 }
        switch phase {
        case .waiting(let until): return until
        case .connecting(let deadline), .greeting(let deadline): return deadline
        case .streaming:
            var deadline = inFlight.isEmpty ? nil : acknowledgementDue
            if let plan, plan.hasBacklog, mayFly { deadline = min(deadline ?? .max, backlogDue) }
            return deadline
        }
    }

    private var acknowledgementDue: UInt64 {
        lastProgress &+ settings.acknowledgementNanoseconds
    }

    private var mayFly: Bool { inFlight.count < settings.inFlightFrameMax }

    // MARK: Connection

    /// Looks at the time.
    mutating func tick(now: UInt64) -> Command {
        switch phase {
        case .waiting(let until):
            guard now >= until else { return .nothing }
            phase = .connecting(deadline: now &+ settings.connectNanoseconds)
            return .connect
        case .connecting(let deadline):
            guard end == nil else { return .close }
            guard now >= deadline else { return .nothing }
            finish("no connection within \(Self.seconds(settings.connectNanoseconds))")
        case .greeting(let deadline):
            guard end == nil else { return .close }
            guard now >= deadline else { return .nothing }
            finish("no welcome within \(Self.seconds(settings.greetingNanoseconds))")
        case .streaming:
            guard end == nil else { return .close }
            guard !inFlight.isEmpty, now >= acknowledgementDue else { return .nothing }
            finish(
                "nothing was acknowledged for "
                    + Self.seconds(settings.acknowledgementNanoseconds))
        }
        return .close
    }

    /// An address did not answer, and the next one is tried.
    mutating func nextAddress(now: UInt64) {
        guard case .connecting = phase else { preconditionFailure("next address while \(phase)") }
        phase = .connecting(deadline: now &+ settings.connectNanoseconds)
        end = nil
    }

    /// Bytes can flow: says hello.
    mutating func connected(_ hello: Hello, now: UInt64, output: inout [UInt8]) {
        guard case .connecting = phase else { preconditionFailure("connected while \(phase)") }
        phase = .greeting(deadline: now &+ settings.greetingNanoseconds)
        counters.connections += 1
        output.append(contentsOf: Hello.preface)
        Record(type: .hello, payload: hello.encode()).encode(into: &output)
    }

    /// The attempt has failed or the connection is gone.
    ///
    /// - Parameter words: why, as far as the socket knows.
    mutating func disconnected(_ words: String, now: UInt64) {
        let waitAtLeast = end?.waitAtLeast ?? 0
        lastEnd = end?.words ?? words
        counters.failures += 1
        let hasLasted =
            isStreaming && acknowledgedSinceWelcome
            && now &- streamingSince >= settings.stableNanoseconds
        if hasLasted { backOff.reset() }
        phase = .waiting(until: now &+ backOff.next(atLeast: waitAtLeast))
        plan = nil
        end = nil
        inFlight = SequenceSet()
    }

    private mutating func finish(_ words: String, waitAtLeast: UInt64 = 0) {
        if end == nil { end = End(words: words, waitAtLeast: waitAtLeast) }
    }

    private static func seconds(_ nanoseconds: UInt64) -> String {
        describeDuration(milliseconds: Int64(clamping: nanoseconds / 1_000_000))
    }

    // MARK: Receiving

    /// Takes what has arrived; returns how many bytes were consumed. A peer that cannot be believed
    /// ends the conversation: `tick` says so.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer, ring: ResendRing, now: UInt64, clockMilliseconds: Int64
    ) -> Int {
        var consumed = 0
        do throws(WireError) {
            while end == nil {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
                guard
                    case .record(let type, _, let payload, let recordEnd) = try Record.parse(
                        rest, payloadLimit: Self.answerByteLimit)
                else { return consumed }
                consumed += recordEnd
                let body = UnsafeRawBufferPointer(rebasing: rest[payload])
                try take(type, body, ring, now: now, clockMilliseconds: clockMilliseconds)
            }
        } catch {
            finish("the aggregator cannot be understood: \(error)")
        }
        return bytes.count
    }

    /// Payload bytes of the longest answer.
    static let answerByteLimit = 64 << 10

    private mutating func take(
        _ type: RecordType, _ payload: UnsafeRawBufferPointer, _ ring: ResendRing, now: UInt64,
        clockMilliseconds: Int64
    ) throws(WireError) {
        switch (type, phase) {
        case (.welcome, .greeting):
            let welcome = try Welcome(decoding: payload)
            guard welcome.version == Hello.version else {
                throw .unsupportedVersion(ours: Hello.version, theirs: welcome.version)
            }
            begin(welcome, ring, now: now, clockMilliseconds: clockMilliseconds)
        case (.ack, .streaming): take(try SequenceRange(decoding: payload), ring, now: now)
        case (.reject, _), (.goodbye, _):
            let farewell = try Farewell(decoding: payload)
            let verb = type == .reject ? "refused" : "goodbye"
            finish(
                "\(verb): \(farewell.words) (\(farewell.code))",
                waitAtLeast: Self.wait(after: farewell))
        default: throw .malformed(what: "answer out of turn", offset: 0)
        }
    }

    /// Nanoseconds: what was asked for, or longer where trying again at once cannot help.
    private static func wait(after farewell: Farewell) -> UInt64 {
        let asked = min(farewell.retryAfterMilliseconds, 3_600_000) * 1_000_000
        switch farewell.code {
        case .unauthenticated, .forbidden, .unsupportedVersion, .replaced:
            return max(asked, 5_000_000_000)
        default: return asked
        }
    }

    private mutating func begin(
        _ welcome: Welcome, _ ring: ResendRing, now: UInt64, clockMilliseconds: Int64
    ) {
        self.welcome = welcome
        if welcome.clockMilliseconds > 0 {
            clockSkewMilliseconds =
                Int64(clamping: welcome.clockMilliseconds) &- clockMilliseconds
        }
        phase = .streaming
        streamingSince = now
        lastProgress = now
        backlogDue = now
        acknowledgedSinceWelcome = false
        // What an aggregator has lost is to be sent again, as long as it is there.
        if !ring.isEmpty { acknowledged.remove(from: ring.oldest) }
        var settled = welcome.settled
        settled.remove(from: ring.next)
        acknowledged.formUnion(settled)
        acknowledged.formUnion(ring.voids)
        plan = SendPlan(
            after: welcome, ring: ring, acknowledged: acknowledged,
            catchUpByteCount: settings.catchUpByteCount)
    }

    private mutating func take(_ range: SequenceRange, _ ring: ResendRing, now: UInt64) {
        guard range.first > 0, range.last < ring.next else {
            return finish("an acknowledgement of frame \(range.last), which was not made yet")
        }
        counters.acknowledgedFrames &+= acknowledged.insert(range)
        inFlight.remove(range)
        lastProgress = now
        acknowledgedSinceWelcome = true
    }

    // MARK: Sending

    /// A frame was appended to the ring.
    mutating func appended(_ sequence: UInt64, isKey: Bool, ring: ResendRing) {
        plan?.appended(sequence, isKey: isKey, ring: ring)
    }

    /// Counts what the ring has given up; returns how many frames that were lost to this aggregator.
    mutating func noteEvictions(_ ring: ResendRing) -> UInt64 {
        guard ring.oldest > evictedEnd else { return 0 }
        let lost = acknowledged.missing(in: SequenceRange(evictedEnd, ring.oldest - 1))
            .reduce(UInt64(0)) { $0 &+ $1.count }
        evictedEnd = ring.oldest
        counters.lostFrames &+= lost
        return lost
    }

    /// Appends what is to be sent now, until `output` has `byteCountMax` bytes or more: the present,
    /// then the backlog as far as its rate allows, then what is lost.
    mutating func fill(
        _ output: inout [UInt8], byteCountMax: Int, ring: ResendRing, now: UInt64
    ) {
        guard phase == .streaming, end == nil, var plan else { return }
        let start = output.count
        self.plan = nil
        while output.count < byteCountMax, let sequence = plan.takeLive(ring, into: &output) {
            counters.sentFrames += 1
            sent(SequenceRange(sequence, sequence), now: now)
        }
        while output.count < byteCountMax, plan.hasBacklog, mayFly, now >= backlogDue {
            guard let sequence = plan.takeBacklog(ring, into: &output) else { break }
            counters.sentFrames += 1
            sent(SequenceRange(sequence, sequence), now: now)
            let burst = settings.backlogBurst &* settings.backlogIntervalNanoseconds
            backlogDue =
                max(backlogDue, now &- min(now, burst))
                &+ settings.backlogIntervalNanoseconds
        }
        while output.count < byteCountMax, let gap = plan.takeGap(into: &output) {
            sent(gap, now: now)
        }
        self.plan = plan
        counters.sentBytes &+= UInt64(output.count - start)
    }

    private mutating func sent(_ range: SequenceRange, now: UInt64) {
        if inFlight.isEmpty { lastProgress = now }
        inFlight.insert(range)
    }

    /// Says why we leave.
    mutating func sayGoodbye(_ farewell: Farewell, output: inout [UInt8]) {
        guard isStreaming, end == nil else { return }
        Record(type: .goodbye, payload: farewell.encode()).encode(into: &output)
    }

    /// All frames were acknowledged.
    func isSettled(_ ring: ResendRing) -> Bool { settledEnd(ring) == ring.next }

    /// The oldest frame in the ring that this aggregator lacks; `ring.next` when it has all.
    func settledEnd(_ ring: ResendRing) -> UInt64 {
        min(acknowledged.firstMissing(from: ring.oldest), ring.next)
    }
}
