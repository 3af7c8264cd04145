import Wire

/// What can be asked about, in Heapster's terms.
enum Entity: Hashable, Sendable {
    case cluster
    case namespace(String)
    case node(String)
    case pod(namespace: String, name: String)
    case container(namespace: String, pod: String, name: String)
    /// A cgroup outside any pod, a "free container" of Heapster's API.
    case systemContainer(node: String, name: String)
    /// A deployment, stateful set, daemon set, job, cron job: the sum of its pods.
    case workload(Workload)
}

/// A value as it is answered: whole where the metric is whole.
enum MetricValue: Sendable, Equatable {
    case integer(Int64)
    case float(Double)

    /// The type by the catalogue: everything but per-second rates and ratios is whole.
    init(_ value: Double, of metric: MetricID) {
        if MetricTraits.isFraction(metric) {
            self = .float(value)
        } else {
            self = .integer(Int64(exactly: value.rounded(.towardZero)) ?? 0)
        }
    }

    /// The same for a value as frames carry it, every digit of it.
    init(_ value: Int64, of metric: MetricID) {
        self = MetricTraits.isFraction(metric) ? .float(Double(value)) : .integer(value)
    }

    var double: Double {
        switch self {
        case .integer(let value): Double(value)
        case .float(let value): value
        }
    }
}

/// A value of a series at a cycle.
struct SeriesPoint: Sendable, Equatable {
    /// Milliseconds since the epoch.
    let cycle: Int64
    let value: MetricValue
}

/// What the model must be told about names; the pod directory answers it.
protocol NameSource: Sendable {
    /// Namespace and name of a pod.
    func pod(uid: String) -> PodName?
    /// The pods that have or had this name, newest first.
    func podUIDs(namespace: String, name: String) -> [String]
    /// The container's name within its pod.
    func containerName(podUID: String, containerID: String) -> String?
    /// Figures that do not come from the node: requests, limits, restarts, capacity.
    func values(of entity: Entity) -> [MetricID: Double]
    /// Containers in the specification of a pod, whether they run or not.
    func specifiedContainers(namespace: String, pod: String) -> [String]
    /// Figures that have no number in the catalogue: `nvidia.com/gpu/request`.
    func namedValues(of entity: Entity) -> [String: Double]
    /// The pods that a namespace or workload has or had; none of anything else.
    func pods(of group: Entity) -> [GroupPod]
}

extension NameSource {
    func namedValues(of entity: Entity) -> [String: Double] { [:] }
    func pods(of group: Entity) -> [GroupPod] { [] }
}

struct PodName: Sendable, Hashable {
    let namespace: String
    let name: String
}

/// Nobody to ask: pods go by their UIDs.
struct NoNames: NameSource {
    func pod(uid: String) -> PodName? { nil }
    func podUIDs(namespace: String, name: String) -> [String] { [] }
    func containerName(podUID: String, containerID: String) -> String? { nil }
    func values(of entity: Entity) -> [MetricID: Double] { [:] }
    func specifiedContainers(namespace: String, pod: String) -> [String] { [] }
}
