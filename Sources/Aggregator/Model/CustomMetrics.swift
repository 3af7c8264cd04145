import Synchronization
import Wire

/// Whose custom metric it is: a container's, a pod's, a namespace's, or nobody's (the cluster's).
struct CustomOwner: Hashable, Sendable {
    /// Empty for the cluster.
    var namespace: String
    /// Empty for the namespace itself.
    var pod: String
    /// Empty for the pod itself.
    var container = ""
}

/// Metrics that applications push: `custom/NAME` in the model.
///
/// In memory for the history window, one value a cycle, bounded in series and points. A label set
/// makes a series of its own; Heapster's custom metrics had none.
final class CustomMetrics: Sendable {
    /// How much may be kept.
    struct Limits: Sendable {
        /// Series of all pods.
        var seriesCount = 100_000
        /// Series of one pod, its containers' among them.
        var seriesCountPerPod = 500
        /// Points of one series: the window, but no more than these.
        var pointCount = 1_000
    }

    /// A series that cannot be kept.
    enum Refusal: Error, Equatable {
        case tooManySeries(limit: Int)
        case tooManySeriesOfPod(limit: Int)
    }

    /// One pushed value.
    struct Sample: Sendable {
        /// Without `custom/`.
        var name: String
        var labels: [String: String] = [:]
        var value: Double
        var isCounter = false
    }

    fileprivate struct SeriesKey: Hashable {
        let name: String
        let labels: [String: String]
    }

    fileprivate struct Series {
        var isCounter = false
        /// Oldest first; at most one a cycle.
        var points: [(cycle: Int64, value: Double)] = []
    }

    fileprivate struct PodKey: Hashable {
        let namespace: String
        let pod: String
    }

    fileprivate struct State {
        /// By pod, then by container, then by series.
        var pods: [PodKey: [String: [SeriesKey: Series]]] = [:]
        var seriesCount = 0
        var lastTrim: Int64 = .min
    }

    private let configuration: ModelConfiguration
    private let limits: Limits
    private let clock: Clock
    private let state = Mutex(State())

    init(
        configuration: ModelConfiguration, limits: Limits = Limits(), clock: Clock = .system
    ) {
        self.configuration = configuration
        self.limits = limits
        self.clock = clock
    }

    /// How long a pushed value stands for what is now: whoever pushes does so at least so often.
    static let currentMilliseconds: Int64 = 2 * 60_000

    private var now: Int64 { Int64(clock.realtimeNanoseconds / 1_000_000) }

    /// The state without what nobody pushed for a window.
    private func read<Result>(_ body: (State) -> Result) -> Result {
        let now = now
        return state.withLock { state in
            state.trim(now, configuration.window)
            return body(state)
        }
    }

    /// Keeps a value. `time` in milliseconds since the epoch.
    func push(_ sample: Sample, of owner: CustomOwner, time: Int64) throws(Refusal) {
        let cycle = configuration.cycle(of: time)
        let key = SeriesKey(name: sample.name, labels: sample.labels)
        let pod = PodKey(namespace: owner.namespace, pod: owner.pod)
        let (pointCount, oldest) = (limits.pointCount, time &- configuration.window)
        let refusal = state.withLock { state -> Refusal? in
            if state.pods[pod]?[owner.container]?[key] == nil {
                guard state.seriesCount < limits.seriesCount else {
                    return .tooManySeries(limit: limits.seriesCount)
                }
                let own = state.pods[pod]?.values.reduce(0) { $0 + $1.count } ?? 0
                guard own < limits.seriesCountPerPod else {
                    return .tooManySeriesOfPod(limit: limits.seriesCountPerPod)
                }
                state.seriesCount += 1
            }
            state.pods[pod, default: [:]][owner.container, default: [:]][key, default: Series()]
                .add(cycle, sample, oldest: oldest, countMax: pointCount)
            state.trim(time, configuration.window)
            return nil
        }
        if let refusal { throw refusal }
    }

    /// Names of the metrics that an owner has without labels, `custom/` in front. A pod has those of
    /// its containers.
    func names(of owner: CustomOwner) -> Set<String> {
        var found = Set<String>()
        forEachSeries(of: owner) { key, _ in
            if key.labels.isEmpty { found.insert("custom/\(key.name)") }
        }
        return found
    }

    /// The points of a metric, oldest first. A pod without one of its own has its containers' sum.
    ///
    /// - Parameter name: without `custom/`.
    func points(
        _ name: String, of owner: CustomOwner, labels: [String: String] = [:]
    ) -> [(cycle: Int64, value: Double)] {
        let key = SeriesKey(name: name, labels: labels)
        let pod = PodKey(namespace: owner.namespace, pod: owner.pod)
        return read { state in
            guard let containers = state.pods[pod] else { return [] }
            if let own = containers[owner.container]?[key] { return own.points }
            guard owner.container.isEmpty else { return [] }
            var sums: [Int64: Double] = [:]
            for series in containers.values.compactMap({ $0[key] }) {
                for point in series.points { sums[point.cycle, default: 0] += point.value }
            }
            return sums.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        }
    }

    /// The newest value of each metric without labels that this owner itself has, no older than
    /// `oldest`, in the order of the names.
    func latest(of owner: CustomOwner, oldest: Int64) -> [(name: String, value: Double)] {
        let pod = PodKey(namespace: owner.namespace, pod: owner.pod)
        return read { state in
            guard let all = state.pods[pod]?[owner.container] else { return [] }
            return all.compactMap { key, series -> (name: String, value: Double)? in
                guard key.labels.isEmpty, let last = series.points.last, last.cycle >= oldest
                else { return nil }
                return ("custom/\(key.name)", last.value)
            }.sorted { $0.name < $1.name }
        }
    }

    /// Every name that anybody of that kind has, without `custom/`.
    func allNames(of scope: Scope) -> Set<String> {
        read { state in
            var found = Set<String>()
            for (pod, containers) in state.pods where scope.contains(pod) {
                for series in containers.values { found.formUnion(series.keys.map(\.name)) }
            }
            return found
        }
    }

    /// What an owner has of a metric now, over all its label sets that are wanted: their sum, and
    /// when the newest of them was pushed. A pod without series of its own has its containers'.
    func current(
        _ name: String, of owner: CustomOwner, oldest: Int64,
        where isWanted: ([String: String]) -> Bool
    ) -> (value: Double, cycle: Int64)? {
        let pod = PodKey(namespace: owner.namespace, pod: owner.pod)
        return read { state in
            guard let containers = state.pods[pod] else { return nil }
            func sum(_ all: [SeriesKey: Series]) -> (value: Double, cycle: Int64)? {
                var total: (value: Double, cycle: Int64)?
                for (key, series) in all where key.name == name && isWanted(key.labels) {
                    guard let last = series.points.last, last.cycle >= oldest else { continue }
                    total = ((total?.value ?? 0) + last.value, max(total?.cycle ?? 0, last.cycle))
                }
                return total
            }
            if let own = containers[owner.container].flatMap(sum) { return own }
            guard owner.container.isEmpty else { return nil }
            var total: (value: Double, cycle: Int64)?
            for part in containers.values.compactMap(sum) {
                total = ((total?.value ?? 0) + part.value, max(total?.cycle ?? 0, part.cycle))
            }
            return total
        }
    }

    /// Each series of a metric that an owner itself has, with its newest value.
    func currentSeries(
        _ name: String, of owner: CustomOwner, oldest: Int64
    ) -> [(labels: [String: String], value: Double, cycle: Int64)] {
        let pod = PodKey(namespace: owner.namespace, pod: owner.pod)
        return read { state in
            (state.pods[pod]?[owner.container] ?? [:]).compactMap { key, series in
                guard key.name == name, let last = series.points.last, last.cycle >= oldest
                else { return nil }
                return (key.labels, last.value, last.cycle)
            }
        }
    }

    /// A series with its newest value.
    struct Current {
        let name: String
        let owner: CustomOwner
        let labels: [String: String]
        let isCounter: Bool
        let value: Double
        /// Of its cycle, which may not be over yet, milliseconds since the epoch; never ahead of now.
        let time: Int64
    }

    /// All series that are current, in no order: O(series).
    func current() -> [Current] {
        let now = now
        let oldest = now &- Self.currentMilliseconds
        return read { state in
            var found: [Current] = []
            for (pod, containers) in state.pods {
                for (container, all) in containers {
                    let owner = CustomOwner(
                        namespace: pod.namespace, pod: pod.pod, container: container)
                    for (key, series) in all {
                        guard let last = series.points.last, last.cycle >= oldest else { continue }
                        found.append(
                            Current(
                                name: key.name, owner: owner, labels: key.labels,
                                isCounter: series.isCounter, value: last.value,
                                time: min(last.cycle, now)))
                    }
                }
            }
            return found
        }
    }

    /// The pods of a namespace that have a series of that name, their containers' among them.
    func podNames(in namespace: String, having name: String) -> [String] {
        read { state in
            state.pods.filter { pod, containers in
                pod.namespace == namespace && !pod.pod.isEmpty
                    && containers.values.contains { $0.keys.contains { $0.name == name } }
            }.map(\.key.pod)
        }
    }

    /// Namespaces that have a series of that name themselves.
    func namespaces(having name: String) -> [String] {
        read { state in
            state.pods.filter { pod, containers in
                Scope.namespaces.contains(pod)
                    && containers.values.contains { $0.keys.contains { $0.name == name } }
            }.map(\.key.namespace)
        }
    }

    /// What kind of owner is meant.
    enum Scope: Sendable {
        case pods, namespaces
        /// Those that no pod has: a namespace's and the cluster's.
        case withoutPod

        fileprivate func contains(_ key: PodKey) -> Bool {
            switch self {
            case .pods: !key.pod.isEmpty
            case .namespaces: key.pod.isEmpty && !key.namespace.isEmpty
            case .withoutPod: key.pod.isEmpty
            }
        }
    }

    var seriesCount: Int { read { $0.seriesCount } }

    private func forEachSeries(of owner: CustomOwner, _ body: (SeriesKey, Series) -> Void) {
        let pod = PodKey(namespace: owner.namespace, pod: owner.pod)
        read { state in
            guard let containers = state.pods[pod] else { return }
            for (container, all) in containers
            where owner.container.isEmpty || container == owner.container {
                for (key, series) in all { body(key, series) }
            }
        }
    }
}

extension CustomMetrics.Series {
    fileprivate mutating func add(
        _ cycle: Int64, _ sample: CustomMetrics.Sample, oldest: Int64, countMax: Int
    ) {
        isCounter = sample.isCounter
        if let last = points.last, last.cycle >= cycle {
            // A late value goes where it belongs; the newest push of a cycle wins.
            if let index = points.firstIndex(where: { $0.cycle >= cycle }) {
                if points[index].cycle == cycle {
                    points[index].value = sample.value
                } else {
                    points.insert((cycle, sample.value), at: index)
                }
            }
        } else {
            points.append((cycle, sample.value))
        }
        // Cut in large pieces, so that a full series does not move with every point.
        let cut = points.firstIndex { $0.cycle >= oldest } ?? points.count
        if cut > 32 || points.count > countMax {
            points.removeFirst(max(cut, points.count - countMax))
        }
    }
}

extension CustomMetrics.State {
    /// Forgets series that nobody pushed for a window. At most ten times a window.
    fileprivate mutating func trim(_ now: Int64, _ window: Int64) {
        guard lastTrim == .min || now &- lastTrim >= window / 10 else { return }
        lastTrim = now
        for (pod, containers) in pods {
            let kept = containers.mapValues { all in
                all.filter { ($0.value.points.last?.cycle ?? .min) >= now &- window }
            }.filter { !$0.value.isEmpty }
            pods[pod] = kept.isEmpty ? nil : kept
        }
        seriesCount = pods.values.reduce(0) { total, containers in
            containers.values.reduce(total) { $0 + $1.count }
        }
    }
}
