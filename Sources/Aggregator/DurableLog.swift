import Synchronization
import Wire

/// The log of a running aggregator: what was found at the start, the thread that commits, and one that
/// reads what agents need not wait for.
final class DurableLog: Sendable {
    let writer: LogWriter
    let committer: LogCommitter
    let departures: DepartureLog
    private let found: Mutex<LogRestorer.Report>
    private let restoreMilliseconds: UInt64
    private let path: String
    private let clock: Clock
    private let loop: EventLoop
    private let thread: SystemThread
    /// `nil` where the start read everything.
    private let past: LogPast?
    private let reading = Mutex<SystemThread?>(nil)
    private let isStopping = Atomic<Bool>(false)
    private let completed = Atomic<Bool>(false)
    private let pastMilliseconds = Atomic<UInt64>(0)

    /// Reads the log into the cluster and starts the committing thread.
    ///
    /// - Parameters:
    ///   - path: a folder of its own, which no other process uses.
    ///   - cluster: without nodes; it appends to the log from now on.
    ///   - directory: empty; its changes go to the log from now on.
    /// - Throws: what the user can mend.
    init(
        folder path: String, configuration: LogConfiguration, cluster: Cluster,
        directory: PodDirectory, threadCount: Int,
        clock: Clock = .system
    ) throws(UsageError) {
        let files: any LogFiles
        let report: LogRestorer.Report
        self.path = path
        self.clock = clock
        do throws(LogFileError) {
            files = try DiskLogFiles(folder: path)
            let start = clock.monotonicNanoseconds
            (report, past) = try LogRestorer(
                files: try DiskLogFiles(folder: path), cluster: cluster, directory: directory,
                threadCount: threadCount
            ).restorePresent()
            restoreMilliseconds = (clock.monotonicNanoseconds - start) / 1_000_000
            report.tell(folder: path, milliseconds: restoreMilliseconds)
            departures = try DepartureLog(files: files, firstSegment: report.nextSegment)
        } catch {
            throw UsageError(problems: ["--data-dir=\(path): \(error)"])
        }
        found = Mutex(report)
        writer = LogWriter(
            files: files, firstSegment: report.nextSegment, firstBatch: report.nextBatch,
            configuration: configuration)
        cluster.attach(writer)
        do throws(TransportError) {
            loop = try EventLoop(clock: clock, scratchByteCount: 4_096)
            committer = LogCommitter(
                writer, cluster, LogRetention(files: files, configuration: configuration),
                names: LogNames(directory), departures: departures, loop)
            committer.start()
            thread = try SystemThread.start(name: "log") { [loop] in loop.run() }
        } catch {
            throw UsageError(problems: ["the log cannot be started: \(error)"])
        }
    }

    /// Writes down from now on whom the index misses. Before agents speak.
    func follow(_ index: ClusterIndex) {
        index.look()
        index.observeDepartures { [departures] in departures.note($0) }
        committer.look { index.look() }
    }

    /// What was found so far.
    var restored: LogRestorer.Report { found.withLock { $0 } }

    /// The whole window is in memory, as far as the log has it.
    var isComplete: Bool { completed.load(ordering: .acquiring) }

    /// Reads the rest of the window while agents go on. Call it once.
    ///
    /// - Parameter body: called when all is there, by whatever thread; never after `stopReading`.
    func readPast(then body: @escaping @Sendable () -> Void) throws(TransportError) {
        guard let past else {
            completed.store(true, ordering: .releasing)
            return body()
        }
        let started = try SystemThread.start(name: "log-past", stackByteCount: 8 << 20) { [self] in
            let start = clock.monotonicNanoseconds
            let report = past.restore { [self] in isStopping.load(ordering: .acquiring) }
            guard !isStopping.load(ordering: .acquiring) else { return }
            let took = (clock.monotonicNanoseconds - start) / 1_000_000
            pastMilliseconds.store(took, ordering: .relaxed)
            found.withLock { $0.add(report) }
            report.tell(folder: path, milliseconds: took)
            completed.store(true, ordering: .releasing)
            ProcessMemory.release()
            body()
        }
        reading.withLock { $0 = started }
    }

    /// Leaves what was not read yet where it is.
    func stopReading() {
        isStopping.store(true, ordering: .releasing)
        reading.withLock { $0 }?.join()
    }

    /// Commits what is there and ends the thread. Call it once, when nobody appends any more.
    func stop() {
        loop.stop()
        thread.join()
        committer.commit()
    }
}

extension DurableLog {
    /// Adds the counters in `/metrics`.
    func show(in api: inout AggregatorAPI) {
        api.ownMetrics.append { [self] text in write(to: &text) }
    }

    func write(to text: inout PrometheusText) {
        let (counts, status) = (writer.statistics, committer.status)
        let retention = status.retention
        text.single(
            "heapwire_log_records_total", .counter, "Records appended to the log",
            Double(counts.records))
        text.single(
            "heapwire_log_written_bytes_total", .counter, "Bytes of the log that are on the disk",
            Double(counts.bytes))
        text.single(
            "heapwire_log_commits_total", .counter, "Batches that are on the disk",
            Double(counts.commits))
        text.single(
            "heapwire_log_commit_seconds_total", .counter, "Time that commits took",
            Double(status.commitNanoseconds) / 1e9)
        text.single(
            "heapwire_log_slowest_commit_seconds", .gauge, "The longest that a commit took",
            Double(status.slowestCommitNanoseconds) / 1e9)
        text.single(
            "heapwire_log_failures_total", .counter, "Writes and syncs of the log that failed",
            Double(counts.failures))
        text.single(
            "heapwire_log_lost_bytes_total", .counter,
            "Bytes given up because the disk did not take them in time", Double(counts.lostBytes))
        text.single(
            "heapwire_log_pending_bytes", .gauge, "Bytes that wait for the disk",
            Double(counts.pendingBytes))
        text.single(
            "heapwire_log_degraded", .gauge,
            "1 while agents are told that frames are kept that are in memory only",
            counts.isDegraded ? 1 : 0)
        text.single(
            "heapwire_log_segments", .gauge, "Files of the log", Double(retention.segments))
        text.single("heapwire_log_bytes", .gauge, "Bytes of these files", Double(retention.bytes))
        text.single(
            "heapwire_log_oldest_timestamp_seconds", .gauge, "When the oldest file was begun",
            Double(retention.oldestTime) / 1_000)
        text.single(
            "heapwire_log_lost_departures_total", .counter,
            "Pods, containers and nodes that went without being written down for lists of the past",
            Double(departures.lostCount))
        text.single(
            "heapwire_log_removed_segments_total", .counter, "Files removed by age or size",
            Double(retention.removedSegments))
        writeRestored(to: &text)
    }

    /// What the start found.
    private func writeRestored(to text: inout PrometheusText) {
        text.single(
            "heapwire_log_restore_seconds", .gauge, "Time that reading the log took at the start",
            Double(restoreMilliseconds) / 1_000)
        text.single(
            "heapwire_log_past_seconds", .gauge,
            "Time that reading the older part of the window took, while agents went on",
            Double(pastMilliseconds.load(ordering: .relaxed)) / 1_000)
        text.single(
            "heapwire_log_complete", .gauge,
            "1 when the whole window was read from the log, 0 while that goes on",
            isComplete ? 1 : 0)
        let restored = restored
        text.single(
            "heapwire_log_restored_frames", .gauge, "Frames that the start took from the log",
            Double(restored.frames))
        text.single(
            "heapwire_log_unread_frames", .gauge,
            "Frames in the log that need one that is not there", Double(restored.losses.frames))
        text.single(
            "heapwire_log_unread_records", .gauge, "Records in the log that make no sense",
            Double(restored.losses.records))
        var bytes: [String: Int] = [:]
        for damage in restored.damage { bytes[damage.segment, default: 0] += damage.byteCount }
        text.single(
            "heapwire_log_damaged_places", .gauge, "Damaged places that the start found in the log",
            Double(restored.damage.count))
        let name = "heapwire_log_damaged_bytes"
        text.family(name, .gauge, "Bytes of these places, by file")
        for (segment, count) in bytes.sorted(by: { $0.key < $1.key }).prefix(100) {
            text.sample(name, [("file", segment)], Double(count))
        }
    }
}

extension LogRestorer.Report {
    /// Says what was found, and each damage.
    fileprivate func tell(folder: String, milliseconds: UInt64) {
        Diagnostics.info(
            "\(folder): \(nodes) nodes and \(frames) frames from \(segments) segments in "
                + "\(milliseconds) ms")
        for damage in damage.prefix(20) {
            Diagnostics.warning(
                "\(folder)/\(damage.segment): \(damage.byteCount) bytes at \(damage.offset): "
                    + "\(damage.reason); passed over")
        }
        if damage.count > 20 {
            Diagnostics.warning("\(folder): \(damage.count - 20) more damaged places")
        }
        if losses.frames > 0 || losses.records > 0 {
            Diagnostics.warning(
                "\(folder): \(losses.frames) frames need one that is not there, and "
                    + "\(losses.records) records cannot be read; agents send again what they have")
        }
        if unfinishedBytes > 0 {
            Diagnostics.info(
                "\(folder): \(unfinishedBytes) bytes were not finished, and nothing of them was "
                    + "acknowledged")
        }
    }
}
