import Wire

/// The historical API's answers from memory, and from the log where that does not reach back far
/// enough. Lists have who is there now, and who has gone since the log begins.
struct LogHistory: HistoricalSource {
    let recent: ModelHistory
    let archive: LogArchive

    private var cluster: Cluster { recent.reader.cluster }
    private var index: ClusterIndex { recent.index }

    func series(_ question: HistoricalQuestion) throws(HistoricalFailure) -> [[SeriesPoint]] {
        let oldest = oldestInMemory
        guard question.start < oldest, let oldestInLog = archive.oldestTime else {
            return try recent.series(question)
        }
        let start = max(question.start, oldestInLog)
        try limit(question, from: start, to: min(question.end, cluster.rollUps.newestCycle ?? 0))
        var found = question.entities.map { _ in [SeriesPoint]() }
        if start <= question.end {
            found = try old(question, from: start, to: min(question.end, oldest - 1))
        }
        if question.end >= oldest {
            let rest = try recent.points(question, from: oldest, to: question.end)
            for (index, points) in rest.enumerated() { found[index] += points }
        }
        if question.entities.count == 1, found[0].isEmpty {
            throw .nothing(metric: question.metric, question.entities[0])
        }
        return found
    }

    // MARK: Lists

    func nodes() throws(HistoricalFailure) -> [String] {
        try list(index.allNodes().map(\.hostname)) { $0.pod == nil ? [$0.hostname] : [] }
    }

    func systemContainers(of node: String) throws(HistoricalFailure) -> [String] {
        let there = index.node(named: node)
        return try list(there?.systemContainers.map(\.subject.name) ?? []) { departure in
            departure.pod == nil && (departure.node == node || departure.hostname == node)
                ? departure.containers : []
        }
    }

    func namespaces() throws(HistoricalFailure) -> [String] {
        try list(index.allNamespaces()) { $0.pod.map { [$0.namespace] } ?? [] }
    }

    func pods(in namespace: String) throws(HistoricalFailure) -> [String] {
        try list(index.allPods(in: namespace).map(\.name)) { departure in
            departure.pod.flatMap { $0.namespace == namespace ? [$0.name] : nil } ?? []
        }
    }

    func containers(namespace: String, pod: String) throws(HistoricalFailure) -> [String] {
        let there = index.allPods(in: namespace).filter { $0.name == pod }
        return try list(there.flatMap(\.containers).map(\.name)) { departure in
            departure.pod?.namespace == namespace && departure.pod?.name == pod
                ? departure.containers : []
        }
    }

    /// Names of those who are there and of those who have gone, each once.
    private func list(
        _ present: [String], _ gone: (Departure) -> [String]
    ) throws(HistoricalFailure) -> [String] {
        var names = Set(present)
        for departure in try departures() { names.formUnion(gone(departure)) }
        return names.sorted()
    }

    private func departures() throws(HistoricalFailure) -> [Departure] {
        do throws(LogArchive.Failure) { return try archive.departures() } catch {
            throw HistoricalFailure(error)
        }
    }

    /// Of somebody who has gone: what it had in the end.
    func metricNames(of entity: Entity) throws(HistoricalFailure) -> [String] {
        let present = recent.metricNames(of: entity)
        guard present.isEmpty, let last = try departures().last(where: { $0.concerns(entity) })
        else { return present }
        let before = last.time &- 3 &* cluster.configuration.resolution
        let stretch = LogArchive.Stretch(start: before, end: last.time)
        do throws(LogArchive.Failure) {
            var isSum = false
            if case .namespace = entity { isSum = true }
            return old(try archive.read(stretch, nodes: [last.node], sums: isSum))
                .metricNames(of: entity)
        } catch {
            throw HistoricalFailure(error)
        }
    }

    // MARK: Series

    private func limit(
        _ question: HistoricalQuestion, from start: Int64, to end: Int64
    ) throws(HistoricalFailure) {
        guard end >= start else { return }
        let each = Int((end - start) / cluster.configuration.resolution) + 1
        let (count, overflow) = each.multipliedReportingOverflow(by: question.entities.count)
        guard overflow || count > question.pointCountMax else { return }
        throw .tooMuch(pointCount: overflow ? .max : count, limit: question.pointCountMax)
    }

    /// Cycles from here on are answered from memory, where the reading before them is, too. While
    /// memory is short, some nodes have less than the window.
    private var oldestInMemory: Int64 {
        guard let newest = cluster.rollUps.newestCycle else { return .max }
        let window = cluster.nodes.map(\.historyWindow).min() ?? cluster.configuration.window
        return newest &- window &+ 2 &* cluster.configuration.resolution
    }

    private func old(
        _ question: HistoricalQuestion, from start: Int64, to end: Int64
    ) throws(HistoricalFailure) -> [[SeriesPoint]] {
        try old(try contents(question, LogArchive.Stretch(start: start, end: end)))
            .points(question, from: start, to: end)
    }

    private func old(_ contents: LogArchive.Contents) -> ModelHistory {
        let index = ClusterIndex(cluster: contents.cluster, directory: contents.directory)
        return ModelHistory(
            reader: ModelReader(cluster: contents.cluster, names: JoinedNames(index)), index: index)
    }

    private func contents(
        _ question: HistoricalQuestion, _ stretch: LogArchive.Stretch
    ) throws(HistoricalFailure) -> LogArchive.Contents {
        do throws(LogArchive.Failure) {
            let rest = question.entities.filter { !isSummed(question.metric, $0) }
            let nodes = rest.isEmpty ? [] : Self.nodes(of: rest, try archive.directory(stretch))
            return try archive.read(
                stretch, nodes: nodes, sums: rest.count < question.entities.count)
        } catch {
            throw HistoricalFailure(error)
        }
    }

    /// The roll-ups have it: no node's frames are needed.
    private func isSummed(_ metric: String, _ entity: Entity) -> Bool {
        switch entity {
        case .cluster: true
        case .namespace: RollUps.metrics.contains { Catalog.metric($0).name == metric }
        default: false
        }
    }

    /// On which nodes these are or were; `nil` where that is not known: all have to be read.
    private static func nodes(of entities: [Entity], _ names: PodDirectory) -> Set<String>? {
        var found = Set<String>()
        for entity in entities {
            switch entity {
            case .cluster: continue
            case .node(let name), .systemContainer(let name, _): found.insert(name)
            case .pod(let namespace, let name), .container(let namespace, let name, _):
                let uids =
                    namespace == unknownNamespace
                    ? [name] : names.podUIDs(namespace: namespace, name: name)
                for uid in uids {
                    guard let node = names.pod(uid: ObjectUID(uid))?.nodeName else { return nil }
                    found.insert(node)
                }
            case .namespace, .workload:
                for pod in names.pods(of: entity) {
                    guard let node = names.pod(uid: ObjectUID(pod.uid))?.nodeName else {
                        return nil
                    }
                    found.insert(node)
                }
            }
        }
        return found
    }
}

extension HistoricalFailure {
    fileprivate init(_ failure: LogArchive.Failure) {
        switch failure {
        case .tooLong(let byteCount, let limit): self = .tooLong(byteCount: byteCount, limit: limit)
        case .unreadable(let error): self = .broken("\(error)")
        }
    }
}

extension Departure {
    /// Whether it tells that the entity was there.
    fileprivate func concerns(_ entity: Entity) -> Bool {
        switch entity {
        case .cluster, .workload: false
        case .node(let name): pod == nil && (node == name || hostname == name)
        case .systemContainer(let name, let container):
            pod == nil && (node == name || hostname == name) && containers.contains(container)
        case .namespace(let name): pod?.namespace == name
        case .pod(let namespace, let name): isPod(namespace, name)
        case .container(let namespace, let name, let container):
            isPod(namespace, name) && containers.contains(container)
        }
    }

    /// Pods of the unknown namespace go by their UIDs.
    private func isPod(_ namespace: String, _ name: String) -> Bool {
        guard let pod else { return false }
        return namespace == unknownNamespace
            ? pod.uid == name : pod.namespace == namespace && pod.name == name
    }
}
