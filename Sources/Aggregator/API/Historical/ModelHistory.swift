import Wire

/// The historical API's answers from the aggregator's own history.
struct ModelHistory: HistoricalSource {
    let reader: ModelReader
    let index: ClusterIndex
    private var lists: ModelLists { ModelLists(index: index) }

    func series(_ question: HistoricalQuestion) throws(HistoricalFailure) -> [[SeriesPoint]] {
        let count = reader.pointCount(
            question.entities.count, start: question.start, end: question.end)
        guard count <= question.pointCountMax else {
            throw .tooMuch(pointCount: count, limit: question.pointCountMax)
        }
        let found = try points(question, from: question.start, to: question.end)
        if question.entities.count == 1, found[0].isEmpty {
            throw .nothing(metric: question.metric, question.entities[0])
        }
        return found
    }

    /// The question's series between two times; empty ones where nothing is known.
    func points(
        _ question: HistoricalQuestion, from start: Int64, to end: Int64
    ) throws(HistoricalFailure) -> [[SeriesPoint]] {
        var found: [[SeriesPoint]] = []
        for entity in question.entities {
            do throws(WireError) {
                found.append(
                    try reader.series(
                        named: question.metric, of: named(entity), labels: question.labels,
                        start: start, end: end))
            } catch {
                throw .broken("\(error)")
            }
        }
        return found
    }

    /// A node may be asked for by its hostname.
    private func named(_ entity: Entity) -> Entity {
        switch entity {
        case .node(let name): .node(lists.nodeName(name))
        case .systemContainer(let node, let name):
            .systemContainer(node: lists.nodeName(node), name: name)
        default: entity
        }
    }

    func metricNames(of entity: Entity) -> [String] { reader.metricNames(of: named(entity)) }
    func nodes() -> [String] { lists.nodes() }
    func systemContainers(of node: String) -> [String] { lists.systemContainers(of: node) }
    func namespaces() -> [String] { lists.namespaces() }
    func pods(in namespace: String) -> [String] { lists.pods(in: namespace) }

    func containers(namespace: String, pod: String) -> [String] {
        lists.containers(namespace: namespace, pod: pod)
    }
}

extension ModelReader {
    /// About how many points so many series have between two times.
    func pointCount(_ seriesCount: Int, start: Int64, end: Int64) -> Int {
        let newest = cluster.rollUps.newestCycle ?? 0
        let first = max(start, newest &- cluster.configuration.window)
        let last = min(end, newest)
        guard last >= first else { return 0 }
        let each = Int((last - first) / max(1, cluster.configuration.resolution)) + 1
        let (all, overflow) = each.multipliedReportingOverflow(by: seriesCount)
        return overflow ? .max : all
    }
}
