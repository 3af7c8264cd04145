import Wire

/// Who takes batches.
protocol BatchTaker: AnyObject, Sendable {
    /// - Parameter deadline: until when (monotonic nanoseconds) it may wait for room; 0 for not at all.
    func offer(_ batch: any Batch, waitingUntil deadline: UInt64)
    /// Whether points that come after later ones are refused.
    var needsOrder: Bool { get }
}

/// All sinks of an aggregator.
final class SinkSet: BatchTaker {
    private let runners: [SinkRunner]
    private let clock: Clock
    private let resolution: Int64

    /// Queues live in `DATA-DIR/sinks/NAME`, or in memory where there is no data directory.
    ///
    /// - Parameter leadership: asked before every request; `nil` for an aggregator that always
    ///   writes, else sinks wait for `resume`.
    /// - Throws: when a queue's directory cannot be made or read.
    init(
        _ sinks: [ConfiguredSink], dataDirectory: String?, resolution: Int64 = 10_000,
        environment: SinkEnvironment = SinkEnvironment(), leadership: Leadership? = nil
    ) throws(QueueFileError) {
        clock = environment.clock
        self.resolution = resolution
        var runners: [SinkRunner] = []
        for sink in Self.withOwnNames(sinks) {
            let files: (any QueueFiles)? = try dataDirectory.map { (path) throws(QueueFileError) in
                try DirectoryFiles(directory: "\(path)/sinks/\(sink.settings.name)")
            }
            var limits = SinkQueue.Limits()
            limits.byteCountMax = sink.queueByteCountMax ?? (files == nil ? 64 << 20 : 1 << 30)
            limits.memoryByteCountMax = min(
                limits.byteCountMax, files == nil ? limits.byteCountMax : 32 << 20)
            let queue = try SinkQueue(limits: limits, order: sink.plan.order, files: files)
            var settings = sink.settings
            settings.resolutionMilliseconds = resolution
            runners.append(
                SinkRunner(
                    plan: sink.plan, settings: settings, queue: queue,
                    deadLetters: DeadLetters(files: files), environment: environment,
                    leadership: leadership ?? .always, isSuspended: leadership != nil))
        }
        self.runners = runners
    }

    /// Two sinks of one name get numbers, in the order of the flags.
    private static func withOwnNames(_ sinks: [ConfiguredSink]) -> [ConfiguredSink] {
        var used: [String: Int] = [:]
        return sinks.map { sink in
            var sink = sink
            used[sink.settings.name, default: 0] += 1
            if let count = used[sink.settings.name], count > 1 { sink.settings.name += "-\(count)" }
            return sink
        }
    }

    var isEmpty: Bool { runners.isEmpty }

    func start() throws(TransportError) {
        for runner in runners { try runner.start() }
    }

    /// Hands a batch to every sink.
    ///
    /// - Parameter deadline: see `SinkRunner.offer`; 0 returns at once.
    func offer(_ batch: any Batch, waitingUntil deadline: UInt64 = 0) {
        for runner in runners { runner.offer(batch, waitingUntil: deadline) }
    }

    /// Whether any sink's backend refuses points that come after later ones.
    var needsOrder: Bool { runners.contains { $0.needsOrder } }

    // MARK: One of several aggregators

    /// See `SinkRunner.resume`.
    ///
    /// - Returns: what the feeder has to go on from; `nil` where nobody had any of these sinks.
    func resume(_ cursors: SinkCursors, oldestCycle: Int64?) -> CycleCursor? {
        var joined: CycleCursor?
        for runner in runners {
            let cursor = cursors.sinks[runner.settings.name]
            runner.resume(cursor, oldestCycle: oldestCycle)
            guard let cursor else { continue }
            let through = min(cursor.through, joined?.through ?? .max)
            let again = cursor.again.cycles(
                resolution: resolution, after: (oldestCycle ?? cursor.through) - resolution)
            joined = CycleCursor(
                through: through, absent: cursors.absent, again: again.union(joined?.again ?? []))
        }
        return joined
    }

    func suspend() {
        for runner in runners { runner.suspend() }
    }

    /// - Parameter feeder: see `SinkRunner.cursor`.
    func cursors(after feeder: CycleCursor?) -> SinkCursors {
        var found = SinkCursors()
        var feeder = feeder
        if let absent = feeder?.absent, SinkCursors.canName(absent) {
            found.absent = absent
            feeder?.absent = [:]
        }
        for runner in runners {
            if let cursor = runner.cursor(after: feeder) {
                found.sinks[runner.settings.name] = cursor
            }
        }
        return found
    }

    var names: [String] { runners.map(\.settings.name) }

    /// Ends all sinks at the same time, within the time.
    func stop(timeoutMilliseconds: Int64) {
        let deadline = clock.monotonicNanoseconds + UInt64(max(0, timeoutMilliseconds)) * 1_000_000
        var threads: [SystemThread] = []
        for runner in runners {
            do throws(TransportError) {
                threads.append(
                    try SystemThread.start(name: "sink-stop") { runner.stop(deadline: deadline) })
            } catch {
                runner.stop(deadline: deadline)
            }
        }
        for thread in threads { thread.join() }
    }

    var statuses: [SinkStatus] { runners.map(\.currentStatus) }
}
