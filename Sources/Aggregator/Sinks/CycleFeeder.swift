import Wire

/// Hands the cluster's cycles to the sinks, on a thread of its own.
///
/// A cycle is handed on a little after its time (the *grace*) with the nodes that have closed it by
/// then. What nodes bring later is handed on apart, node by node, and the sums that it changes once
/// more. After a restart, cycles that the last process did not finish are taken up again.
///
/// ```
///   cycle C        C + grace                        frames of a node that was cut off
///      │  frames ──────> │ batch of C ──> sinks           │ quiet ──> its cycles ──> sums ──> sinks
/// ```
final class CycleFeeder: @unchecked Sendable {
    struct Timing: Sendable {
        /// From a cycle to its batch, milliseconds.
        var grace: Int64
        /// Late data is handed on when no more came for so long, or after its patience.
        var lateQuietNanoseconds: UInt64 = 1_000_000_000
        var latePatienceNanoseconds: UInt64 = 5_000_000_000
        /// Changed sums wait longer, because each piece of late data changes them again.
        var sumsQuietNanoseconds: UInt64 = 3_000_000_000
        var sumsPatienceNanoseconds: UInt64 = 30_000_000_000
        /// How long cycles are held back after a restart, for sinks that need order, while agents
        /// bring what was missed.
        var orderPatienceNanoseconds: UInt64

        /// Agents send within a fifth of a cycle or so.
        init(resolution: Int64) {
            grace = min(2_000, resolution / 2)
            orderPatienceNanoseconds = UInt64(min(30_000, 5_000 + 2 * resolution)) * 1_000_000
        }
    }

    private static let offerPatienceNanoseconds: UInt64 = 60_000_000_000
    private static let saveIntervalNanoseconds: UInt64 = 250_000_000

    private let source: BatchSource
    private let sinks: any BatchTaker
    private let timing: Timing
    private let clock: Clock
    /// `nil` without a data directory.
    private let cursorPath: String?
    private let ledger = CycleLedger()
    private let diagnostics = LimitedDiagnostics(perMinute: 2)

    private let monitor = Monitor()
    // Guarded by the monitor.
    private var isStopping = false
    private var thread: SystemThread?

    // The thread's own from here on.
    /// What an earlier process left.
    private var inherited: CycleCursor?
    /// Cycles are held back until then, monotonic nanoseconds; `nil` once they flow.
    private var holdUntil: UInt64?
    /// What an earlier process left goes before everything new.
    private var isInOrder = false
    private var head: Int64 = .min
    /// Cycles of which sums were handed on.
    private var summed = Set<Int64>()
    /// Cycles whose sums have changed since.
    private var touched: [Int64: BatchReceipt] = [:]
    private var touchedSince: UInt64 = 0
    private var touchedLast: UInt64 = 0
    private var savedVersion = -1
    private var savedHead: Int64 = .min
    private var nextSave: UInt64 = 0

    private var resolution: Int64 { source.cluster.configuration.resolution }
    private var feed: CycleFeed { source.cluster.cycles }

    /// - Parameter dataDirectory: where the cursor is kept; `nil` for none.
    init(
        _ source: BatchSource, to sinks: any BatchTaker, dataDirectory: String?,
        timing: Timing? = nil,
        clock: Clock = .system
    ) {
        self.source = source
        self.sinks = sinks
        self.clock = clock
        self.timing = timing ?? Timing(resolution: source.cluster.configuration.resolution)
        cursorPath = dataDirectory.map { "\($0)/sinks/cursor" }
    }

    /// Starts. What the model has been given before (restored from a log) counts as closed by an
    /// earlier process; what comes from now on is new.
    func start() throws(TransportError) {
        begin()
        let started = try SystemThread.start(name: "sink-cycles") { [self] in run() }
        monitor.withLock { thread = started }
    }

    /// `start` without the thread: `turn` is then called by hand.
    func begin() {
        inherited = cursorPath.flatMap { CycleCursor.read($0) }
        let now = clock.monotonicNanoseconds
        if let inherited, sinks.needsOrder {
            isInOrder = true
            holdUntil = now + timing.orderPatienceNanoseconds
            head = inherited.through
        } else {
            holdUntil = now
            head = dueCycle
        }
        feed.start(head: head, clock: clock)
    }

    /// See `BatchSource.missedNodes`.
    var missedNodes: Int { source.missedNodes }

    /// Hands on what is closed, without waiting for its grace, and ends.
    ///
    /// - Parameter deadline: monotonic nanoseconds; what is not handed on by then is in the cursor.
    func stop(deadline: UInt64) {
        let running = monitor.withLock {
            isStopping = true
            monitor.signal()
            return thread
        }
        running?.join()
        finish(deadline)
    }

    /// After the sinks have stopped too: what they put into their queues last.
    func saveFinally() {
        save(isFinal: true)
        feed.stop()
    }

    private func finish(_ deadline: UInt64) {
        if holdUntil != nil { release() }
        if let newest = source.cluster.rollUps.newestCycle, newest > head, newest <= nowMilliseconds
        {
            handOn(newest)
        }
        handOnLate(quiet: 0, patience: 0, until: deadline)
        handOnSums(quiet: 0, patience: 0)
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
        let now = clock.monotonicNanoseconds
        if let until = holdUntil {
            guard now >= until else { return min(until, now + 100_000_000) }
            release()
        }
        handOnDue()
        handOnLate(
            quiet: timing.lateQuietNanoseconds, patience: timing.latePatienceNanoseconds,
            until: .max)
        handOnSums(
            quiet: timing.sumsQuietNanoseconds, patience: timing.sumsPatienceNanoseconds)
        save(isFinal: false)
        let next = max(0, head &+ resolution &+ timing.grace &- nowMilliseconds)
        return clock.monotonicNanoseconds + min(UInt64(next) * 1_000_000 + 1_000_000, 100_000_000)
    }

    private var nowMilliseconds: Int64 { Int64(clock.realtimeNanoseconds / 1_000_000) }

    /// The newest cycle whose grace is over.
    private var dueCycle: Int64 {
        (nowMilliseconds &- timing.grace) / resolution * resolution
    }

    // MARK: Cycles in their turn

    /// Cycles flow from now on; what an earlier process left undone is late.
    private func release() {
        if isInOrder {
            head = dueCycle
            feed.advance(to: head)
        }
        holdUntil = nil
        guard let inherited else { return }
        addLate(after: inherited.through, through: head)
        for node in source.cluster.nodes {
            guard let cycles = inherited.late[node.name] else { continue }
            feed.addLate(cycles.filter { node.hasClosed($0) }, of: node)
        }
        for cycle in inherited.sums { touch(cycle) }
        guard isInOrder else { return }
        handOnLate(quiet: 0, patience: 0, until: .max, lateness: .inOrder)
        handOnSums(quiet: 0, patience: 0, lateness: .inOrder)
    }

    private func handOnDue() {
        let due = dueCycle
        guard due > head else { return }
        // Only the newest is handed on whole; this thread was kept from the others.
        let before = head
        handOn(due)
        if due &- before > resolution { addLate(after: before, through: due &- resolution) }
    }

    private func handOn(_ cycle: Int64) {
        let feed = feed
        feed.hold(cycle)
        let receipt = ledger.open(.whole(cycle)) { feed.release(cycle) }
        feed.advance(to: cycle)
        head = cycle
        let nodes = source.cluster.nodes.filter { $0.hasClosed(cycle) }
        for node in nodes { feed.forget(cycle, of: node) }
        guard !nodes.isEmpty else { return source.handed.setEmptyBase(at: cycle) }
        noteSummed(cycle)
        sinks.offer(CycleBatch(cycle, of: nodes, from: source, receipt: receipt), waitingUntil: 0)
    }

    private func noteSummed(_ cycle: Int64) {
        summed.insert(cycle)
        source.handed.trim(before: cycle &- source.cluster.configuration.window)
        guard summed.count > 2 * source.cluster.rollUps.cycleCount else { return }
        let oldest = head &- source.cluster.configuration.window
        summed = summed.filter { $0 >= oldest }
    }

    // MARK: What comes late

    /// Everything that nodes have closed in this range was not handed on yet.
    private func addLate(after: Int64, through: Int64) {
        let oldest = max(after, through &- source.cluster.configuration.window)
        let first = oldest / resolution * resolution &+ resolution
        guard first <= through else { return }
        let cycles = Array(stride(from: first, through: through, by: Int(resolution)))
        for cycle in cycles { source.handed.setEmptyBase(at: cycle) }
        for node in source.cluster.nodes {
            feed.addLate(Set(cycles.filter { node.hasClosed($0) }), of: node)
        }
    }

    private func handOnLate(
        quiet: UInt64, patience: UInt64, until deadline: UInt64,
        lateness: BatchLateness = .outOfOrder
    ) {
        var late = feed.takeLate(quietNanoseconds: quiet, patienceNanoseconds: patience)
            .map { node in
                let receipts = node.cycles.map {
                    ($0, ledger.open(.part(node: node.node.name, cycle: $0)))
                }
                return (node, Dictionary(receipts, uniquingKeysWith: { first, _ in first }))
            }
        late.reverse()
        while let (node, receipts) = late.popLast() {
            let now = clock.monotonicNanoseconds
            guard now < deadline, deadline != .max || !isStoppingNow else {
                // It is late still, and in the cursor.
                feed.addLate(node.cycles, of: node.node)
                continue
            }
            handOn(node, receipts, lateness)
            if lateness == .outOfOrder, !isStoppingNow { handOnDue() }
            save(isFinal: false)
        }
    }

    private var isStoppingNow: Bool { monitor.withLock { isStopping } }

    private func handOn(
        _ late: CycleFeed.LateCycles, _ receipts: [Int64: BatchReceipt], _ lateness: BatchLateness
    ) {
        let offerDeadline = clock.monotonicNanoseconds + Self.offerPatienceNanoseconds
        do throws(WireError) {
            try LateBatches(source: source).forEachCycle(of: late.node, late.cycles) {
                cycle, sets in
                guard !sets.isEmpty else { return }
                touch(cycle)
                sinks.offer(
                    RecordedBatch(
                        timestamp: cycle, lateness: lateness, sets: sets,
                        receipt: receipts[cycle]), waitingUntil: offerDeadline)
            }
        } catch {
            diagnostics.warning("sinks: history of node \(late.node.name): \(error)")
        }
    }

    private func touch(_ cycle: Int64) {
        let now = clock.monotonicNanoseconds
        if touched.isEmpty { touchedSince = now }
        touchedLast = now
        if touched[cycle] == nil { touched[cycle] = ledger.open(.sums(cycle)) }
    }

    private func handOnSums(
        quiet: UInt64, patience: UInt64, lateness: BatchLateness = .outOfOrder
    ) {
        let now = clock.monotonicNanoseconds
        guard !touched.isEmpty,
            now >= touchedLast + quiet && feed.lateCycles.isEmpty || now >= touchedSince + patience
        else { return }
        let late = LateBatches(source: source)
        let deadline = now + Self.offerPatienceNanoseconds
        for cycle in touched.keys.sorted() {
            let sets = late.sums(at: cycle)
            let receipt = touched.removeValue(forKey: cycle)
            guard !sets.isEmpty else { continue }
            let isAmendment = summed.contains(cycle) || cycle <= inherited?.through ?? .min
            noteSummed(cycle)
            sinks.offer(
                RecordedBatch(
                    timestamp: cycle, isAmendment: isAmendment, lateness: lateness, sets: sets,
                    receipt: receipt), waitingUntil: deadline)
        }
    }

    // MARK: What another process must know

    private func save(isFinal: Bool) {
        guard let cursorPath, holdUntil == nil, head != .min else { return }
        let now = clock.monotonicNanoseconds
        let version = ledger.version
        let pending = feed.lateCycles
        let isChanged = version != savedVersion || head != savedHead || !pending.isEmpty
        guard isFinal || isChanged && now >= nextSave else { return }
        var cursor = CycleCursor(through: head)
        for (node, cycles) in pending { cursor.late[node, default: []].formUnion(cycles) }
        for entry in ledger.entries {
            switch entry {
            case .whole(let cycle): cursor.through = min(cursor.through, cycle &- resolution)
            case .part(let node, let cycle): cursor.late[node, default: []].insert(cycle)
            case .sums(let cycle): cursor.sums.insert(cycle)
            }
        }
        do throws(QueueFileError) {
            try cursor.write(cursorPath)
            (savedVersion, savedHead) = (version, head)
        } catch {
            diagnostics.warning("sinks: \(error); a restart may repeat cycles")
        }
        nextSave = now + Self.saveIntervalNanoseconds
    }
}
