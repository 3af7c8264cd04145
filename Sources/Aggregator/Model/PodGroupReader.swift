import Wire

/// A pod of a namespace or a workload, as the sums over those want it.
struct GroupPod: Sendable {
    /// As its cgroup has it.
    let uid: String
    /// What the apiserver says: requests, limits, restarts.
    let values: [MetricID: Double]
    /// What of it has no number in the catalogue: `nvidia.com/gpu/request`.
    let namedValues: [String: Double]
}

/// Sums over the pods of a workload, or of a namespace for what the roll-ups do not keep, over the
/// whole window. They are made when somebody asks, node by node, so that frames cost nothing more:
/// about 1 ms for each node on which there is or was such a pod, much less for the newest cycle alone.
///
/// Pods are told apart by UID: one that replaced another of its name counts beside it while both were
/// there.
struct PodGroupReader {
    private let reader: ModelReader
    private let byNode: [(node: NodeModel, pods: [GroupPod])]

    /// - Parameter group: a namespace or a workload; others have no pods here.
    init(_ group: Entity, reader: ModelReader) {
        self.reader = reader
        var places: [ObjectIdentifier: Int] = [:]
        var byNode: [(node: NodeModel, pods: [GroupPod])] = []
        for pod in reader.names.pods(of: group) {
            for node in reader.cluster.podNodes.nodes(of: CollectionOfOne(pod.uid)) {
                let place = places[ObjectIdentifier(node)] ?? byNode.count
                if place == byNode.count {
                    places[ObjectIdentifier(node)] = place
                    byNode.append((node, []))
                }
                byNode[place].pods.append(pod)
            }
        }
        self.byNode = byNode
    }

    // MARK: What it has

    /// Additive metrics that any of the pods has or had.
    var metrics: MetricIDSet {
        var found = MetricIDSet()
        for (node, pods) in byNode {
            let uids = Set(pods.map(\.uid))
            let isAny = node.read { state in
                var isAny = false
                state.records.visit { record in
                    guard let uid = record.pod?.subject.podUID ?? record.subject[.podUID],
                        uids.contains(uid)
                    else { return }
                    isAny = true
                    switch record.subject.kind {
                    case .pod, .container, .networkInterface: found.formUnion(record.schema.metrics)
                    case .filesystem where EphemeralStorage.part(record.subject) == .logs:
                        found.insert(.ephemeralStorageUsage)
                    default: break
                    }
                }
                return isAny
            }
            if isAny { found.formUnion(Self.figures) }
        }
        found.formIntersection(Self.additive)
        return found
    }

    /// `nvidia.com/gpu/request`, of pods that are or were there.
    var names: Set<String> {
        Set(byNode.lazy.flatMap(\.pods).flatMap(\.namedValues.keys))
    }

    private static let additive = MetricIDSet(AdditiveMetrics.all)

    private static let figures = MetricIDSet(
        AdditiveMetrics.all.filter { Catalog.metric($0).origin == .cluster })

    // MARK: Series

    /// Cycles and sums in the order of time.
    ///
    /// - Throws: `WireError` when history cannot be decoded, which is our own fault.
    func points(
        _ metric: MetricID, start: Int64, end: Int64
    ) throws(WireError) -> [(cycle: Int64, value: Double)] {
        guard AdditiveMetrics.contains(metric) else { return [] }
        if Catalog.metric(metric).origin == .cluster {
            return try constants(start: start, end: end) { $0.values[metric] }
        }
        var sums: [Int64: Double] = [:]
        for (node, pods) in byNode {
            for points in try read(metric, pods, on: node, start: start, end: end) {
                for point in points { sums[point.cycle, default: 0] += point.value }
            }
        }
        return Self.inRange(sums, start, end)
    }

    /// The same for a resource's `…/request`.
    func points(
        named name: String, start: Int64, end: Int64
    ) throws(WireError) -> [(cycle: Int64, value: Double)] {
        try constants(start: start, end: end) { $0.namedValues[name] }
    }

    /// What the apiserver says of a pod holds at each cycle at which the pod has anything.
    private func constants(
        start: Int64, end: Int64, _ value: (GroupPod) -> Double?
    ) throws(WireError) -> [(cycle: Int64, value: Double)] {
        var sums: [Int64: Double] = [:]
        for (node, pods) in byNode {
            var left = pods.compactMap { pod in value(pod).map { (pod, $0) } }
            for anchor in ModelReader.anchors where !left.isEmpty {
                let series = try read(anchor, left.map(\.0), on: node, start: start, end: end)
                for (points, (_, value)) in zip(series, left) {
                    for point in points { sums[point.cycle, default: 0] += value }
                }
                left = zip(left, series).filter { $0.1.isEmpty }.map(\.0)
            }
        }
        return Self.inRange(sums, start, end)
    }

    private static func inRange(
        _ sums: [Int64: Double], _ start: Int64, _ end: Int64
    ) -> [(cycle: Int64, value: Double)] {
        sums.filter { $0.key >= start && $0.key <= end }.sorted { $0.key < $1.key }
            .map { ($0.key, $0.value) }
    }

    /// Each pod's points on one node.
    private func read(
        _ metric: MetricID, _ pods: [GroupPod], on node: NodeModel, start: Int64, end: Int64
    ) throws(WireError) -> [[(cycle: Int64, value: Double)]] {
        let select = { (pod: GroupPod, state: NodeModel.State) in
            let entity = Entity.pod(namespace: unknownNamespace, name: pod.uid)
            return Family(of: entity, in: state, reader: reader).sources(of: metric, labels: [:])
        }
        let latest = LatestReader(node: node, resolution: reader.resolution)
        var newest: [[(cycle: Int64, value: Double)]] = []
        for pod in pods {
            let answer = latest.read(metric, start: start, end: end) { select(pod, $0) }
            guard case .values(let series) = answer else { break }
            newest.append(SourceSeries.combine(series))
        }
        if newest.count == pods.count { return newest }
        var sources: [[Family.Source]] = []
        let readings = try SeriesReader(node: node).read(until: end) { state in
            sources = pods.map { select($0, state) }
            return sources.flatMap { $0.flatMap(\.terms) }
        }
        var rest = readings[...]
        return sources.map {
            SourceSeries.combine(reader.series(of: $0, metric, taking: &rest))
        }
    }
}
