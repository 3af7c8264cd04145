import Wire

/// Runs one sink: a thread that encodes batches into the queue, and as many as it has requests in
/// flight that deliver from it. Neither waits for another sink, and `offer` waits for nobody.
///
/// ```
///  offer ──> inbox ──(encoding thread)──> queue ──(delivery threads)──> backend
///          16 cycles                    bytes, disk
/// ```
final class SinkRunner: @unchecked Sendable {
    struct Settings: Sendable {
        var name: String
        /// For people: kind and address.
        var target = ""
        /// Time between two batches that are sent; 0 for every batch.
        var intervalMilliseconds: Int64 = 0
        var timeoutMilliseconds: Int64 = 20_000
        /// Time between two cycles.
        var resolutionMilliseconds: Int64 = 10_000
        var filter: SinkFilter?
        /// Added to every set; `nil` where there is none or the encoder has a place for it.
        var cluster: Label?
    }

    /// Batches that wait to be encoded; beyond, the oldest is dropped and counted.
    private static let inboxCountMax = 16
    private static let syncDelayNanoseconds: UInt64 = 1_000_000_000

    let settings: Settings
    private let plan: SinkPlan
    private let environment: SinkEnvironment
    private let randomness: @Sendable () -> Double
    private let leadership: Leadership
    private let diagnostics = LimitedDiagnostics(perMinute: 2)

    // Everything below is guarded by the monitor.
    private let monitor = Monitor()
    private var inbox: [any Batch] = []
    private var isEncoding = false
    private var queue: SinkQueue
    private var deadLetters: DeadLetters
    private var schedule = RetrySchedule()
    private var status: SinkStatus
    private var isStopping = false
    private var stopDeadline = UInt64.max
    private var nextSync = UInt64.max
    private var threads: [SystemThread] = []
    /// While another aggregator writes: nothing is taken, encoded or sent.
    private var isSuspended: Bool
    /// While this one writes and is one of several.
    private var progress: SinkProgress?

    /// - Parameters:
    ///   - leadership: asked before every request.
    ///   - isSuspended: begins with `resume`.
    init(
        plan: SinkPlan, settings: Settings, queue: SinkQueue, deadLetters: DeadLetters,
        environment: SinkEnvironment = SinkEnvironment(), leadership: Leadership = .always,
        isSuspended: Bool = false,
        randomness: @escaping @Sendable () -> Double = { Double.random(in: 0..<1) }
    ) {
        self.plan = plan
        self.settings = settings
        self.queue = queue
        self.deadLetters = deadLetters
        self.environment = environment
        self.randomness = randomness
        self.leadership = leadership
        self.isSuspended = isSuspended
        status = SinkStatus(name: settings.name, target: settings.target)
    }

    /// Starts the threads. Requests of an earlier process are delivered from now on.
    func start() throws(TransportError) {
        var started = [
            try SystemThread.start(name: "sink-encode") { [self] in encodeAll() }
        ]
        for _ in 0..<max(1, plan.concurrency) {
            started.append(try SystemThread.start(name: "sink-deliver") { [self] in deliverAll() })
        }
        monitor.withLock { threads = started }
    }

    /// Hands over a batch.
    ///
    /// - Parameter deadline: until when (monotonic nanoseconds) it may wait for room; at that time, or
    ///   at once where there is none, the oldest batch that waits is dropped and counted; its nodes
    ///   come late.
    func offer(_ batch: any Batch, waitingUntil deadline: UInt64 = 0) {
        let dropped: (any Batch)? = monitor.withLock {
            guard admits(batch) else { return nil }
            while inbox.count >= Self.inboxCountMax, !isStopping,
                environment.clock.monotonicNanoseconds < deadline
            {
                monitor.wait(untilNanoseconds: deadline)
            }
            if isStopping || isSuspended { return nil }
            var dropped: (any Batch)?
            if inbox.count >= Self.inboxCountMax {
                dropped = inbox.removeFirst()
                status.skippedCycles += 1
            }
            inbox.append(batch)
            monitor.signal()
            return dropped
        }
        dropped?.noteDropped()
    }

    private func admits(_ batch: any Batch) -> Bool {
        if isSuspended { return false }
        if batch.isRepeated, progress?.wantsRepeated(batch.timestamp) == false { return false }
        let interval = settings.intervalMilliseconds
        // The first cycle of each interval, so that late data and another process agree.
        if interval > 0, batch.timestamp % interval >= settings.resolutionMilliseconds {
            return false
        }
        if batch.isAmendment, !plan.overwrites {
            status.skippedAmendments += 1
            return false
        }
        if !plan.latePoints.admits(batch.lateness) {
            status.skippedLate += 1
            return false
        }
        return true
    }

    /// This aggregator writes from now on. What the last one delivered is taken out of the queue.
    ///
    /// - Parameters:
    ///   - cursor: how far that one came; `nil` for a sink that nobody had.
    ///   - oldestCycle: that the model can hand on.
    func resume(_ cursor: SinkCursor?, oldestCycle: Int64?) {
        monitor.withLock {
            queue.forget { !SinkProgress.wantsQueued($0, cursor) }
            progress = SinkProgress(
                cursor, oldestCycle: oldestCycle, queued: queue.cycles,
                resolution: settings.resolutionMilliseconds)
            isSuspended = false
            monitor.signal()
        }
    }

    /// Another aggregator writes from now on. What is queued stays, until it is known to be delivered.
    func suspend() {
        monitor.withLock {
            isSuspended = true
            inbox = []
            progress = nil
            monitor.signal()
        }
    }

    /// How far this sink is; `nil` for one of which nothing is known.
    ///
    /// - Parameter feeder: what was in all queues a moment ago.
    func cursor(after feeder: CycleCursor?) -> SinkCursor? {
        monitor.withLock { progress?.cursor(after: feeder, queued: queue.cycles) }
    }

    /// Whether an order is lost when later cycles are handed over before earlier ones.
    var needsOrder: Bool { plan.latePoints == .onlyInOrder }

    /// Whether `stop` was called.
    var isEnding: Bool { monitor.withLock { isStopping } }

    /// Ends the sink: everything offered is encoded and delivered as far as the deadline (monotonic
    /// nanoseconds) allows. What is encoded stays on disk, or is lost without one; what is not is held until
    /// this object goes, so that a cursor written after this names it as still to be done.
    func stop(deadline: UInt64) {
        let waiting = monitor.withLock {
            isStopping = true
            stopDeadline = deadline
            // One more try, whatever the back-off says.
            schedule.succeeded()
            monitor.signal()
            return threads
        }
        for thread in waiting { thread.join() }
        monitor.withLock {
            queue.synchronize()
            threads = []
            if queue.requestCount > 0 {
                Diagnostics.warning(
                    "sink \(settings.name): \(queue.requestCount) requests are not delivered")
            }
            if !inbox.isEmpty {
                Diagnostics.warning(
                    "sink \(settings.name): \(inbox.count) cycles are not encoded")
            }
        }
    }

    var currentStatus: SinkStatus {
        monitor.withLock {
            var status = status
            status.queuedRequests = queue.requestCount
            status.queuedBytes = queue.byteCount
            status.oldestQueuedCycle = queue.oldestCycle
            status.droppedRequests = queue.counters.droppedRequests
            status.droppedPoints = queue.counters.droppedPoints
            status.damagedRecords = queue.counters.damagedRecords
            status.fileErrors += queue.counters.fileErrors
            status.isStandby = isSuspended
            status.missingCycles = progress?.missingCycleCount ?? 0
            return status
        }
    }

    // MARK: Encoding

    private func encodeAll() {
        var encoder = plan.encoder
        while let batch = nextBatch() {
            encode(batch, with: &encoder)
            monitor.withLock {
                isEncoding = false
                monitor.signal()
            }
        }
    }

    /// When the sink ends, what its time does not suffice for stays in the inbox, and is not done.
    private func nextBatch() -> (any Batch)? {
        monitor.withLock {
            while inbox.isEmpty, !isStopping { monitor.wait(untilNanoseconds: .max) }
            guard !inbox.isEmpty, environment.clock.monotonicNanoseconds < stopDeadline else {
                return nil
            }
            isEncoding = true
            return inbox.removeFirst()
        }
    }

    private func encode(_ batch: any Batch, with encoder: inout any SinkEncoder) {
        encoder.encode(batch, filter: settings.filter, cluster: settings.cluster) { request in
            monitor.withLock {
                let before = queue.counters
                queue.append(request)
                report(before, queue.counters)
                if nextSync == .max {
                    nextSync =
                        environment.clock.monotonicNanoseconds + Self.syncDelayNanoseconds
                }
                monitor.signal()
            }
        }
    }

    private func report(_ before: SinkQueue.Counters, _ after: SinkQueue.Counters) {
        if after.droppedRequests > before.droppedRequests {
            diagnostics.warning(
                "sink \(settings.name): the queue is full, its oldest request was dropped")
        }
        if after.fileErrors > before.fileErrors {
            diagnostics.warning("sink \(settings.name): \(queue.lastFileError ?? "")")
        }
    }

    // MARK: Delivery

    private func deliverAll() {
        let delivery = plan.makeDelivery(environment)
        while let (lease, deadline) = nextLease() {
            let outcome = delivery.deliver(lease.request, deadline: deadline)
            if case .failed = outcome { delivery.disconnect() }
            monitor.withLock {
                conclude(lease, outcome)
                monitor.signal()
            }
        }
        delivery.disconnect()
    }

    /// Waits for something to send and the time to send it; `nil` when the sink ends.
    private func nextLease() -> (SinkQueue.Lease, deadline: UInt64)? {
        monitor.withLock {
            while true {
                let now = environment.clock.monotonicNanoseconds
                let isHeld = !isSuspended && leadership.isHeld(now)
                if isStopping {
                    let isDone = inbox.isEmpty && !isEncoding && queue.isEmpty
                    if isDone || !isHeld || now >= stopDeadline { return nil }
                }
                synchronizeIfDue(now)
                guard isHeld else {
                    monitor.wait(untilNanoseconds: min(stopDeadline, nextSync))
                    continue
                }
                if now >= schedule.notBefore, let lease = queue.lease() {
                    let timeout = UInt64(settings.timeoutMilliseconds) * 1_000_000
                    return (lease, min(now + timeout, stopDeadline))
                }
                let pause = now < schedule.notBefore ? schedule.notBefore : .max
                monitor.wait(untilNanoseconds: min(pause, stopDeadline, nextSync))
            }
        }
    }

    /// What waits for longer than a moment is made to survive a power cut too.
    private func synchronizeIfDue(_ now: UInt64) {
        if queue.isEmpty {
            nextSync = .max
        } else if now >= nextSync {
            queue.synchronize()
            nextSync = .max
        }
    }

    private func conclude(_ lease: SinkQueue.Lease, _ outcome: DeliveryOutcome) {
        let request = lease.request
        switch outcome {
        case .accepted:
            queue.accept(lease.id)
            delivered(request)
        case .refused(let reason):
            setAside(request, reason)
            queue.accept(lease.id)
            schedule.succeeded()
        case .failed(let reason, let retryAfterSeconds):
            queue.release(lease.id)
            failed(reason, retryAfterSeconds)
        case .partly(let remaining, let refused, let reason):
            if let refused { setAside(refused, reason) }
            let leftCount = (remaining?.pointCount ?? 0) + (refused?.pointCount ?? 0)
            let takenCount = max(0, request.pointCount - leftCount)
            if let remaining {
                queue.release(lease.id, remaining: remaining)
                status.deliveredPoints += takenCount
                failed(reason, nil)
            } else {
                queue.accept(lease.id)
                guard takenCount > 0 else { return schedule.succeeded() }
                var taken = request
                taken.pointCount = takenCount
                delivered(taken)
            }
        }
    }

    private func delivered(_ request: SinkRequest) {
        schedule.succeeded()
        if status.isFailing { Diagnostics.info("sink \(settings.name): delivers again") }
        status.isFailing = false
        status.deliveredRequests += 1
        status.deliveredPoints += request.pointCount
        status.deliveredBytes += request.body.count
        status.newestDeliveredCycle = max(status.newestDeliveredCycle ?? .min, request.cycle)
    }

    private func failed(_ reason: String, _ retryAfterSeconds: Int?) {
        schedule.failed(
            now: environment.clock.monotonicNanoseconds, retryAfterSeconds: retryAfterSeconds,
            random: randomness())
        status.retriedRequests += 1
        status.isFailing = true
        note(reason)
        diagnostics.warning(
            "sink \(settings.name): \(reason); \(queue.requestCount) requests wait")
    }

    private func setAside(_ request: SinkRequest, _ reason: String) {
        status.refusedRequests += 1
        status.refusedPoints += request.pointCount
        note(reason)
        diagnostics.warning("sink \(settings.name): refused, set aside: \(reason)")
        do throws(QueueFileError) {
            try deadLetters.add(request, reason: reason, nowMilliseconds: nowMilliseconds)
        } catch {
            status.fileErrors += 1
            diagnostics.warning("sink \(settings.name): \(error)")
        }
    }

    private func note(_ reason: String) {
        status.lastError = reason
        status.lastErrorTime = nowMilliseconds
    }

    private var nowMilliseconds: Int64 {
        Int64(environment.clock.realtimeNanoseconds / 1_000_000)
    }
}
