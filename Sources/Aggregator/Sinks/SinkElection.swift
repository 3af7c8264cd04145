import Synchronization
import Wire

/// The election of the aggregator that writes to sinks, through the apiserver that names come from.
final class SinkElection: Sendable {
    let elector: LeaderElector
    private let lease: String

    /// - Throws: when the process has no descriptor left.
    init(
        _ flags: LeaderElection.Settings, access: APIServerAccess, leadership: Leadership,
        candidate: SinkCandidate
    ) throws(TransportError) {
        lease = flags.name
        let interruption = try Interruption()
        // An attempt must leave time for another within the deadline, as client-go has it.
        let seconds = max(1, Int(flags.timing.renewDeadline / 4_000_000_000))
        let timeouts = HTTPTimeouts(
            connectSeconds: seconds, headSeconds: seconds, idleSeconds: seconds)
        func store(_ interruption: Interruption?) -> APIServerLeaseStore {
            APIServerLeaseStore(
                client: APIServerClient(access, interruption: interruption, timeouts: timeouts),
                name: flags.name, namespace: flags.namespace)
        }
        elector = LeaderElector(
            LeaderElection(identity: LeaderElector.ownIdentity, timing: flags.timing),
            store: store(interruption), candidate: candidate, leadership: leadership,
            interruption: interruption, lastStore: store(nil))
    }

    func write(to text: inout PrometheusText) { elector.write(to: &text, lease: lease) }
}

/// The sinks as the election sees them.
final class SinkCandidate: LeaderCandidate {
    private let set: SinkSet
    private let feeder: CycleFeeder
    private let cluster: Cluster
    /// What was in the Lease, with sinks that only other aggregators have.
    private let carried = Mutex(SinkCursors())

    init(set: SinkSet, feeder: CycleFeeder, cluster: Cluster) {
        self.set = set
        self.feeder = feeder
        self.cluster = cluster
    }

    func acquired(cursors text: String?) {
        let oldest = cluster.rollUps.reportingNodes.first { $0.count > 0 }?.cycle
        var known = SinkCursors()
        if let text {
            if let parsed = SinkCursors(parsing: text) {
                known = parsed
            } else if let oldest {
                // Somebody wrote and nobody knows how far: rather twice than not at all.
                Diagnostics.warning(
                    "the Lease does not say how far sinks are; all that is known is sent again")
                let through = max(0, oldest - cluster.configuration.resolution)
                for name in set.names { known.sinks[name] = SinkCursor(through: through) }
            }
        }
        carried.withLock { $0 = known }
        feeder.resume(set.resume(known, oldestCycle: oldest))
    }

    func lost() {
        feeder.suspend()
        set.suspend()
    }

    var cursors: String {
        var progress = feeder.progress
        if let absent = progress?.absent, !SinkCursors.canName(absent) {
            // Rather those that this one has met: others may have no agent.
            progress?.absent = absent.filter { cluster.node(named: $0.key) != nil }
        }
        let own = set.cursors(after: progress)
        return carried.withLock { carried in
            if progress != nil { carried.absent = own.absent }
            carried.sinks.merge(own.sinks) { $1 }
            return carried.text
        }
    }
}
