import Wire

/// The sinks of an aggregator with what feeds them, and the election of who writes where there is one.
final class RunningSinks: Sendable {
    let set: SinkSet
    private let feeder: CycleFeeder
    private let timeoutMilliseconds: Int64
    /// `nil` where this aggregator always writes.
    private let election: SinkElection?

    /// - Parameters:
    ///   - leader: with the apiserver to ask, for one of several aggregators.
    ///   - dataDirectory: where queues and the cursor are kept; `nil` keeps queues in memory.
    /// - Returns: `nil` where no sink is configured.
    /// - Throws: when a queue's directory cannot be used.
    init?(
        _ flags: SinkFlags, leader: (election: LeaderElection.Settings, access: APIServerAccess)?,
        for api: AggregatorAPI, dataDirectory: String?
    ) throws(UsageError) {
        guard !flags.sinks.isEmpty else { return nil }
        timeoutMilliseconds = flags.shutdownTimeoutMilliseconds
        let leadership = leader.map { _ in Leadership() }
        do throws(QueueFileError) {
            set = try SinkSet(
                flags.sinks, dataDirectory: dataDirectory,
                resolution: api.cluster.configuration.resolution, leadership: leadership)
        } catch {
            throw UsageError(problems: ["--data-dir: \(error); sinks keep their queues there"])
        }
        // Each sink names the cluster in its own way.
        var options = api.batchOptions
        options.clusterName = nil
        // The Lease has the cursor of one of several.
        feeder = CycleFeeder(
            BatchSource(index: api.index, custom: api.custom, options: options), to: set,
            dataDirectory: leader == nil ? dataDirectory : nil)
        guard let leader, let leadership else {
            election = nil
            return
        }
        do throws(TransportError) {
            election = try SinkElection(
                leader.election, access: leader.access, leadership: leadership,
                candidate: SinkCandidate(set: set, feeder: feeder, cluster: api.cluster))
        } catch {
            throw UsageError(problems: ["--leader-elect: \(error)"])
        }
    }

    /// Adds `/api/v1/sinks` and the counters in `/metrics`.
    func show(in api: inout AggregatorAPI) {
        api.sinks = set
        api.leader = election?.elector
        api.ownMetrics.append { [set, feeder, election, clock = api.clock] text in
            set.write(to: &text, now: Int64(clock.realtimeNanoseconds / 1_000_000))
            feeder.write(to: &text)
            election?.write(to: &text)
        }
    }

    /// Begins to hand cycles on. What the model was given before counts as an earlier process's.
    func start() throws(TransportError) {
        try set.start()
        try feeder.start(isIdle: election != nil)
        try election?.elector.start()
    }

    /// Hands on what is closed and delivers as much as the time allows, then lets another aggregator
    /// write. Call it once, when nothing more is taken in.
    func stop() {
        let clock = Clock.system
        let deadline =
            clock.monotonicNanoseconds + UInt64(max(0, timeoutMilliseconds)) * 1_000_000
        feeder.stop(deadline: deadline)
        let now = clock.monotonicNanoseconds
        set.stop(timeoutMilliseconds: Int64((deadline - min(deadline, now)) / 1_000_000))
        feeder.saveFinally()
        election?.elector.stop()
    }
}
