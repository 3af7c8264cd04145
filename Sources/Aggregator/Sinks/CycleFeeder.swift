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
///
/// Where one of several aggregators writes, it begins with `resume`, and goes on where another one
/// stopped as if that had been itself.
final class CycleFeeder: @unchecked Sendable {
    private static let offerPatienceNanoseconds: UInt64 = 60_000_000_000
    private static let saveIntervalNanoseconds: UInt64 = 250_000_000

    let source: BatchSource
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
    private enum Command {
        case resume(CycleCursor?)
        case suspend
    }
    private var command: Command?
    private var published: CycleCursor?
    private var skippedCount = 0

    // The thread's own from here on.
    private var isIdle = true
    private var startTime: UInt64 = 0
    /// What nobody knows if an earlier process handed it on.
    private var repeated: [CycleFeed.LateCycles] = []
    /// What an earlier process left.
    private var inherited: CycleCursor?
    /// Cycles are held back until then, monotonic nanoseconds; `nil` once they flow.
    private var holdUntil: UInt64?
    /// What an earlier process left goes before everything new.
    private var isInOrder = false
    private var head: Int64 = .min
    /// What was not in the cycles up to the head.
    private var absent: AbsentNodes
    /// Cycles of which sums were handed on.
    private var summed = Set<Int64>()
    private var touched = TouchedSums()
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
        absent = AbsentNodes(resolution: source.cluster.configuration.resolution)
    }

    /// Starts. What the model has been given before (restored from a log) counts as closed by an
    /// earlier process; what comes from now on is new.
    ///
    /// - Parameter isIdle: begins with `resume`.
    func start(isIdle: Bool = false) throws(TransportError) {
        startTime = clock.monotonicNanoseconds
        if !isIdle { begin() }
        let started = try SystemThread.start(name: "sink-cycles") { [self] in run() }
        monitor.withLock { thread = started }
    }

    /// `start` without the thread: `turn` is then called by hand.
    func begin() {
        startTime = clock.monotonicNanoseconds
        begin(after: cursorPath.flatMap { CycleCursor.read($0) })
    }

    private func begin(after cursor: CycleCursor?) {
        inherited = cursor
        isIdle = false
        absent = AbsentNodes(resolution: resolution, cycles: cursor?.absent ?? [:])
        let now = clock.monotonicNanoseconds
        if let inherited, sinks.needsOrder {
            isInOrder = true
            // Agents that this process has just met may have more to send.
            holdUntil = max(now, startTime + timing.orderPatienceNanoseconds)
            head = inherited.through
        } else {
            isInOrder = false
            holdUntil = now
            head = dueCycle
        }
        feed.start(head: head, clock: clock)
    }

    // MARK: One of several

    /// Cycles are this process's to hand on from now on.
    ///
    /// - Parameter cursor: what another process left; `nil` to begin with what comes.
    func resume(_ cursor: CycleCursor?) {
        monitor.withLock {
            (command, published) = (.resume(cursor), nil)
            monitor.signal()
        }
    }

    /// Cycles are another process's from now on.
    func suspend() {
        monitor.withLock {
            (command, published) = (.suspend, nil)
            monitor.signal()
        }
    }

    /// What was in all queues a quarter of a second ago; `nil` before anything was handed on.
    var progress: CycleCursor? { monitor.withLock { published } }

    private func obey() {
        guard let command = monitor.withLock({ self.command.take() }) else { return }
        if !isIdle { rest() }
        if case .resume(let cursor) = command { begin(after: cursor) }
    }

    private func rest() {
        feed.stop()
        source.handed.removeAll()
        isIdle = true
        (inherited, holdUntil, head) = (nil, nil, .min)
        (summed, touched, repeated) = ([], TouchedSums(), [])
        (savedVersion, savedHead, nextSave) = (-1, .min, 0)
    }

    /// Cycles that were handed on node by node, because this thread was late.
    var skippedCycles: Int { monitor.withLock { skippedCount } }

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
        obey()
        if isIdle { return }
        if holdUntil != nil { release() }
        if let newest = source.cluster.rollUps.newestCycle, newest > head, newest <= nowMilliseconds
        {
            advance(to: newest)
        }
        handOnLate(quiet: 0, patience: 0, until: deadline)
        handOnSums(quiet: 0, patience: 0)
    }

    private func run() {
        while true {
            let wake = turn()
            let isOver = monitor.withLock {
                if !isStopping, command == nil { monitor.wait(untilNanoseconds: wake) }
                return isStopping
            }
            if isOver { return }
        }
    }

    /// Does what is due; returns when to look again, monotonic nanoseconds.
    @discardableResult
    func turn() -> UInt64 {
        obey()
        if isIdle { return .max }
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
        let missed = cycles(after: inherited.through, through: head).union(inherited.again)
        let incomplete = incompleteCycles().subtracting(missed)
        for cycle in missed { source.handed.setEmptyBase(at: cycle) }
        for cycle in incomplete where !isInOrder { source.handed.setEmptyBase(at: cycle) }
        for node in source.cluster.nodes {
            let wanted = missed.union(inherited.late[node.name] ?? [])
            let closed = wanted.filter { node.hasClosed($0) }
            if !closed.isEmpty {
                repeated.append(CycleFeed.LateCycles(node: node, cycles: closed))
            }
            absent.insert(missed.subtracting(closed), without: node.name)
            let unhanded =
                isInOrder ? absent.cycles(of: node.name, after: oldestCycle) : incomplete
            let found = unhanded.subtracting(closed)
            // Those behind the head are handed on in their turn.
            feed.addLate(found.filter { $0 <= head && node.hasClosed($0) }, of: node)
        }
        for cycle in inherited.sums { touch(cycle, isRepeated: true) }
        guard isInOrder else { return }
        handOnLate(quiet: 0, patience: 0, until: .max, lateness: .inOrder)
        handOnSums(quiet: 0, patience: 0, lateness: .inOrder)
    }

    /// Cycles that were handed on without nodes that are here. They go again as a whole, because only
    /// then are their sums whole; where order is needed, just those nodes.
    private func incompleteCycles() -> Set<Int64> {
        var found: Set<Int64> = []
        for node in source.cluster.nodes {
            let cycles = absent.cycles(of: node.name, after: oldestCycle)
            found.formUnion(cycles.filter { node.hasClosed($0) })
        }
        return found
    }

    /// What is older no model has.
    private var oldestCycle: Int64 { head &- source.cluster.configuration.window }

    private func handOnDue() {
        let due = dueCycle
        if due > head { advance(to: due) }
    }

    /// Only the newest is handed on whole; this thread was kept from the others.
    private func advance(to cycle: Int64) {
        let before = head
        handOn(cycle)
        guard cycle &- before > resolution else { return }
        addLate(after: before, through: cycle &- resolution)
        monitor.withLock { skippedCount += Int((cycle &- before) / resolution) - 1 }
    }

    private func handOn(_ cycle: Int64) {
        let feed = feed
        feed.hold(cycle)
        let receipt = ledger.open(.whole(cycle)) { feed.release(cycle) }
        feed.advance(to: cycle)
        head = cycle
        var nodes: [NodeModel] = []
        for node in source.cluster.nodes {
            if node.hasClosed(cycle) {
                nodes.append(node)
                feed.forget(cycle, of: node)
            } else {
                absent.insert([cycle], without: node.name)
            }
        }
        noteUnknownNodes(at: [cycle])
        absent.trim(before: oldestCycle)
        guard !nodes.isEmpty else { return source.handed.setEmptyBase(at: cycle) }
        noteSummed(cycle)
        sinks.offer(CycleBatch(cycle, of: nodes, from: source, receipt: receipt), waitingUntil: 0)
    }

    /// Nodes that only the apiserver told of.
    private func noteUnknownNodes(at cycles: Set<Int64>) {
        for name in source.index.directory.nodeNames()
        where source.cluster.node(named: name) == nil { absent.insert(cycles, without: name) }
    }

    private func noteSummed(_ cycle: Int64) {
        summed.insert(cycle)
        source.handed.trim(before: cycle &- source.cluster.configuration.window)
        guard summed.count > 2 * source.cluster.rollUps.cycleCount else { return }
        summed = summed.filter { $0 >= oldestCycle }
    }

    // MARK: What comes late

    /// Everything that nodes have closed in this range was not handed on yet.
    private func addLate(after: Int64, through: Int64) {
        let cycles = cycles(after: after, through: through)
        guard !cycles.isEmpty else { return }
        for cycle in cycles { source.handed.setEmptyBase(at: cycle) }
        for node in source.cluster.nodes {
            let closed = cycles.filter { node.hasClosed($0) }
            feed.addLate(closed, of: node)
            absent.insert(cycles.subtracting(closed), without: node.name)
        }
        noteUnknownNodes(at: cycles)
    }

    /// As many of them as the model has.
    private func cycles(after: Int64, through: Int64) -> Set<Int64> {
        let oldest = max(after, through &- source.cluster.configuration.window)
        let first = oldest / resolution * resolution &+ resolution
        guard first <= through else { return [] }
        return Set(stride(from: first, through: through, by: Int(resolution)))
    }

    private func handOnLate(
        quiet: UInt64, patience: UInt64, until deadline: UInt64,
        lateness: BatchLateness = .outOfOrder
    ) {
        var works = repeated.map { open($0, isRepeated: true) }
        repeated = []
        works += feed.takeLate(quietNanoseconds: quiet, patienceNanoseconds: patience)
            .map { open($0, isRepeated: false) }
        works.reverse()
        while let work = works.popLast() {
            let now = clock.monotonicNanoseconds
            guard now < deadline, deadline != .max || !isStoppingNow, !isCommanded else {
                // It is late still, and in the cursor.
                if work.isRepeated {
                    repeated.append(work.late)
                } else {
                    feed.addLate(work.late.cycles, of: work.late.node)
                }
                continue
            }
            handOn(work, lateness)
            if lateness == .outOfOrder, !isStoppingNow { handOnDue() }
            save(isFinal: false)
        }
    }

    private func open(_ late: CycleFeed.LateCycles, isRepeated: Bool) -> LateWork {
        absent.remove(late.cycles, of: late.node.name)
        return LateWork(late, isRepeated: isRepeated, in: ledger)
    }

    /// Whether this process's turn has ended, or begun anew.
    private var isCommanded: Bool { monitor.withLock { command != nil } }

    private var isStoppingNow: Bool { monitor.withLock { isStopping } }

    private func handOn(_ work: LateWork, _ lateness: BatchLateness) {
        let late = work.late
        let offerDeadline = clock.monotonicNanoseconds + Self.offerPatienceNanoseconds
        do throws(WireError) {
            try LateBatches(source: source).forEachCycle(of: late) { cycle, sets in
                guard !sets.isEmpty else { return }
                touch(cycle, isRepeated: work.isRepeated)
                sinks.offer(
                    RecordedBatch(
                        timestamp: cycle, isAmendment: late.mended.contains(cycle),
                        lateness: lateness, isRepeated: work.isRepeated, sets: sets,
                        receipt: work.receipts[cycle]), waitingUntil: offerDeadline)
            }
        } catch {
            diagnostics.warning("sinks: history of node \(late.node.name): \(error)")
        }
    }

    private func touch(_ cycle: Int64, isRepeated: Bool) {
        touched.insert(cycle, isRepeated: isRepeated, now: clock.monotonicNanoseconds, in: ledger)
    }

    private func handOnSums(
        quiet: UInt64, patience: UInt64, lateness: BatchLateness = .outOfOrder
    ) {
        let now = clock.monotonicNanoseconds
        let isQuiet = touched.isQuiet(for: quiet, now: now)
        guard
            isQuiet && feed.lateCycles.isEmpty && repeated.isEmpty
                || touched.hasWaited(for: patience, now: now)
        else { return }
        let late = LateBatches(source: source)
        let deadline = now + Self.offerPatienceNanoseconds
        for (cycle, touch) in touched.removeAll() {
            let sets = late.sums(at: cycle)
            guard !sets.isEmpty else { continue }
            let isAmendment = summed.contains(cycle) || cycle <= inherited?.through ?? .min
            noteSummed(cycle)
            sinks.offer(
                RecordedBatch(
                    timestamp: cycle, isAmendment: isAmendment, lateness: lateness,
                    isRepeated: touch.isRepeated, sets: sets, receipt: touch.receipt),
                waitingUntil: deadline)
        }
    }

    // MARK: What another process must know

    private func save(isFinal: Bool) {
        guard holdUntil == nil, head != .min else { return }
        let now = clock.monotonicNanoseconds
        let version = ledger.version
        let pending = feed.lateCycles
        let isChanged = version != savedVersion || head != savedHead || !pending.isEmpty
        guard isFinal || isChanged && now >= nextSave else { return }
        var cursor = ledger.cursor(from: CycleCursor(through: head), resolution: resolution)
        for late in repeated { cursor.late[late.node.name, default: []].formUnion(late.cycles) }
        for (node, cycles) in pending { cursor.late[node, default: []].formUnion(cycles) }
        cursor.absent = absent.cycles
        monitor.withLock { if command == nil { published = cursor } }
        do throws(QueueFileError) {
            if let cursorPath { try cursor.write(cursorPath) }
            (savedVersion, savedHead) = (version, head)
        } catch {
            diagnostics.warning("sinks: \(error); a restart may repeat cycles")
        }
        nextSave = now + Self.saveIntervalNanoseconds
    }
}
