import Wire

/// Does what no frame does: notices nodes that fell silent, drops what grew too old, forgets nodes that
/// have gone, and keeps the process within its memory. A thread at the edge of the model.
final class ModelKeeper: @unchecked Sendable {
    private let cluster: Cluster
    private let clock: Clock
    /// Names of the nodes that the cluster's source tells of; `nil` without a source.
    private let expectedNodes: (@Sendable () -> Set<String>)?
    private let memory: MemoryKeeper?
    /// Called each second.
    private let watch: @Sendable () -> Void
    /// Gives what is free back to the kernel.
    private let release: @Sendable () -> Void
    private let monitor = Monitor()
    private let diagnostics = LimitedDiagnostics(perMinute: 6)
    // Guarded by the monitor.
    private var isStopping = false
    private var thread: SystemThread?

    // The thread's own from here on.
    private var visits: [ObjectIdentifier: Visit] = [:]
    private var nextVisits: UInt64 = 0
    private var nextTrim: UInt64 = 0
    private var nextRelease: UInt64 = 0

    /// When something last happened at a node, monotonic nanoseconds.
    private struct Visit {
        let node: NodeModel
        var arrivals: UInt64
        var arrivedAt: UInt64
        var questions: UInt64
        /// 0 for never.
        var askedAt: UInt64 = 0
        var isMet = true
    }

    /// Memory is looked at so often: as fast as nodes can come.
    private static let turnNanoseconds: UInt64 = 100_000_000
    private static let visitNanoseconds: UInt64 = 1_000_000_000
    private static let releaseNanoseconds: UInt64 = 30_000_000_000

    init(
        _ cluster: Cluster, memory: MemoryKeeper?, clock: Clock = .system,
        expectedNodes: (@Sendable () -> Set<String>)? = nil,
        watch: @escaping @Sendable () -> Void = {},
        release: @escaping @Sendable () -> Void = { ProcessMemory.release() }
    ) {
        self.watch = watch
        self.release = release
        self.cluster = cluster
        self.memory = memory
        self.clock = clock
        self.expectedNodes = expectedNodes
    }

    func start() throws(TransportError) {
        let started = try SystemThread.start(name: "model-keeper") { [self] in run() }
        monitor.withLock { thread = started }
    }

    /// Call it once.
    func stop() {
        let running = monitor.withLock {
            isStopping = true
            monitor.signal()
            return thread
        }
        running?.join()
    }

    private func run() {
        while true {
            turn()
            let isOver = monitor.withLock {
                let wake = clock.monotonicNanoseconds + Self.turnNanoseconds
                if !isStopping { monitor.wait(untilNanoseconds: wake) }
                return isStopping
            }
            if isOver { return }
        }
    }

    /// What is due now. By the thread, or by a test that turns the clock.
    func turn() {
        let now = clock.monotonicNanoseconds
        if now >= nextVisits {
            nextVisits = now + Self.visitNanoseconds
            cluster.presence.observe(
                newest: cluster.rollUps.newestCycle, monotonicNanoseconds: now)
            visit(now)
            tellPresence()
            watch()
        }
        if now >= nextTrim {
            nextTrim = now + UInt64(max(1, cluster.configuration.trimInterval / 4)) * 1_000_000
            trim(now)
        }
        if now >= nextRelease {
            // What an outage's frames took between being read and being kept: a tenth of the process.
            if nextRelease > 0 { release() }
            nextRelease = now + Self.releaseNanoseconds
        }
        memory?.turn(now) { nodesLeastAskedFirst(now) }
    }

    private func visit(_ now: UInt64) {
        var skews: [Int64] = []
        for (identity, _) in visits { visits[identity]?.isMet = false }
        for node in cluster.nodes {
            let arrivals = node.arrivals.load(ordering: .relaxed)
            let questions = node.questions.load(ordering: .relaxed)
            let identity = ObjectIdentifier(node)
            guard var visit = visits[identity] else {
                visits[identity] = Visit(
                    node: node, arrivals: arrivals, arrivedAt: now, questions: questions)
                continue
            }
            visit.isMet = true
            if visit.arrivals != arrivals {
                (visit.arrivals, visit.arrivedAt) = (arrivals, now)
                let skew = node.skew.load(ordering: .relaxed)
                if skew != .min { skews.append(skew) }
            }
            if visit.questions != questions {
                (visit.questions, visit.askedAt) = (questions, now)
            }
            visits[identity] = visit
        }
        visits = visits.filter(\.value.isMet)
        cluster.clock.set(skews: skews)
    }

    private func tellPresence() {
        let (counts, silent) = cluster.countNodes(expecting: expectedNodes?())
        let changes = cluster.presence.update(counts, silent: silent)
        let steps = NodePresence.stepsOfSilence
        let length = describeDuration(milliseconds: steps * cluster.configuration.resolution)
        if !changes.fellSilent.isEmpty {
            diagnostics.warning(
                "silent for \(steps) steps (\(length)), no longer in the cluster's sums: "
                    + Self.list(changes.fellSilent))
        }
        if !changes.reportAgain.isEmpty {
            Diagnostics.info("report again: \(Self.list(changes.reportAgain))")
        }
    }

    /// Five names, and how many more.
    private static func list(_ names: [String]) -> String {
        let more = names.count > 5 ? " and \(names.count - 5) more nodes" : ""
        return names.prefix(5).joined(separator: ", ") + more
    }

    private func trim(_ now: UInt64) {
        let window = cluster.configuration.window
        if let time = cluster.presence.now(newest: cluster.rollUps.newestCycle) {
            cluster.rollUps.trim(now: time)
        }
        for visit in visits.values {
            let silence = Int64(clamping: (now &- visit.arrivedAt) / 1_000_000)
            // Whoever brings frames does it himself.
            guard silence > NodePresence.stepsOfSilence * cluster.configuration.resolution else {
                continue
            }
            let isEmpty = visit.node.trim(silentFor: silence)
            if isEmpty, silence > window, cluster.forget(visit.node) {
                visits[ObjectIdentifier(visit.node)] = nil
                Diagnostics.info("forgot node \(visit.node.name), silent for the whole history")
            }
        }
    }

    /// Those whose history nobody asked for within the window first, then the others; in each part the
    /// one that was asked the longest time ago first.
    private func nodesLeastAskedFirst(_ now: UInt64) -> MemoryKeeper.Nodes {
        let recently = now &- min(now, UInt64(cluster.configuration.window) * 1_000_000)
        let sorted = visits.values.sorted { $0.askedAt < $1.askedAt }
        return MemoryKeeper.Nodes(
            unasked: sorted.filter { $0.askedAt <= recently || $0.askedAt == 0 }.map(\.node),
            asked: sorted.filter { $0.askedAt > recently && $0.askedAt != 0 }.map(\.node))
    }
}
