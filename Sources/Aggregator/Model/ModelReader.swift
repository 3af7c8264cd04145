import Wire

/// Answers what the model knows of an entity: what metrics it has, and their series.
///
/// Stateless; made for each question or kept, from any thread.
struct ModelReader: Sendable {
    let cluster: Cluster
    let names: any NameSource
    var custom: CustomMetrics?

    /// A container's name in its pod; its ID while that is not known.
    func name(of container: SubjectIdentity) -> String {
        names.containerName(podUID: container.podUID, containerID: container.containerID)
            ?? container.containerID
    }

    private func uids(namespace: String, pod: String) -> Set<String> {
        namespace == unknownNamespace
            ? [pod] : Set(names.podUIDs(namespace: namespace, name: pod))
    }

    // MARK: What they have

    /// Names of an entity's metrics, those of children (filesystems, devices) left out.
    func metricNames(of entity: Entity) -> [String] {
        let values = names.values(of: entity)
        var found = MetricIDSet(values.keys)
        switch entity {
        case .cluster:
            found.formUnion(MetricIDSet(RollUps.metrics.filter { !rollUpPoints($0, nil).isEmpty }))
        case .namespace(let namespace):
            let group = PodGroupReader(entity, reader: self)
            found.formUnion(
                MetricIDSet(RollUps.metrics.filter { !rollUpPoints($0, namespace).isEmpty }))
            found.formUnion(group.metrics)
            return Self.sorted(found, Array(group.names) + customNames(entity))
        case .workload:
            let group = PodGroupReader(entity, reader: self)
            return Self.sorted(group.metrics, Array(group.names))
        default:
            var own = MetricIDSet()
            for node in nodes(for: entity) {
                node.read { state in
                    own.formUnion(Family(of: entity, in: state, reader: self).metrics)
                }
            }
            // Who was never heard of has no requests either, unless its pod was.
            if own.isEmpty {
                guard hasPodPoints(entity) else { return [] }
                found.remove(.restartCount)
            }
            found.formUnion(own)
            for ratio in Self.ratios
            where found.contains(ratio.usage) && values[ratio.allocatable] ?? 0 > 0 {
                found.insert(ratio.metric)
            }
        }
        return Self.sorted(
            found, Array(names.namedValues(of: entity).keys) + customNames(entity))
    }

    private static func sorted(_ metrics: MetricIDSet, _ others: [String]) -> [String] {
        others.isEmpty ? metrics.names : (metrics.names + others).sorted()
    }

    private func customNames(_ entity: Entity) -> Set<String> {
        guard let owner = entity.customOwner, let custom else { return [] }
        return custom.names(of: owner)
    }

    /// A container that is only specified counts as there while its pod is.
    private func hasPodPoints(_ entity: Entity) -> Bool {
        guard case .container(let namespace, let pod, let name) = entity,
            names.specifiedContainers(namespace: namespace, pod: pod).contains(name)
        else { return false }
        return !metricNames(of: .pod(namespace: namespace, name: pod)).isEmpty
    }

    /// A metric's points in [start, end], oldest first; empty for anything that is not known.
    ///
    /// - Parameters:
    ///   - name: of the catalogue, `custom/…`, or a resource's `…/request`.
    ///   - labels: selects one labeled series (a filesystem, a device): the exact set.
    func series(
        named name: String, of entity: Entity, labels: [String: String] = [:],
        start: Int64 = .min, end: Int64 = .max
    ) throws(WireError) -> [SeriesPoint] {
        if let metric = Catalog.metric(named: name) {
            return try series(metric.id, of: entity, labels: labels, start: start, end: end)
        }
        if name.hasPrefix("custom/") {
            guard let custom, let owner = entity.customOwner else { return [] }
            return custom.points(String(name.dropFirst(7)), of: owner, labels: labels)
                .filter { $0.cycle >= start && $0.cycle <= end }
                .map { SeriesPoint(cycle: $0.cycle, value: .float($0.value)) }
        }
        guard labels.isEmpty else { return [] }
        if entity.isPodGroup {
            return try PodGroupReader(entity, reader: self)
                .points(named: name, start: start, end: end)
                .map { SeriesPoint(cycle: $0.cycle, value: .integer(Int64($0.value))) }
        }
        guard let value = names.namedValues(of: entity)[name] else { return [] }
        return try cycles(of: entity, start: start, end: end).map {
            SeriesPoint(cycle: $0, value: .integer(Int64(value)))
        }
    }

    /// `series(named:)` for a metric of the catalogue.
    func series(
        _ metric: MetricID, of entity: Entity, labels: [String: String] = [:],
        start: Int64 = .min, end: Int64 = .max
    ) throws(WireError) -> [SeriesPoint] {
        let points: [(cycle: Int64, value: Double)]
        switch entity {
        case .cluster where RollUps.metrics.contains(metric) && labels.isEmpty:
            points = rollUpPoints(metric, nil)
        case .namespace(let name) where RollUps.metrics.contains(metric) && labels.isEmpty:
            points = rollUpPoints(metric, name)
        case .namespace, .workload:
            guard labels.isEmpty else { return [] }
            points = try PodGroupReader(entity, reader: self)
                .points(metric, start: start, end: end)
        default:
            if Catalog.metric(metric).origin == .cluster {
                guard labels.isEmpty else { return [] }
                return try clusterSeries(metric, of: entity, start: start, end: end)
            }
            points = try subjectPoints(
                metric, of: entity, labels: labels, start: start, end: end)
        }
        return points.filter { $0.cycle >= start && $0.cycle <= end }
            .map { SeriesPoint(cycle: $0.cycle, value: MetricValue($0.value, of: metric)) }
    }

    private func rollUpPoints(
        _ metric: MetricID, _ namespace: String?
    ) -> [(cycle: Int64, value: Double)] {
        cluster.rollUps.points(metric, namespace: namespace)
    }

    /// What a node uses of what its pods can have.
    static let ratios: [(metric: MetricID, usage: MetricID, allocatable: MetricID)] = [
        (.cpuNodeUtilization, .cpuUsageRate, .cpuNodeAllocatable),
        (.memoryNodeUtilization, .memoryUsage, .memoryNodeAllocatable),
        (
            .ephemeralStorageNodeUtilization, .ephemeralStorageUsage,
            .ephemeralStorageNodeAllocatable
        ),
    ]

    /// Figures from the API server hold at each cycle at which the entity has anything.
    private func clusterSeries(
        _ metric: MetricID, of entity: Entity, start: Int64, end: Int64
    ) throws(WireError) -> [SeriesPoint] {
        let values = names.values(of: entity)
        if let ratio = Self.ratios.first(where: { $0.metric == metric }) {
            guard let allocatable = values[ratio.allocatable], allocatable > 0 else { return [] }
            return try series(ratio.usage, of: entity, start: start, end: end).map {
                SeriesPoint(cycle: $0.cycle, value: .float($0.value.double / allocatable))
            }
        }
        guard let value = values[metric] else { return [] }
        return try cycles(of: entity, start: start, end: end).map {
            SeriesPoint(cycle: $0, value: MetricValue(value, of: metric))
        }
    }

    /// Who has any of these at a cycle was there then.
    static let anchors: [MetricID] = [.memoryUsage, .cpuUsage, .networkReceiveBytes]

    /// Cycles at which an entity has anything; a container that does not run has its pod's.
    private func cycles(
        of entity: Entity, start: Int64, end: Int64
    ) throws(WireError) -> [Int64] {
        for anchor in Self.anchors {
            let points = try series(anchor, of: entity, start: start, end: end)
            if !points.isEmpty { return points.map(\.cycle) }
        }
        if case .container(let namespace, let pod, _) = entity {
            return try cycles(
                of: .pod(namespace: namespace, name: pod), start: start, end: end)
        }
        return []
    }

    private func subjectPoints(
        _ metric: MetricID, of entity: Entity, labels: [String: String], start: Int64, end: Int64
    ) throws(WireError) -> [(cycle: Int64, value: Double)] {
        var all: [SourceSeries] = []
        for node in nodes(for: entity) {
            let select = { (state: NodeModel.State) in
                Family(of: entity, in: state, reader: self).sources(of: metric, labels: labels)
            }
            let latest = LatestReader(node: node, resolution: resolution)
            if case .values(let series) = latest.read(metric, start: start, end: end, select) {
                all += series
                continue
            }
            var sources: [Family.Source] = []
            let readings = try SeriesReader(node: node).read(until: end) { state in
                sources = select(state)
                return sources.flatMap(\.terms)
            }
            var rest = readings[...]
            all += series(of: sources, metric, taking: &rest)
        }
        return SourceSeries.combine(all)
    }

    var resolution: Int64 { cluster.configuration.resolution }

    /// The series of sources whose terms were read, one after the other.
    func series(
        of sources: [Family.Source], _ metric: MetricID,
        taking rest: inout ArraySlice<SeriesReader.Readings>
    ) -> [SourceSeries] {
        sources.map { source in
            let terms = rest.prefix(source.terms.count).map { points(metric, $0) }
            rest = rest.dropFirst(source.terms.count)
            return SourceSeries(start: source.start, points: SourceSeries.sum(terms))
        }
    }

    private func points(
        _ metric: MetricID, _ readings: SeriesReader.Readings
    ) -> [(cycle: Int64, value: Double)] {
        var readings = readings
        readings.sort()
        if Rates.counter(of: metric) != nil {
            return readings.rates(metric, resolution: cluster.configuration.resolution)
        }
        guard metric == .uptime, readings.term.isStartTime else {
            return readings.points.map { ($0.cycle, Double($0.reading.value)) }
        }
        let start = readings.term.record.subject.startTimeMilliseconds
        return readings.points.map { ($0.cycle, Double($0.reading.time &- start)) }
    }

    private func nodes(for entity: Entity) -> [NodeModel] {
        switch entity {
        case .cluster, .namespace, .workload: return []
        case .node(let name), .systemContainer(let name, _):
            return cluster.node(named: name).map { [$0] } ?? []
        case .pod, .container: return cluster.podNodes.nodes(of: podUIDs(of: entity))
        }
    }

    /// Whether a subject is the entity itself.
    func matches(
        _ subject: SubjectIdentity, _ entity: Entity, _ uids: [SubjectIdentity.PackedText]
    ) -> Bool {
        switch entity {
        case .cluster, .namespace, .workload: false
        case .node: subject.kind == .node
        case .systemContainer(_, let name):
            subject.kind == .systemContainer && subject.name == name
        case .pod: subject.kind == .pod && uids.contains { subject.has(.podUID, $0) }
        case .container(_, _, let name):
            subject.kind == .container && uids.contains { subject.has(.podUID, $0) }
                && self.name(of: subject) == name
        }
    }

    func podUIDs(of entity: Entity) -> Set<String> {
        switch entity {
        case .pod(let namespace, let name): uids(namespace: namespace, pod: name)
        case .container(let namespace, let pod, _): uids(namespace: namespace, pod: pod)
        default: []
        }
    }
}

extension Entity {
    /// Whose custom metrics are this entity's.
    var customOwner: CustomOwner? {
        switch self {
        case .cluster: CustomOwner(namespace: "", pod: "")
        case .namespace(let name): CustomOwner(namespace: name, pod: "")
        case .pod(let namespace, let name): CustomOwner(namespace: namespace, pod: name)
        case .container(let namespace, let pod, let name):
            CustomOwner(namespace: namespace, pod: pod, container: name)
        case .node, .systemContainer, .workload: nil
        }
    }

    /// Whether it is the sum of its pods.
    var isPodGroup: Bool {
        switch self {
        case .namespace, .workload: true
        default: false
        }
    }
}
