import Wire

/// Answers what the model knows: who there is, what metrics they have, their series.
///
/// Stateless; made for each question or kept, from any thread.
struct ModelReader: Sendable {
    let cluster: Cluster
    let names: any NameSource

    // MARK: Who there is

    /// Nodes with a frame no older than three cycles before the newest one.
    func nodes() -> [String] { currentNodes().map(\.name) }

    /// Namespaces of the pods that run now.
    func namespaces() -> [String] {
        Set(livePods().map(\.name.namespace)).sorted()
    }

    func pods(in namespace: String) -> [String] {
        Set(livePods().filter { $0.name.namespace == namespace }.map(\.name.name)).sorted()
    }

    func containers(namespace: String, pod: String) -> [String] {
        let uids = uids(namespace: namespace, pod: pod)
        var found = Set<String>()
        for node in current(cluster.podNodes.nodes(of: uids)) {
            for subject in liveSubjects(of: node)
            where subject.kind == .container && uids.contains(subject.podUID)
                && !subject.isSandbox
            {
                found.insert(name(of: subject))
            }
        }
        if !found.isEmpty {
            found.formUnion(names.specifiedContainers(namespace: namespace, pod: pod))
        }
        return found.sorted()
    }

    func systemContainers(of node: String) -> [String] {
        guard let node = cluster.node(named: node) else { return [] }
        return liveSubjects(of: node).filter { $0.kind == .systemContainer }.map(\.name).sorted()
    }

    /// A pod that runs now, and where.
    struct LivePod {
        let name: PodName
        let uid: String
        let node: NodeModel
    }

    func livePods() -> [LivePod] {
        currentNodes().flatMap { node in
            Set(liveSubjects(of: node).filter { $0.kind == .pod }.map(\.podUID)).map {
                LivePod(name: podName(uid: $0), uid: $0, node: node)
            }
        }
    }

    func podName(uid: String) -> PodName {
        names.pod(uid: uid) ?? PodName(namespace: unknownNamespace, name: uid)
    }

    /// A container's name in its pod; its ID while that is not known.
    func name(of container: Subject) -> String {
        names.containerName(podUID: container.podUID, containerID: container.containerID)
            ?? container.containerID
    }

    private func uids(namespace: String, pod: String) -> Set<String> {
        namespace == unknownNamespace
            ? [pod] : Set(names.podUIDs(namespace: namespace, name: pod))
    }

    /// Nodes that are not stale.
    func currentNodes() -> [NodeModel] { current(cluster.nodes) }

    private func current(_ nodes: [NodeModel]) -> [NodeModel] {
        guard !nodes.isEmpty, let newest = cluster.newestStep else { return [] }
        let horizon = newest &- 3 &* cluster.configuration.resolution
        return nodes.filter { $0.lastStep >= horizon }
    }

    private func liveSubjects(of node: NodeModel) -> [Subject] {
        node.read { state in state.live?.liveRecords.map(\.subject) ?? [] }
    }

    // MARK: What they have

    /// Names of an entity's metrics, those of children (filesystems, devices) left out.
    func metricNames(of entity: Entity) -> [String] {
        var found = Set(names.values(of: entity).keys)
        switch entity {
        case .cluster:
            found.formUnion(RollUps.metrics.filter { !rollUpPoints($0, nil).isEmpty })
        case .namespace(let namespace):
            found.formUnion(RollUps.metrics.filter { !rollUpPoints($0, namespace).isEmpty })
        default:
            for node in nodes(for: entity) {
                node.read { state in
                    let family = Family(of: entity, in: state, reader: self)
                    found.formUnion(family.metrics)
                }
            }
        }
        return found.map { Catalog.metric($0).name }.sorted()
    }

    /// A metric's points in [start, end], oldest first; empty for anything that is not known.
    ///
    /// - Parameter labels: selects one labeled series (a filesystem, a device): the exact set.
    func series(
        _ metric: MetricID, of entity: Entity, labels: [String: String] = [:],
        start: Int64 = .min, end: Int64 = .max
    ) throws(WireError) -> [SeriesPoint] {
        if Catalog.metric(metric).origin == .cluster {
            return try constantSeries(metric, of: entity, start: start, end: end)
        }
        let points: [(cycle: Int64, value: Double)]
        switch entity {
        case .cluster: points = rollUpPoints(metric, nil)
        case .namespace(let namespace): points = rollUpPoints(metric, namespace)
        default:
            points = try subjectPoints(metric, of: entity, labels: labels, start: start, end: end)
        }
        return points.filter { $0.cycle >= start && $0.cycle <= end }
            .map { SeriesPoint(cycle: $0.cycle, value: MetricValue($0.value, of: metric)) }
    }

    private func rollUpPoints(
        _ metric: MetricID, _ namespace: String?
    ) -> [(cycle: Int64, value: Double)] {
        cluster.rollUps.points(metric, namespace: namespace)
    }

    /// A figure from the API server holds at each cycle at which the entity has anything.
    private func constantSeries(
        _ metric: MetricID, of entity: Entity, start: Int64, end: Int64
    ) throws(WireError) -> [SeriesPoint] {
        guard let value = names.values(of: entity)[metric] else { return [] }
        let anchor: MetricID
        switch entity {
        case .cluster, .namespace: anchor = .memoryUsage
        default: anchor = .cpuUsage
        }
        return try series(anchor, of: entity, start: start, end: end).map {
            SeriesPoint(cycle: $0.cycle, value: MetricValue(value, of: metric))
        }
    }

    private func subjectPoints(
        _ metric: MetricID, of entity: Entity, labels: [String: String], start: Int64, end: Int64
    ) throws(WireError) -> [(cycle: Int64, value: Double)] {
        let resolution = cluster.configuration.resolution
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
            for source in sources {
                let terms = rest.prefix(source.terms.count).map { points(metric, $0) }
                rest = rest.dropFirst(source.terms.count)
                all.append(SourceSeries(start: source.start, points: SourceSeries.sum(terms)))
            }
        }
        return SourceSeries.combine(all)
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
        case .cluster, .namespace: return []
        case .node(let name), .systemContainer(let name, _):
            return cluster.node(named: name).map { [$0] } ?? []
        case .pod, .container: return cluster.podNodes.nodes(of: podUIDs(of: entity))
        }
    }

    /// Whether a subject is the entity itself.
    func matches(_ subject: Subject, _ entity: Entity, _ uids: Set<String>) -> Bool {
        switch entity {
        case .cluster, .namespace: false
        case .node: subject.kind == .node
        case .systemContainer(_, let name):
            subject.kind == .systemContainer && subject.name == name
        case .pod: subject.kind == .pod && uids.contains(subject.podUID)
        case .container(_, _, let name):
            subject.kind == .container && uids.contains(subject.podUID)
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

extension Subject {
    /// The pause container that holds a pod's namespaces: not one of the pod's own containers.
    var isSandbox: Bool { attributes[.sandbox] == "sandbox" }
}

extension ModelReader {
    /// Heapster's keys of everything that runs now: `namespace:default/pod:web`.
    func keys() -> [String] {
        var found: Set<String> = ["cluster"]
        for node in currentNodes() {
            for subject in liveSubjects(of: node) {
                switch subject.kind {
                case .node: found.insert("node:\(node.name)")
                case .systemContainer: found.insert("node:\(node.name)/container:\(subject.name)")
                case .pod, .container:
                    let pod = podName(uid: subject.podUID)
                    found.insert("namespace:\(pod.namespace)")
                    let key = "namespace:\(pod.namespace)/pod:\(pod.name)"
                    found.insert(key)
                    if subject.kind == .container, !subject.isSandbox {
                        found.insert("\(key)/container:\(name(of: subject))")
                    }
                default: break
                }
            }
        }
        return found.sorted()
    }
}
