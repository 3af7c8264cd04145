import Glibc
import Wire

/// Whoever writes to sinks, as the election sees it. Called from the election's thread, one call at a
/// time.
protocol LeaderCandidate: AnyObject, Sendable {
    /// From now on it may write.
    ///
    /// - Parameter cursors: how far the last leader came, `SinkCursors` as text; empty where that is not
    ///   known, `nil` where there was none.
    func acquired(cursors: String?)
    /// It may not write any more; `Leadership` has said so before.
    func lost()
    /// How far it came while it led, as text.
    var cursors: String { get }
}

/// Runs a `LeaderElection` on a thread of its own.
final class LeaderElector: @unchecked Sendable {
    /// How the election stands, for `/metrics`, `/api/v1/sinks` and the log.
    struct Status: Sendable, Equatable {
        var identity = ""
        var isLeading = false
        /// As last seen; empty for nobody, `nil` before the first look.
        var holder: String?
        /// Changes of holder, as the Lease counts them.
        var transitions: Int64 = 0
        /// Questions that the apiserver did not answer, or not with yes.
        var failures = 0
        var conflicts = 0
        var lastError: String?
    }

    private let leadership: Leadership
    private let store: any LeaseStore
    private let lastStore: any LeaseStore
    private let candidate: any LeaderCandidate
    private let interruption: Interruption?
    private let clock: Clock
    private let randomness: @Sendable () -> Double
    private let diagnostics = LimitedDiagnostics(perMinute: 2)

    private let monitor = Monitor()
    // Guarded by the monitor.
    private var isStopping = false
    private var thread: SystemThread?
    private var shown: Status

    /// The thread's own; after it has ended, whoever stops it.
    private var election: LeaderElection

    /// - Parameters:
    ///   - leadership: what it says to those who write.
    ///   - interruption: ends what the store is waiting for.
    ///   - lastStore: what the Lease is released with, after the interruption; `nil` for the same.
    init(
        _ election: LeaderElection, store: any LeaseStore, candidate: any LeaderCandidate,
        leadership: Leadership,
        interruption: Interruption? = nil, lastStore: (any LeaseStore)? = nil,
        clock: Clock = .system,
        randomness: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.election = election
        self.store = store
        self.lastStore = lastStore ?? store
        self.candidate = candidate
        self.leadership = leadership
        self.interruption = interruption
        self.clock = clock
        self.randomness = randomness
        shown = Status(identity: election.identity)
    }

    /// This machine's name and a number that nobody else has: a later run is another candidate.
    static var ownIdentity: String {
        var bytes = [CChar](repeating: 0, count: 256)
        let result = gethostname(&bytes, bytes.count - 1)
        let host =
            result == 0
            ? String(
                decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            : "unknown"
        return "\(host)_\(String(UInt64.random(in: .min ... .max), radix: 16))"
    }

    var status: Status { monitor.withLock { shown } }

    func start() throws(TransportError) {
        let started = try SystemThread.start(name: "leader") { [self] in run() }
        monitor.withLock { thread = started }
    }

    private func run() {
        while true {
            let wake = turn()
            let isOver = monitor.withLock {
                if !isStopping { monitor.wait(untilNanoseconds: wake) }
                return isStopping
            }
            if isOver { return }
        }
    }

    /// Does what is due; returns when to look again, monotonic nanoseconds.
    @discardableResult
    func turn() -> UInt64 {
        conclude(election.expire(clock.monotonicNanoseconds))
        let isLeading = election.leadingUntil != nil
        let step = election.step(
            now: clock.monotonicNanoseconds, wall: wall, cursors: isLeading ? candidate.cursors : ""
        )
        guard case .ask(let question) = step else {
            guard case .wait(let until) = step else { return 0 }
            return until
        }
        let answer = store.answer(question)
        note(answer, to: question)
        conclude(
            election.take(answer, now: clock.monotonicNanoseconds, random: randomness()))
        return 0
    }

    private var wall: Int64 { Int64(clock.realtimeNanoseconds / 1_000_000) }

    private func conclude(_ change: LeaderElection.Change?) {
        // First the gate, so that nothing is written between.
        if change != .lost { leadership.extend(until: election.leadingUntil ?? 0) }
        monitor.withLock {
            shown.isLeading = election.leadingUntil != nil
            shown.holder = election.holder
            shown.transitions = election.transitions
        }
        switch change {
        case .acquired(let cursors):
            Diagnostics.info("this aggregator writes to the sinks from now on")
            candidate.acquired(cursors: cursors)
        case .lost:
            leadership.extend(until: 0)
            let holder = election.holder ?? ""
            let reason =
                holder.isEmpty || holder == election.identity
                ? "the Lease could not be renewed in time" : "\(holder) holds the Lease"
            Diagnostics.warning("this aggregator writes to the sinks no more: \(reason)")
            candidate.lost()
        case nil: break
        }
    }

    private func note(_ answer: LeaseAnswer, to question: LeaseQuestion) {
        switch answer {
        case .failed(let words):
            monitor.withLock {
                shown.failures += 1
                shown.lastError = words
            }
            let isStopping = monitor.withLock { self.isStopping }
            if !isStopping { diagnostics.warning("leader election: \(words)") }
        case .conflict: monitor.withLock { shown.conflicts += 1 }
        case .lease, .absent, .stored: break
        }
    }

    /// Ends the thread, and a lead with its cursors, so that another can take over at once. Call it
    /// once, when nothing more is written.
    func stop() {
        let running = monitor.withLock {
            isStopping = true
            monitor.signal()
            return thread
        }
        interruption?.interrupt()
        running?.join()
        release()
    }

    private func release() {
        let cursors = candidate.cursors
        defer { leadership.extend(until: 0) }
        guard
            let question = election.release(
                now: clock.monotonicNanoseconds, wall: wall, cursors: cursors)
        else { return }
        var answer = lastStore.answer(question)
        // The last renewal may have arrived though its answer did not.
        if case .conflict = answer, case .update(let record, _) = question,
            case .lease(let lease) = lastStore.answer(.get),
            lease.record.holderIdentity == election.identity
        {
            answer = lastStore.answer(
                .update(record, resourceVersion: lease.resourceVersion))
        }
        guard case .stored = answer else {
            Diagnostics.warning("the Lease is not released; another aggregator waits for its end")
            return
        }
    }
}

extension LeaderElector {
    /// How the election stands; the first under the name that every Kubernetes component has it.
    func write(to text: inout PrometheusText, lease: String) {
        let status = status
        let labels = [("name", lease)]
        text.family(
            "leader_election_master_status", .gauge,
            "1 while this process holds the Lease and writes to the sinks")
        text.sample("leader_election_master_status", labels, status.isLeading ? 1 : 0)
        text.family("heapwire_leader_transitions_total", .counter, "Changes of the Lease's holder")
        text.sample("heapwire_leader_transitions_total", labels, Double(status.transitions))
        text.family(
            "heapwire_leader_failures_total", .counter,
            "Questions about the Lease that the apiserver did not answer with yes")
        text.sample("heapwire_leader_failures_total", labels, Double(status.failures))
        text.family(
            "heapwire_leader_conflicts_total", .counter, "Writes of the Lease that came second")
        text.sample("heapwire_leader_conflicts_total", labels, Double(status.conflicts))
    }
}
