import Synchronization
import Wire

/// The log's own thread: closes the batch every `--log-sync`, writes it, tells those who wait for
/// acknowledgements, and removes what is too old.
final class LogCommitter: @unchecked Sendable {
    private let writer: LogWriter
    private let cluster: Cluster
    private let retention: LogRetention
    private let loop: EventLoop
    private let names: LogNames?
    private let departures: DepartureLog?
    private var timer: TimerID?
    private var lastRetention: UInt64 = 0
    private var lastTold: UInt64 = 0
    private let observers = Mutex<[@Sendable () -> Void]>([])
    private let lookers = Mutex<[@Sendable () -> Void]>([])
    private let published = Mutex(Status())
    private let limited = LimitedDiagnostics(perMinute: 1)

    /// For `/metrics`.
    struct Status: Sendable {
        var retention = LogRetention.Statistics()
        /// Time that commits took, nanoseconds.
        var commitNanoseconds: UInt64 = 0
        var slowestCommitNanoseconds: UInt64 = 0
    }

    private static let retentionPeriodNanoseconds: UInt64 = 10_000_000_000

    init(
        _ writer: LogWriter, _ cluster: Cluster, _ retention: LogRetention, names: LogNames?,
        departures: DepartureLog? = nil, _ loop: EventLoop
    ) {
        self.writer = writer
        self.cluster = cluster
        self.retention = retention
        self.names = names
        self.departures = departures
        self.loop = loop
    }

    var status: Status { published.withLock { $0 } }

    /// Called on the log's thread whenever more may be acknowledged.
    func observe(_ observer: @escaping @Sendable () -> Void) {
        observers.withLock { $0.append(observer) }
    }

    /// Called on the log's thread when a batch was closed, before it is written: to note who has gone.
    func look(_ body: @escaping @Sendable () -> Void) {
        lookers.withLock { $0.append(body) }
    }

    /// Call it before the loop runs.
    func start() {
        timer = loop.makeTimer { [weak self] in self?.repeatCommit() }
        schedule()
    }

    private func schedule() {
        let period = UInt64(writer.configuration.syncMilliseconds) * 1_000_000
        if let timer { loop.schedule(timer, afterNanoseconds: period) }
    }

    private func repeatCommit() {
        commit()
        schedule()
        let now = loop.clock.monotonicNanoseconds
        guard now &- lastRetention >= Self.retentionPeriodNanoseconds else { return }
        lastRetention = now
        do throws(LogFileError) {
            try retention.apply(now: Int64(loop.clock.realtimeNanoseconds / 1_000_000))
        } catch {
            limited.warning("the log cannot be kept within its limits: \(error)")
        }
        published.withLock { $0.retention = retention.statistics }
    }

    /// Looks whether the disk answers; agents must not wait for ever. Any thread, now and then.
    func watch() {
        guard writer.watch(now: Int64(loop.clock.monotonicNanoseconds / 1_000_000)) else { return }
        for observer in observers.withLock({ $0 }) { observer() }
    }

    /// Writes what was appended so far. On the log's thread, or after that has ended.
    func commit() {
        let clock = loop.clock
        let start = clock.monotonicNanoseconds
        let now = Int64(clock.realtimeNanoseconds / 1_000_000)
        names?.prepare(writer, now: now)
        writer.cut(now: now) { bytes in
            let cycles = cluster.rollUps.takeChanged()
            for cycle in cycles {
                let kind: LogRecord.Kind = cycle.writer == nil ? .cycle : .cyclePart
                LogRecord.append(kind, to: &bytes) { cycle.encode(into: &$0) }
            }
            return cycles.count + (names?.append(to: &bytes) ?? 0)
        }
        if departures != nil { for look in lookers.withLock({ $0 }) { look() } }
        writer.write(now: Int64(start / 1_000_000)) { departures?.commit(segment: $0) }
        let position = writer.acknowledgeable
        if position != lastTold {
            lastTold = position
            for observer in observers.withLock({ $0 }) { observer() }
        }
        let took = clock.monotonicNanoseconds - start
        published.withLock {
            $0.commitNanoseconds += took
            $0.slowestCommitNanoseconds = max($0.slowestCommitNanoseconds, took)
        }
    }
}
