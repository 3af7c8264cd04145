import Synchronization

/// Who is who in the cluster: the names that the model joins to pod UIDs and container IDs.
///
/// Fed by a source (the apiserver, a file, the log after a restart), read by many threads. One lock
/// guards the tables; a lookup holds it for about 0.2 microseconds and a writer for at most
/// `batchLimit` changes (4 microseconds each), so neither waits for a list of 150,000 pods. What comes out is immutable.
/// For the hot path `node(_:)` gives each node's part with a lock of its own and a generation number.
///
/// A pod that has gone stays known for the history window, by UID, container ID and name, so that
/// yesterday's series keep their names. A name that is used again with another UID is another pod: the
/// newest is found by name first.
final class PodDirectory: Sendable {
    /// Changes under one hold of the lock.
    private static let batchLimit = 256

    private let state: Mutex<DirectoryState>
    private let counter = Atomic<UInt64>(0)
    private let restored = Atomic<Int64>(0)

    /// - Parameters:
    ///   - window: for how long departed pods stay known, milliseconds.
    ///   - departedLimit: how many departed pods are kept at most; the oldest go first, counted.
    init(window: Int64 = 15 * 60_000, departedLimit: Int = 200_000) {
        state = Mutex(DirectoryState(window: window, departedLimit: departedLimit))
    }

    /// Grows with every change of anything. For whoever caches what is not of one node.
    var generation: UInt64 { counter.load(ordering: .acquiring) }

    // MARK: Changing

    /// Called with each change that made a difference and its time, in order, under the lock: it must
    /// be quick and must not ask the directory. For the durable log.
    func setObserver(_ observer: (@Sendable (MetadataChange, Int64) -> Void)?) {
        state.withLock { $0.observer = observer }
    }

    /// Applies changes in order. `now` in milliseconds since the epoch.
    func apply(_ changes: some Collection<MetadataChange>, now: Int64) {
        var rest = changes[...]
        repeat {
            let batch = rest.prefix(Self.batchLimit)
            rest = rest.dropFirst(Self.batchLimit)
            state.withLock { state in
                for change in batch where state.apply(change, now: now) {
                    counter.add(1, ordering: .releasing)
                }
                // As many as may have come: what has gone does not pile up.
                _ = state.expire(now: now, limit: Self.batchLimit)
            }
        } while !rest.isEmpty
    }

    func apply(_ change: MetadataChange, now: Int64) {
        apply(CollectionOfOne(change), now: now)
    }

    /// Puts a complete list in the place of all pods that are known: those that it lacks have gone.
    func replacePods(_ pods: [Pod], now: Int64) {
        let listed = Set(pods.map(\.uid))
        let missing = state.withLock { $0.livePodUIDs().filter { !listed.contains($0) } }
        // First those that went: a name is free before it is used again.
        apply(missing.lazy.map { .podRemoved($0) }, now: now)
        apply(pods.lazy.map { .pod($0) }, now: now)
    }

    func replaceNodes(_ nodes: [Node], now: Int64) {
        let listed = Set(nodes.map(\.name))
        let missing = state.withLock { $0.nodeNames().filter { !listed.contains($0) } }
        apply(nodes.lazy.map { .node($0) }, now: now)
        apply(missing.lazy.map { .nodeRemoved(name: $0) }, now: now)
    }

    func replaceNamespaces(_ namespaces: [Namespace], now: Int64) {
        let listed = Set(namespaces.map(\.name))
        let missing = state.withLock { $0.namespaceNames().filter { !listed.contains($0) } }
        apply(namespaces.lazy.map { .namespace($0) }, now: now)
        apply(missing.lazy.map { .namespaceRemoved(name: $0) }, now: now)
    }

    /// Objects of one kind, `ReplicaSet` or `Job`.
    func replaceOwned(kind: String, _ objects: [OwnedObject], now: Int64) {
        let listed = Set(objects.map(\.uid))
        let missing = state.withLock { $0.ownedUIDs(kind: kind).filter { !listed.contains($0) } }
        apply(objects.lazy.map { .owned($0) }, now: now)
        apply(missing.lazy.map { .ownedRemoved($0) }, now: now)
    }

    /// Forgets pods that went before the window began. `apply` does it too.
    func expire(now: Int64) {
        while state.withLock({ $0.expire(now: now, limit: Self.batchLimit) }) {}
    }

    /// The time of the newest change that came from the log, milliseconds since the epoch; `nil` when
    /// nothing did. Names are as of then until the source has answered.
    var restoredTime: Int64? {
        let time = restored.load(ordering: .relaxed)
        return time > 0 ? time : nil
    }

    func noteRestored(_ time: Int64) {
        restored.store(max(time, restored.load(ordering: .relaxed)), ordering: .relaxed)
    }

    func withState(_ body: (borrowing DirectoryState) -> Void) { state.withLock { body($0) } }

    // MARK: Asking

    /// One node's part; made at the first question, so that a reader may wait for a node.
    func node(_ name: String) -> NodeMetadata { state.withLock { $0.nodeMetadata(name) } }

    /// `nil` for a node that nothing is known of.
    func knownNode(_ name: String) -> NodeMetadata? { state.withLock { $0.byNode[name] } }

    /// By UID, or by the UID that a static pod has on its node.
    func pod(uid: ObjectUID) -> Pod? { state.withLock { $0.pod(uid: uid) } }

    /// By UID, only while it is there.
    func livePod(uid: ObjectUID) -> Pod? { state.withLock { $0.livePod(uid: uid) } }

    /// By container ID, also of an earlier run within the window.
    func container(id: ContainerID) -> PodContainer? { state.withLock { $0.container(id: id) } }

    /// The pods that have or had a name within the window, the newest first.
    func pods(namespace: String, name: String) -> [Pod] {
        state.withLock { $0.pods(namespace: namespace, name: name) }
    }

    /// The pods of a namespace that are there now, in no order.
    func pods(namespace: String) -> [Pod] { state.withLock { $0.pods(namespace: namespace) } }

    /// All pods that are there now, in no order: O(pods), about 2 ms for 150,000.
    func pods() -> [Pod] { state.withLock { $0.livePods() } }

    /// All nodes that the source told of, in no order.
    func nodes() -> [Node] { state.withLock { $0.allNodes() } }

    /// The names of these.
    func nodeNames() -> [String] { state.withLock { $0.nodeNames() } }

    func namespace(_ name: String) -> Namespace? { state.withLock { $0.namespaces[name] } }
    func namespaces() -> [Namespace] { state.withLock { Array($0.namespaces.values) } }

    /// Sums over the pods that hold resources, of a namespace or of all.
    func totals(namespace: String?) -> ResourceTotals {
        state.withLock { $0.totals(namespace: namespace) }
    }

    /// The pods of a namespace that are there or went within the window, in no order.
    func allPods(namespace: String) -> [Pod] { state.withLock { $0.allPods(namespace: namespace) } }

    /// Who controls a replica set or a job.
    func outerController(of uid: ObjectUID) -> OwnerReference? {
        state.withLock { $0.owned[uid] }?.controller
    }

    /// For the aggregator's own metrics.
    struct Counts: Sendable, Equatable {
        var pods = 0
        var departedPods = 0
        var containers = 0
        var nodes = 0
        var namespaces = 0
        /// Departed pods forgotten before the window's end because there were too many.
        var evictedPods: UInt64 = 0
    }

    var counts: Counts { state.withLock { $0.counts } }
}
