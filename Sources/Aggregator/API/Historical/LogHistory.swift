import Wire

/// The historical API's answers from memory, and from the log where that does not reach back far
/// enough. What there is to ask for (nodes, namespaces, pods, metrics) is what memory knows.
struct LogHistory: HistoricalSource {
    let recent: ModelHistory
    let archive: LogArchive

    private var cluster: Cluster { recent.reader.cluster }

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

    func metricNames(of entity: Entity) -> [String] { recent.metricNames(of: entity) }
    func nodes() -> [String] { recent.nodes() }
    func systemContainers(of node: String) -> [String] { recent.systemContainers(of: node) }
    func namespaces() -> [String] { recent.namespaces() }
    func pods(in namespace: String) -> [String] { recent.pods(in: namespace) }

    func containers(namespace: String, pod: String) -> [String] {
        recent.containers(namespace: namespace, pod: pod)
    }

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
        let contents = try contents(question, LogArchive.Stretch(start: start, end: end))
        let index = ClusterIndex(cluster: contents.cluster, directory: contents.directory)
        let reader = ModelReader(cluster: contents.cluster, names: JoinedNames(index))
        return try ModelHistory(reader: reader, index: index)
            .points(question, from: start, to: end)
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
            switch error {
            case .tooLong(let byteCount, let limit):
                throw .tooLong(byteCount: byteCount, limit: limit)
            case .unreadable(let failure): throw .broken("\(failure)")
            }
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
