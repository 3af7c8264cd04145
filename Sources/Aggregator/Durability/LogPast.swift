import Wire

/// The part of the window that agents need not wait for: read while they go on, and put in front of what
/// they bring.
///
/// Until it is there, nodes that were silent before the restart are unknown, so no new node may come
/// (`Cluster.hasPastToRead`), and what is added to older cycles goes into the log as a part of its own.
///
/// Its files are its own, so any one thread may read it.
struct LogPast: @unchecked Sendable {
    let files: any LogFiles
    let cluster: Cluster
    /// Oldest first.
    let segments: [UInt64]
    /// The segment after them, which was read.
    let next: UInt64
    /// What is older need not be in memory, milliseconds since the epoch.
    let horizon: Int64
    /// Nodes that are there from the segment after these on.
    let present: Set<String>
    /// Cycles whose sums are, by number.
    let wholeCycles: Set<Int64>
    /// Parts of others, of which what they are on top of is here.
    let unfounded: RestoredCycles

    /// Reads it, on the thread that calls.
    ///
    /// - Parameter isStopped: asked between segments; then the rest is left where it is.
    func restore(isStopped: () -> Bool = { false }) -> LogRestorer.Report {
        var report = LogRestorer.Report()
        var batches = LogBatches(files: files)
        batches.noteMissing(in: segments + [next])
        let collector = LogCollector { name in
            guard present.contains(name), let node = cluster.node(named: name) else {
                return NodeRestorer(cluster.unlistedNode(named: name), horizon: horizon)
            }
            return NodeRestorer(
                cluster.detachedNode(named: name), horizon: horizon, inFrontOf: node)
        }
        for segment in segments where !isStopped() {
            do throws(LogFileError) {
                try batches.read(segment, collector.take)
                if segment == segments.last {
                    batches.finish(before: try batches.reader.front(next)?.number, collector.take)
                }
            } catch {
                batches.note(error, segment)
            }
            collector.parallel(1) { $0.work() }
        }
        guard !isStopped() else { return report }
        collector.cycles.take(unfounded)
        cluster.rollUps.becomeWhole(with: collector.cycles.entries(except: wholeCycles))
        collector.parallel(1) { $0.finish() }
        // One that was there may have been forgotten meanwhile; no agent could bring it back.
        for (name, restorer) in collector.restorers where cluster.node(named: name) == nil {
            cluster.list(restorer.restored)
        }
        report.add(collector)
        report.nodes = collector.restorers.keys.count { !present.contains($0) }
        report.damage = batches.reader.damage
        report.unfinishedBytes = batches.unfinishedBytes
        cluster.layoutClock.tick()
        cluster.hasPastToRead.store(false, ordering: .releasing)
        return report
    }
}
