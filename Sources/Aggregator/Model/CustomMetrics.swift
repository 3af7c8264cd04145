import Synchronization

/// Whose custom metric it is: a pod's, or a container's of it.
struct CustomOwner: Hashable, Sendable {
    var namespace: String
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
    private let state = Mutex(State())

    init(configuration: ModelConfiguration, limits: Limits = Limits()) {
        self.configuration = configuration
        self.limits = limits
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
        return state.withLock { state in
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
        return state.withLock { state in
            guard let all = state.pods[pod]?[owner.container] else { return [] }
            return all.compactMap { key, series -> (name: String, value: Double)? in
                guard key.labels.isEmpty, let last = series.points.last, last.cycle >= oldest
                else { return nil }
                return ("custom/\(key.name)", last.value)
            }.sorted { $0.name < $1.name }
        }
    }

    /// Every name that anybody has, without `custom/`.
    func allNames() -> Set<String> {
        state.withLock { state in
            var found = Set<String>()
            for containers in state.pods.values {
                for series in containers.values { found.formUnion(series.keys.map(\.name)) }
            }
            return found
        }
    }

    var seriesCount: Int { state.withLock { $0.seriesCount } }

    private func forEachSeries(of owner: CustomOwner, _ body: (SeriesKey, Series) -> Void) {
        let pod = PodKey(namespace: owner.namespace, pod: owner.pod)
        state.withLock { state in
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
