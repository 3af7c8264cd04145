import Wire

/// Brings the model back from the log's tail: every node's newest state first, so that agents can go on,
/// then what the window needs of before (`LogPast`).
struct LogRestorer {
    /// What was found.
    struct Report: Sendable {
        var segments = 0
        var nodes = 0
        var frames = 0
        var losses = NodeRestorer.Losses()
        var damage: [LogReader.Damage] = []
        var unfinishedBytes = 0
        /// Numbers for what is written next.
        var nextSegment: UInt64 = 1
        var nextBatch: UInt64 = 1

        /// What was found before it, later.
        mutating func add(_ past: Report) {
            nodes += past.nodes
            frames += past.frames
            losses.frames += past.losses.frames
            losses.records += past.losses.records
            damage = past.damage + damage
            unfinishedBytes += past.unfinishedBytes
        }
    }

    let files: any LogFiles
    let cluster: Cluster
    /// Where names go; `nil` where they are not wanted.
    var directory: PodDirectory?
    var threadCount = 2

    /// A node that said nothing for so many steps before the end need not be there at once.
    private static let presentSteps = NodePresence.stepsOfSilence
    private static let presentMilliseconds: Int64 = 5_000

    /// Reads the log into the cluster, which has no nodes yet.
    ///
    /// - Throws: when the folder cannot be listed. What cannot be read is damage.
    func restore() throws(LogFileError) -> Report {
        var (report, past) = try restorePresent()
        if let past { report.add(past.restore()) }
        return report
    }

    /// Reads what agents need to go on, and leaves the rest of the window for later.
    ///
    /// - Returns: with the rest, `nil` where there is none.
    /// - Throws: as `restore`.
    func restorePresent() throws(LogFileError) -> (Report, LogPast?) {
        let reader = LogReader(files: files)
        let segments = try reader.segments()
        if let start = presentStart(segments, reader), start != segments.first,
            let found = readPresent(segments, from: start)
        {
            return found
        }
        return readAll(segments)
    }

    /// The segment to begin with: every node that is not silent has its state there.
    private func presentStart(_ segments: [UInt64], _ reader: LogReader) -> UInt64? {
        guard let front = lastFront(segments, reader) else { return nil }
        let length = max(
            Self.presentMilliseconds, Self.presentSteps &* cluster.configuration.resolution)
        return reader.segment(before: front.time &- length, in: segments)
    }

    /// Of the last segment that says when it began.
    private func lastFront(_ segments: [UInt64], _ reader: LogReader) -> LogReader.Front? {
        for segment in segments.reversed() {
            do throws(LogFileError) {
                if let front = try reader.front(segment) { return front }
            } catch {
                // Said when it is read in earnest.
                continue
            }
        }
        return nil
    }

    /// - Returns: `nil` when what is there cannot stand alone: of whatever is damaged, the rest of the log
    ///   may have more.
    private func readPresent(
        _ segments: [UInt64], from start: UInt64
    ) -> (Report, LogPast?)? {
        var batches = LogBatches(files: files)
        let present = segments.filter { $0 >= start }
        batches.noteMissing(in: present)
        let collector = LogCollector { name in
            cluster.restoredNode(named: name).map { NodeRestorer($0, horizon: .min) }
        }
        read(present, &batches, collector)
        guard batches.reader.damage.isEmpty, collector.newestTime > 0,
            collector.restorers.values.allSatisfy(\.beganWithState)
        else {
            for name in collector.restorers.keys { cluster.dropRestored(named: name) }
            return nil
        }
        let horizon = collector.newestTime &- cluster.configuration.window
        let first = batches.reader.segment(before: horizon, in: segments)
        let past = segments.filter { $0 >= first && $0 < start }
        guard !past.isEmpty else { return (finish(collector, batches, segments), nil) }
        // A process that died before it had read the past left parts; what this one adds is apart from them.
        let unfounded = collector.cycles.removeUnfounded()
        let report = finish(collector, batches, segments)
        let whole = collector.cycles.wholeIndices
        cluster.rollUps.beginInParts(whole: whole, writer: report.nextSegment)
        cluster.hasPastToRead.store(true, ordering: .releasing)
        return (
            report,
            LogPast(
                files: files, cluster: cluster, segments: past, next: start, horizon: horizon,
                present: Set(collector.restorers.keys), wholeCycles: whole, unfounded: unfounded)
        )
    }

    private func readAll(_ segments: [UInt64]) -> (Report, LogPast?) {
        var batches = LogBatches(files: files)
        batches.noteMissing(in: segments)
        // How far it reaches is not known yet; when its last segment began is.
        let began = lastFront(segments, batches.reader)?.time ?? 0
        let first = batches.reader.segment(
            before: began &- cluster.configuration.window, in: segments)
        let collector = LogCollector { name in
            cluster.restoredNode(named: name).map { NodeRestorer($0, horizon: .min) }
        }
        read(segments.filter { $0 >= first }, &batches, collector)
        let horizon = collector.newestTime &- cluster.configuration.window
        for restorer in collector.restorers.values { restorer.horizon = horizon }
        return (finish(collector, batches, segments), nil)
    }

    private func read(
        _ segments: [UInt64], _ batches: inout LogBatches, _ collector: LogCollector
    ) {
        for segment in segments {
            do throws(LogFileError) {
                try batches.read(segment, collector.take)
                if segment == segments.last { batches.finish(collector.take) }
            } catch {
                batches.note(error, segment)
            }
        }
    }

    /// Makes nodes and sums of what was collected.
    private func finish(
        _ collector: LogCollector, _ batches: LogBatches, _ segments: [UInt64]
    ) -> Report {
        var report = Report()
        report.segments = segments.count
        report.nextSegment = (segments.last ?? 0) + 1
        collector.cycles.restore(
            cluster.rollUps,
            present: collector.newestTime &+ cluster.configuration.resolution)
        // Names first: what frames add to the roll-ups goes by them.
        if let directory { report.losses.records += collector.names.restore(directory) }
        collector.parallel(threadCount) { $0.finish() }
        report.add(collector)
        report.damage = batches.reader.damage
        report.unfinishedBytes = batches.unfinishedBytes
        report.nextBatch = batches.lastNumber + 1
        return report
    }
}

extension LogRestorer.Report {
    /// What became of the nodes.
    mutating func add(_ collector: LogCollector) {
        for restorer in collector.restorers.values {
            frames += restorer.frames
            losses.frames += restorer.losses.frames
            losses.records += restorer.losses.records
        }
        losses.records += collector.lossCount
        nodes += collector.restorers.count
    }
}
