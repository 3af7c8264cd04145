import Synchronization
import Wire

/// Brings the model back from the log's tail: what the window needs, and every node's newest state.
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
        /// When the last batch was closed, milliseconds since the epoch; 0 without one.
        var newestTime: Int64 = 0
    }

    let files: any LogFiles
    let cluster: Cluster
    /// Where names go; `nil` where they are not wanted.
    var directory: PodDirectory?
    var threadCount = 2

    /// Reads the log into the cluster, which has no nodes yet.
    ///
    /// - Throws: when the folder cannot be listed. What cannot be read is damage.
    func restore() throws(LogFileError) -> Report {
        var report = Report()
        var batches = LogBatches(files: files)
        let segments = try batches.reader.segments()
        report.segments = segments.count
        batches.noteMissing(in: segments)
        report.nextSegment = (segments.last ?? 0) + 1
        report.newestTime = newestTime(segments)
        let horizon = report.newestTime &- cluster.configuration.window
        let first = batches.reader.segment(before: horizon, in: segments)
        var restorers: [String: NodeRestorer] = [:]
        var names = RestoredNames()
        for segment in segments where segment >= first {
            let take = { (batch: borrowing LogBatches.Contents) in
                self.take(batch, horizon, &restorers, &names)
            }
            do throws(LogFileError) {
                try batches.read(segment, take)
                if segment == segments.last { batches.finish(take) }
            } catch {
                batches.note(error, segment)
            }
            parallel(Array(restorers.values)) { $0.work() }
        }
        // Names first: what frames add to the roll-ups goes by them.
        if let directory { report.losses.records += names.restore(directory) }
        parallel(Array(restorers.values)) { $0.finish() }
        for restorer in restorers.values {
            report.frames += restorer.frames
            report.losses.frames += restorer.losses.frames
            report.losses.records += restorer.losses.records
        }
        report.nodes = restorers.count
        report.damage = batches.reader.damage
        report.unfinishedBytes = batches.unfinishedBytes
        report.nextBatch = batches.lastNumber + 1
        return report
    }

    private func take(
        _ batch: borrowing LogBatches.Contents, _ horizon: Int64,
        _ restorers: inout [String: NodeRestorer], _ restoredNames: inout RestoredNames
    ) {
        let names = batch.names
        var byNumber: [UInt32: NodeRestorer] = [:]
        batch.visit { record in
            switch record.kind {
            case .metadata: restoredNames.take(record)
            case .cycle: takeCycle(record.payload)
            case .node, .batchBegin, .batchEnd, .continuation: break
            case .chain, .subjects, .frame, .gap, .nodeState, .chainState, .facts:
                if let known = byNumber[record.node] { return known.hold(record) }
                guard let name = names[record.node],
                    let restorer = restorers[name] ?? make(name, horizon)
                else { return }
                restorers[name] = restorer
                byNumber[record.node] = restorer
                restorer.hold(record)
            }
        }
    }

    private func make(_ name: String, _ horizon: Int64) -> NodeRestorer? {
        cluster.restoredNode(named: name).map { NodeRestorer($0, horizon: horizon) }
    }

    private func takeCycle(_ payload: UnsafeRawBufferPointer) {
        do throws(WireError) {
            cluster.rollUps.restore(try CycleEntry(decoding: payload))
        } catch {
            Diagnostics.warning("the log has a cycle that cannot be read: \(error)")
        }
    }

    /// When the last batch was closed.
    private func newestTime(_ segments: [UInt64]) -> Int64 {
        var newest: Int64 = 0
        for segment in segments.reversed() where newest == 0 {
            var batches = LogBatches(files: files)
            do throws(LogFileError) {
                try batches.read(segment) { newest = max(newest, $0.time) }
                batches.finish { newest = max(newest, $0.time) }
            } catch {
                // Said when it is read in earnest.
                continue
            }
        }
        return newest
    }

    /// Runs `body` for each on a few threads.
    private func parallel(
        _ restorers: [NodeRestorer], _ body: @escaping @Sendable (NodeRestorer) -> Void
    ) {
        let work = RestoreWork(restorers, body)
        var threads: [SystemThread] = []
        for number in 1..<max(1, min(threadCount, restorers.count)) {
            do throws(TransportError) {
                threads.append(
                    try SystemThread.start(name: "restore-\(number)", stackByteCount: 8 << 20) {
                        work.run()
                    })
            } catch {
                Diagnostics.warning("\(error); the log is read by fewer threads")
            }
        }
        work.run()
        for thread in threads { thread.join() }
    }
}

/// Nodes that several threads take from, each node by one.
private final class RestoreWork: @unchecked Sendable {
    private let restorers: [NodeRestorer]
    private let body: @Sendable (NodeRestorer) -> Void
    private let next = Atomic<Int>(0)

    init(_ restorers: [NodeRestorer], _ body: @escaping @Sendable (NodeRestorer) -> Void) {
        self.restorers = restorers
        self.body = body
    }

    func run() {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < restorers.count else { return }
            body(restorers[index])
        }
    }
}
