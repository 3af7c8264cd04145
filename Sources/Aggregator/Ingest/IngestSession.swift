import Wire

/// The aggregator's half of the protocol with one agent: bytes in, bytes out, no socket.
///
/// ```
///  preface ──> hello ──accepted──────────────> streaming ──goodbye, replaced──> ended
///     │          │ └──> review ──reviewed()──────^                               ^
///     └──────────┴────────┴──── anything else: reject with code and words ───────┘
/// ```
/// The stream may come in any cut.
struct IngestSession {
    private enum Phase {
        case preface
        case hello
        /// Somebody else finds out whether the hello is true.
        case review(Hello)
        case streaming(NodeModel, Cluster.Speaker)
        case ended
    }

    /// Why a conversation is ended by this side.
    fileprivate enum Ending: Error {
        case wire(WireError)
        case refused(Farewell)
    }

    private let cluster: Cluster
    private let authentication: AgentAuthentication
    private let counters: IngestCounters
    /// What must have a frame before it is acknowledged; `nil`: the model.
    private let log: LogWriter?
    private var phase = Phase.preface
    /// The common name in the client's certificate, which was checked; set before the first byte.
    var certificateName: String?
    /// Who speaks, once the hello was accepted; for log lines.
    private(set) var nodeName = ""
    /// What the other end was told when it was refused.
    private(set) var refusal: Farewell?

    /// A hello is small; nobody is believed more before it was accepted.
    private static let helloByteLimit = 65_536

    init(cluster: Cluster, authentication: AgentAuthentication, counters: IngestCounters) {
        self.cluster = cluster
        self.authentication = authentication
        self.counters = counters
        log = cluster.log
    }

    var isEnded: Bool {
        if case .ended = phase { return true }
        return false
    }

    var isStreaming: Bool {
        if case .streaming = phase { return true }
        return false
    }

    /// A hello that waits for `reviewed`. Until then nothing is consumed.
    var helloUnderReview: Hello? {
        if case .review(let hello) = phase { return hello }
        return nil
    }

    /// Whether the hello that waits is true has been found out.
    mutating func reviewed(_ verdict: AgentVerdict, now: Int64, output: inout [UInt8]) {
        guard case .review(let hello) = phase else { return }
        do throws(Ending) {
            if case .refused(let farewell) = verdict { throw .refused(farewell) }
            try admit(hello, now: now)
            flush(into: &output)
        } catch {
            refuse(Farewell(error), output: &output)
        }
    }

    /// Takes what has arrived.
    ///
    /// - Parameters:
    ///   - bytes: what was not consumed before, and more.
    ///   - now: the clock, milliseconds since the epoch.
    ///   - output: answers are appended.
    /// - Returns: how many bytes were consumed; all of them once the conversation is ended.
    mutating func receive(
        _ bytes: UnsafeRawBufferPointer, now: Int64, output: inout [UInt8]
    ) -> Int {
        var consumed = 0
        do throws(Ending) {
            while !isEnded {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
                guard let byteCount = try takeNext(rest, now: now, output: &output) else { break }
                consumed += byteCount
            }
        } catch {
            refuse(Farewell(error), output: &output)
        }
        flush(into: &output)
        return isEnded ? bytes.count : consumed
    }

    /// Ends the conversation from this side.
    mutating func end(_ farewell: Farewell, output: inout [UInt8]) {
        guard !isEnded else { return }
        flush(into: &output)
        waiting.removeAll()
        leave()
        let type: RecordType = farewell.code == .shutdown ? .goodbye : .reject
        Record(type: type, payload: farewell.encode()).encode(into: &output)
    }

    /// The connection is gone, whoever closed it.
    mutating func leave() {
        if case .streaming(let node, let speaker) = phase {
            cluster.leave(node, speaker)
        }
        phase = .ended
    }

    private mutating func refuse(_ farewell: Farewell, output: inout [UInt8]) {
        counters.rejected(farewell.code)
        refusal = farewell
        end(farewell, output: &output)
    }

    /// - Returns: bytes that were understood, `nil` when more are needed.
    private mutating func takeNext(
        _ bytes: UnsafeRawBufferPointer, now: Int64, output: inout [UInt8]
    ) throws(Ending) -> Int? {
        if case .review = phase { return nil }
        if case .preface = phase {
            guard zip(bytes, Hello.preface).allSatisfy({ $0 == $1 }) else {
                let words = "this port takes Heapwire agents; the API is on another (--port)"
                throw .refused(Farewell(.malformed, words))
            }
            guard bytes.count >= Hello.preface.count else { return nil }
            phase = .hello
            return Hello.preface.count
        }
        let limit =
            isStreaming ? cluster.configuration.limits.recordBytes : Self.helloByteLimit
        let parsed = try wire { () throws(WireError) in
            try Record.parse(bytes, payloadLimit: limit)
        }
        switch parsed {
        case .incomplete: return nil
        case .record(let type, let flags, let payload, let end):
            let body = UnsafeRawBufferPointer(rebasing: bytes[payload])
            try take(type, flags, body, now: now, output: &output)
            return end
        }
    }

    private mutating func take(
        _ type: RecordType, _ flags: RecordFlags, _ payload: UnsafeRawBufferPointer, now: Int64,
        output: inout [UInt8]
    ) throws(Ending) {
        switch phase {
        case .preface, .review, .ended: break
        case .hello:
            guard type == .hello else {
                throw .refused(Farewell(.malformed, "a \(type) record came before the hello"))
            }
            try takeHello(payload, now: now, output: &output)
        case .streaming(let node, let speaker):
            guard cluster.isSpeaker(speaker, for: node) else {
                let words = "another connection speaks for node \(node.name) now"
                throw .refused(Farewell(.replaced, words))
            }
            try takeStreaming(type, flags, payload, node, now: now)
        }
    }

    private mutating func takeHello(
        _ payload: UnsafeRawBufferPointer, now: Int64, output: inout [UInt8]
    ) throws(Ending) {
        let hello = try wire { () throws(WireError) in try Hello(decoding: payload) }
        nodeName = hello.nodeName
        guard
            (hello.minimumVersion...max(hello.minimumVersion, hello.maximumVersion))
                .contains(Hello.version)
        else {
            let words =
                "the agent speaks protocol versions \(hello.minimumVersion) to "
                + "\(hello.maximumVersion), this aggregator \(Hello.version); upgrade the older one"
            throw .refused(Farewell(.unsupportedVersion, words))
        }
        let farewell = authentication.refusal(of: hello, certificateName: certificateName)
        if let farewell { throw .refused(farewell) }
        if let reviewer = authentication.reviewer {
            switch reviewer.verdict(hello) {
            case .accepted: break
            case .refused(let farewell): throw .refused(farewell)
            case nil:
                phase = .review(hello)
                return
            }
        }
        try admit(hello, now: now)
    }

    /// The hello is believed.
    private mutating func admit(_ hello: Hello, now: Int64) throws(Ending) {
        if cluster.node(named: hello.nodeName) == nil {
            if let words = cluster.gate.refusalOfNode() {
                throw .refused(Farewell(.overloaded, words, retryAfterMilliseconds: 30_000))
            }
            // What it was told before a restart is kept may be in what was not read yet.
            guard !cluster.hasPastToRead.load(ordering: .acquiring) else {
                let words = "the log is being read, and may know node \(hello.nodeName)"
                throw .refused(Farewell(.overloaded, words, retryAfterMilliseconds: 1_000))
            }
        }
        guard let (node, speaker) = cluster.enter(hello, now: now) else {
            let words =
                "\(cluster.configuration.nodes) nodes are known, the limit; raise --max-nodes"
            throw .refused(Farewell(.overloaded, words, retryAfterMilliseconds: 60_000))
        }
        var welcome = node.begin(hello)
        welcome.resolutionMilliseconds = UInt64(cluster.configuration.resolution)
        welcome.clockMilliseconds = UInt64(max(0, now))
        welcome.recordBytes = UInt64(cluster.configuration.limits.recordBytes)
        welcome.subjects = UInt64(cluster.configuration.limits.subjects)
        // It says what is kept, so it waits until that is true.
        waiting.append(Waiting(position: node.logPosition, message: .welcome(welcome)))
        phase = .streaming(node, speaker)
    }

    private mutating func takeStreaming(
        _ type: RecordType, _ flags: RecordFlags, _ payload: UnsafeRawBufferPointer,
        _ node: NodeModel, now: Int64
    ) throws(Ending) {
        switch type {
        case .frame:
            if let words = node.refusalOfSubjects() {
                throw .refused(Farewell(.overloaded, words, retryAfterMilliseconds: 30_000))
            }
            let header = try wire { () throws(WireError) in
                try node.receiveFrame(payload, now: now)
            }
            counters.frame(byteCount: payload.count)
            acknowledge(SequenceRange(header.sequence, header.sequence), node.logPosition)
        case .subjects:
            try wire { () throws(WireError) in try node.receiveSubjects(payload) }
        case .chain:
            try wire { () throws(WireError) in
                let chain = try ChainSelection(decoding: payload, flags: flags)
                try node.select(chain.id, begins: chain.begins)
            }
        case .facts:
            let facts = try wire { () throws(WireError) in
                try MachineFacts(decoding: payload)
            }
            node.take(facts)
        case .gap:
            let gap = try wire { () throws(WireError) in try SequenceRange(decoding: payload) }
            node.noteGap(gap)
            acknowledge(gap, node.logPosition)
        case .goodbye: leave()
        case .hello, .welcome, .ack, .reject:
            throw .refused(Farewell(.malformed, "a \(type) record is not for the aggregator"))
        }
    }

    /// What the agent is told once the log has everything up to a position.
    private struct Waiting {
        enum Message {
            case welcome(Welcome)
            case ack(SequenceRange)
        }

        let position: UInt64
        let message: Message
    }

    /// In the order of their positions.
    private var waiting: [Waiting] = []
    /// As many, about, as one step has.
    private static let waitingUsually = 8

    /// Something is to be said when the log has more.
    var isWaiting: Bool { !waiting.isEmpty }

    private mutating func acknowledge(_ range: SequenceRange, _ position: UInt64) {
        waiting.append(Waiting(position: position, message: .ack(range)))
    }

    /// Says what may be said by now. Acks go out once for all that came after one another.
    mutating func flush(into output: inout [UInt8]) {
        guard !waiting.isEmpty else { return }
        let end = log?.acknowledgeable ?? .max
        let ready = waiting.prefix { $0.position <= end }
        var ack: SequenceRange?
        for item in ready {
            switch item.message {
            case .welcome(let welcome):
                Record(type: .welcome, payload: welcome.encode()).encode(into: &output)
            case .ack(let range):
                if let last = ack, last.last &+ 1 == range.first {
                    ack = SequenceRange(last.first, range.last)
                } else {
                    Self.put(ack, into: &output)
                    ack = range
                }
            }
        }
        Self.put(ack, into: &output)
        let count = ready.count
        if count == waiting.count {
            // The room that an outage's frames took is not kept.
            waiting.removeAll(keepingCapacity: waiting.capacity <= Self.waitingUsually)
        } else {
            waiting.removeFirst(count)
        }
    }

    private static func put(_ ack: SequenceRange?, into output: inout [UInt8]) {
        guard let ack else { return }
        Record(type: .ack, payload: ack.encode()).encode(into: &output)
    }

    private func wire<Result>(
        _ body: () throws(WireError) -> Result
    ) throws(Ending) -> Result {
        do throws(WireError) {
            return try body()
        } catch {
            throw .wire(error)
        }
    }
}

extension Farewell {
    fileprivate init(_ ending: IngestSession.Ending) {
        switch ending {
        case .wire(let error): self.init(error)
        case .refused(let farewell): self = farewell
        }
    }

    /// What an agent whose bytes cannot be believed is told.
    init(_ error: WireError) {
        switch error {
        case .sequenceGap: self.init(.needsKeyFrame, error.description)
        case .limitExceeded: self.init(.limitExceeded, error.description)
        case .unsupportedVersion: self.init(.unsupportedVersion, error.description)
        default: self.init(.malformed, error.description)
        }
    }
}
