/// Decides who of several aggregators writes to sinks, by one Lease, as client-go's leader election
/// does (<https://pkg.go.dev/k8s.io/client-go/tools/leaderelection>). Pure: clock, answers and randomness are passed in.
///
/// ```
///             .lease (held by another, changed lately)
///           ┌────────┐                        .conflict, .failed
///           v        │                      ┌───────────────────┐
///  looking ─┴──> get ┴─.absent──> create ─┐ v                   │
///     ^                └.lease (free)─> write ──.stored──> leading ──> write after retryPeriod
///     └──────────── renewDeadline without .stored ────────────┘
/// ```
///
/// Times in the Lease are other machines' and are never compared: a candidate takes a Lease over when it
/// has *seen* no change of it for the holder's lease duration. A leader counts from before it sent the
/// write that succeeded, and stops at the renew deadline, which is shorter; so by their own clocks there
/// are never two, as long as clocks run equally fast within the ratio of the two.
struct LeaderElection: Sendable {
    /// Nanoseconds.
    struct Timing: Sendable, Equatable {
        var leaseDuration: UInt64 = 15_000_000_000
        var renewDeadline: UInt64 = 10_000_000_000
        var retryPeriod: UInt64 = 2_000_000_000
    }

    /// Which Lease, and how often.
    struct Settings: Sendable, Equatable {
        var timing = Timing()
        var namespace = "kube-system"
        var name = "heapwire-aggregator"
    }

    /// What to do next.
    enum Step: Equatable, Sendable {
        /// Nothing before this, monotonic nanoseconds.
        case wait(until: UInt64)
        /// Ask the apiserver, and hand the answer to `take`.
        case ask(LeaseQuestion)
    }

    enum Change: Equatable, Sendable {
        /// With the cursors of whoever led before: empty where the Lease has none, `nil` where there was
        /// no Lease.
        case acquired(cursors: String?)
        case lost
    }

    /// client-go's JitterFactor: a candidate waits for up to 2.2 retry periods.
    private static let jitterFactor = 1.2

    private enum Intention { case look, create, write }

    let identity: String
    let timing: Timing
    private var intention = Intention.look
    /// Whether a conflict follows a fresh look, so that looking again at once would be a loop.
    private var hasJustLooked = false
    private var notBefore: UInt64 = 0
    private var observed: StoredLease?
    private var observedAt: UInt64 = 0
    private var asked: (question: LeaseQuestion, at: UInt64)?
    /// While leading: until when, monotonic nanoseconds.
    private(set) var leadingUntil: UInt64?

    /// - Parameter identity: nobody else's, not even an earlier run's.
    init(identity: String, timing: Timing = Timing()) {
        self.identity = identity
        self.timing = timing
    }

    /// Who holds the Lease as last seen; empty for nobody, `nil` before the first look.
    var holder: String? { observed?.record.holderIdentity }
    var transitions: Int64 { observed?.record.leaseTransitions ?? 0 }

    /// A lead whose renewals did not come through ends by itself.
    ///
    /// - Returns: `lost` once.
    mutating func expire(_ now: UInt64) -> Change? {
        guard let until = leadingUntil, now >= until else { return nil }
        leadingUntil = nil
        return .lost
    }

    /// - Parameters:
    ///   - now: monotonic nanoseconds.
    ///   - wall: milliseconds since the epoch, for people who look at the Lease.
    ///   - cursors: how far sinks are, of a leader; what is in the Lease is kept by others.
    mutating func step(now: UInt64, wall: Int64, cursors: String) -> Step {
        precondition(asked == nil, "the last question is not answered")
        guard now >= notBefore else { return .wait(until: min(notBefore, leadingUntil ?? .max)) }
        let question: LeaseQuestion
        switch (intention, observed) {
        case (.create, _): question = .create(record(after: nil, wall, cursors))
        case (.write, .some(let lease)):
            question = .update(
                record(after: lease.record, wall, cursors), resourceVersion: lease.resourceVersion)
        case (.look, _), (.write, .none): question = .get
        }
        asked = (question, now)
        return .ask(question)
    }

    private func record(after old: LeaseRecord?, _ wall: Int64, _ cursors: String) -> LeaseRecord {
        let time = LeaseRecord.microTime(milliseconds: wall)
        var record = old ?? LeaseRecord()
        if record.holderIdentity != identity {
            record.acquireTime = time
            record.leaseTransitions = old.map { $0.leaseTransitions + 1 } ?? 0
        }
        record.holderIdentity = identity
        record.leaseDurationSeconds = Int64(timing.leaseDuration / 1_000_000_000)
        record.renewTime = time
        if leadingUntil != nil { record.cursors = cursors }
        return record
    }

    /// Takes the answer to the last question.
    ///
    /// - Parameter random: 0 ..< 1.
    mutating func take(_ answer: LeaseAnswer, now: UInt64, random: Double) -> Change? {
        guard let asked else { preconditionFailure("nothing was asked") }
        self.asked = nil
        let expired = expire(now)
        let hadLooked = hasJustLooked
        hasJustLooked = false
        switch answer {
        case .lease(let lease): return expired ?? look(at: lease, now, random)
        case .absent:
            (intention, notBefore) = (.create, now)
            return expired
        case .stored(let version):
            return stored(version, asked.question, asked.at, now, expired)
        case .conflict:
            intention = .look
            notBefore = hadLooked ? now + pause(random) : now
            return expired
        case .failed:
            intention = .look
            notBefore = now + pause(random)
            return expired
        }
    }

    private mutating func look(at lease: StoredLease, _ now: UInt64, _ random: Double) -> Change? {
        if observed?.record.isSameElection(as: lease.record) != true { observedAt = now }
        observed = lease
        hasJustLooked = true
        let holder = lease.record.holderIdentity
        let duration = UInt64(clamping: lease.record.leaseDurationSeconds)
            .multipliedReportingOverflow(by: 1_000_000_000)
        let end = observedAt.addingReportingOverflow(
            duration.overflow ? .max : duration.partialValue)
        let isValid = end.overflow || now < end.partialValue
        if holder.isEmpty || holder == identity || !isValid {
            (intention, notBefore) = (.write, now)
            return nil
        }
        // Somebody else has it: whoever thought to lead does not.
        let wasLeading = leadingUntil != nil
        leadingUntil = nil
        (intention, notBefore) = (.look, now + pause(random))
        return wasLeading ? .lost : nil
    }

    private mutating func stored(
        _ version: String, _ question: LeaseQuestion, _ sentAt: UInt64, _ now: UInt64,
        _ expired: Change?
    ) -> Change? {
        let record: LeaseRecord
        let cursors: String?
        switch question {
        case .create(let made): (record, cursors) = (made, nil)
        case .update(let made, _): (record, cursors) = (made, observed?.record.cursors)
        case .get: preconditionFailure("a look stores nothing")
        }
        observed = StoredLease(record: record, resourceVersion: version)
        observedAt = now
        intention = .write
        let until = sentAt + timing.renewDeadline
        // An answer that took so long proves nothing; written again at once.
        guard expired == nil, now < until else {
            notBefore = now
            return expired
        }
        notBefore = now + timing.retryPeriod
        let wasLeading = leadingUntil != nil
        leadingUntil = until
        return wasLeading ? nil : .acquired(cursors: cursors)
    }

    /// Leaders retry evenly, candidates apart from each other.
    private func pause(_ random: Double) -> UInt64 {
        guard leadingUntil == nil else { return timing.retryPeriod }
        return timing.retryPeriod
            + UInt64(Double(timing.retryPeriod) * Self.jitterFactor * min(max(random, 0), 1))
    }

    /// Ends a lead on purpose, so that another can begin at once.
    ///
    /// - Parameter cursors: how far sinks came.
    /// - Returns: what to write; `nil` for who does not lead.
    mutating func release(now: UInt64, wall: Int64, cursors: String) -> LeaseQuestion? {
        defer { leadingUntil = nil }
        guard let until = leadingUntil, now < until, let lease = observed else { return nil }
        var record = lease.record
        record.holderIdentity = ""
        // client-go's too: a duration of zero is invalid.
        record.leaseDurationSeconds = 1
        record.renewTime = LeaseRecord.microTime(milliseconds: wall)
        record.acquireTime = record.renewTime
        record.cursors = cursors
        return .update(record, resourceVersion: lease.resourceVersion)
    }
}
