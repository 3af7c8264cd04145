import Wire

/// The log of a running aggregator: what was found at the start, and the thread that commits.
final class DurableLog: Sendable {
    let writer: LogWriter
    let committer: LogCommitter
    let restored: LogRestorer.Report
    private let folder: DataFolder
    private let loop: EventLoop
    private let thread: SystemThread

    /// Locks the folder, reads the log into the cluster, and starts the committing thread.
    ///
    /// - Parameters:
    ///   - cluster: without nodes; it appends to the log from now on.
    ///   - directory: empty; its changes go to the log from now on.
    /// - Throws: what the user can mend.
    init(
        folder path: String, configuration: LogConfiguration, cluster: Cluster,
        directory: PodDirectory, threadCount: Int,
        clock: Clock = .system
    ) throws(UsageError) {
        folder = try DataFolder(path)
        let files: any LogFiles
        do throws(LogFileError) {
            files = try DiskLogFiles(folder: path)
            let start = clock.monotonicNanoseconds
            restored = try LogRestorer(
                files: files, cluster: cluster, directory: directory, threadCount: threadCount
            ).restore()
            restored.tell(
                folder: path, milliseconds: (clock.monotonicNanoseconds - start) / 1_000_000)
        } catch {
            throw UsageError(problems: ["--data-dir=\(path): \(error)"])
        }
        writer = LogWriter(
            files: files, firstSegment: restored.nextSegment, firstBatch: restored.nextBatch,
            configuration: configuration)
        cluster.attach(writer)
        do throws(TransportError) {
            loop = try EventLoop(clock: clock, scratchByteCount: 4_096)
            committer = LogCommitter(
                writer, cluster, LogRetention(files: files, configuration: configuration),
                names: LogNames(directory), loop)
            committer.start()
            thread = try SystemThread.start(name: "log") { [loop] in loop.run() }
        } catch {
            throw UsageError(problems: ["the log cannot be started: \(error)"])
        }
    }

    /// Does not wait for the next commit.
    func commitSoon() { loop.post { [committer] in committer.commit() } }

    /// Commits what is there and ends the thread. Call it once, when nobody appends any more.
    func stop() {
        loop.stop()
        thread.join()
        committer.commit()
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
