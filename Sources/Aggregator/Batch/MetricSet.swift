import Wire

/// Everything known of one entity at one cycle: Heapster's MetricSet. What sinks get, one after the
/// other, and what the batch exports show.
///
/// A batch of a large cluster is never in memory as a whole: a `Batch` hands one set at a time to its
/// reader, in a value whose arrays are used again for the next.
struct MetricSet: Sendable, Equatable {
    var kind: EntityKind = .cluster
    /// Labels in the order of their keys, `type` among them; empty values are left out by the sinks
    /// that want it so.
    var labels: [Label] = []
    /// Of a pod: what it belongs to, for the sums. It is in no label of the pod.
    var workload: Workload?
    /// Metrics without labels of their own, in the order of the catalogue.
    var values: [MetricSample] = []
    /// Metrics of children: filesystems, devices, accelerators.
    var labeledValues: [LabeledSample] = []
    /// When the values were read, milliseconds since the epoch; 0 for sums.
    var scrapeTime: Int64 = 0
    /// When the entity's counters began, milliseconds since the epoch; 0 where that is not known.
    var collectionStartTime: Int64 = 0
    /// When the entity was created, milliseconds since the epoch; 0 where that is not known.
    var entityCreateTime: Int64 = 0

    /// Forgets everything, keeps the memory.
    mutating func removeAll() {
        labels.removeAll(keepingCapacity: true)
        workload = nil
        values.removeAll(keepingCapacity: true)
        labeledValues.removeAll(keepingCapacity: true)
        scrapeTime = 0
        collectionStartTime = 0
        entityCreateTime = 0
    }

    /// Puts a label into its place in the order of keys, or in the place of the one with its key.
    mutating func setLabel(_ label: Label) {
        let place = labels.firstIndex { $0.key >= label.key } ?? labels.count
        if place < labels.count, labels[place].key == label.key {
            labels[place] = label
        } else {
            labels.insert(label, at: place)
        }
    }

    func label(_ key: String) -> String? { labels.first { $0.key == key }?.value }
    func value(_ metric: MetricID) -> MetricValue? {
        values.first { $0.metric == .catalogue(metric) }?.value
    }
}

struct Label: Sendable, Hashable {
    var key: String
    var value: String

    /// The key of the cluster's name, in Heapster's spelling.
    static let clusterName = "cluster_name"
}

/// The `type` label.
enum EntityKind: String, Sendable, CaseIterable {
    case cluster
    case namespace = "ns"
    case node
    case pod
    case container = "pod_container"
    case systemContainer = "sys_container"
    /// Not in Heapster: Deployment, StatefulSet, DaemonSet, Job, CronJob.
    case workload
}

/// One metric of a set.
struct MetricSample: Sendable, Equatable {
    var metric: MetricKey
    var value: MetricValue
    init(_ metric: MetricID, _ value: MetricValue) {
        self.metric = .catalogue(metric)
        self.value = value
    }
    init(_ metric: MetricKey, _ value: MetricValue) {
        self.metric = metric
        self.value = value
    }
}

/// What a metric is called: a row of the catalogue, or a name that only the cluster knows
/// (`nvidia.com/gpu/request`, `custom/queue_length`).
enum MetricKey: Sendable, Hashable {
    case catalogue(MetricID)
    case named(String, Metric.Kind)

    var name: String {
        switch self {
        case .catalogue(let id): Catalog.metric(id).name
        case .named(let name, _): name
        }
    }

    var kind: Metric.Kind {
        switch self {
        case .catalogue(let id): MetricTraits.isGauge(id) ? .gauge : .counter
        case .named(_, let kind): kind
        }
    }
}

/// One metric of a child.
struct LabeledSample: Sendable, Equatable {
    var metric: MetricKey
    /// In the order of their keys: `resource_id`, or `accelerator_id`, `make`, `model`.
    var labels: [Label]
    var value: MetricValue
}

/// A closed cycle, to be read set by set, as often as there are sinks.
protocol Batch: Sendable {
    /// The cycle, milliseconds since the epoch: the timestamp of every value.
    var timestamp: Int64 { get }
    /// Whether its points replace others that were handed out before.
    var isAmendment: Bool { get }
    var lateness: BatchLateness { get }
    /// Whether it is handed on because nobody knows if an earlier process has done so.
    var isRepeated: Bool { get }
    /// Calls `body` for each set. The set is only valid during the call.
    ///
    /// - Throws: what `body` throws.
    func forEachSet<Failure: Error>(
        _ body: (borrowing MetricSet) throws(Failure) -> Void
    ) throws(Failure)
    /// A sink that was too slow has let it go unread.
    func noteDropped()
}

extension Batch {
    var lateness: BatchLateness { .onTime }
    var isRepeated: Bool { false }
    func noteDropped() {}
}

/// When a batch is handed out.
enum BatchLateness: Sendable, Equatable {
    /// In its turn, soon after its cycle.
    case onTime
    /// Long after its cycle, but no later cycle was handed out before it.
    case inOrder
    /// After later cycles.
    case outOfOrder
}

/// A batch that is all there already: late parts of cycles, tests, replays.
struct RecordedBatch: Batch {
    var timestamp: Int64
    var isAmendment = false
    var lateness = BatchLateness.onTime
    var isRepeated = false
    var sets: [MetricSet]
    /// Let go of when nobody needs the batch any more.
    var receipt: BatchReceipt?

    func forEachSet<Failure: Error>(
        _ body: (borrowing MetricSet) throws(Failure) -> Void
    ) throws(Failure) {
        for set in sets { try body(set) }
    }
}
