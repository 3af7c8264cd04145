import Wire

/// Where the historical API reads: the aggregator's own history, or a store that a sink fills.
///
/// Calls may block for as long as the store takes: they come on workers.
protocol HistoricalSource: Sendable {
    /// One series for each entity of the question, in its order, oldest point first.
    func series(_ question: HistoricalQuestion) throws(HistoricalFailure) -> [[SeriesPoint]]
    /// The same aggregated over buckets of time.
    func buckets(
        _ question: HistoricalQuestion, _ aggregations: [Aggregation], size: Int64
    ) throws(HistoricalFailure) -> [BucketTable]
    /// Names of the entity's metrics without labels of their own.
    func metricNames(of entity: Entity) throws(HistoricalFailure) -> [String]
    func nodes() throws(HistoricalFailure) -> [String]
    func systemContainers(of node: String) throws(HistoricalFailure) -> [String]
    func namespaces() throws(HistoricalFailure) -> [String]
    func pods(in namespace: String) throws(HistoricalFailure) -> [String]
    func containers(namespace: String, pod: String) throws(HistoricalFailure) -> [String]
}

extension HistoricalSource {
    func buckets(
        _ question: HistoricalQuestion, _ aggregations: [Aggregation], size: Int64
    ) throws(HistoricalFailure) -> [BucketTable] {
        try series(question).map {
            BucketTable($0, aggregations: aggregations, size: size, start: question.start)
        }
    }
}

/// Which points somebody wants.
struct HistoricalQuestion: Sendable {
    /// In today's spelling: `cpu/usage_rate`.
    let metric: String
    /// Pods of the namespace `unknownNamespace` go by their UIDs.
    let entities: [Entity]
    /// Of the metric's own, the exact set.
    let labels: [String: String]
    /// Milliseconds since the epoch, both inclusive; `end` may be `.max`.
    let start: Int64
    let end: Int64
    /// More points than this are not read.
    let pointCountMax: Int
}

/// Why there is no answer.
enum HistoricalFailure: Error, Equatable {
    /// Nothing is known of that.
    case nothing(metric: String, Entity)
    /// The question would read about so many points.
    case tooMuch(pointCount: Int, limit: Int)
    /// The log of that time is so long.
    case tooLong(byteCount: Int, limit: Int)
    /// The store has no answer, or the history cannot be read.
    case broken(String)

    var response: HTTPResponse {
        switch self {
        case .nothing: return .text(.notFound, words)
        case .tooMuch, .tooLong: return .text(.badRequest, words)
        case .broken:
            Diagnostics.error(words)
            return .text(.internalServerError, words)
        }
    }

    /// For who asked.
    var words: String {
        switch self {
        case .nothing(let metric, let entity):
            "No results for metric \"\(metric)\" describing \"\(entity.historicalKey)\""
        case .tooMuch(let count, let limit):
            "this question reads \(count) points or more, and \(limit) are allowed "
                + "(--api-max-points): ask for less time, fewer pods or one metric after another"
        case .tooLong(let byteCount, let limit):
            "this question reads \(byteCount) bytes of the log, and \(limit) are allowed: ask "
                + "for less time"
        case .broken(let reason): "cannot read the history: \(reason)"
        }
    }
}

extension Entity {
    /// As Heapster named what it looked for.
    fileprivate var historicalKey: String {
        switch self {
        case .cluster: "(cluster)[cluster]"
        case .namespace(let name): "(ns)[ns:\(name)]"
        case .node(let name): "(node)[node:\(name)]"
        case .pod(let namespace, let name) where namespace == unknownNamespace:
            "(pod)[poduid:\(name)]"
        case .pod(let namespace, let name): "(pod)[ns:\(namespace)/pod:\(name)]"
        case .container(let namespace, let pod, let name) where namespace == unknownNamespace:
            "(pod_container)[poduid:\(pod)/container:\(name)]"
        case .container(let namespace, let pod, let name):
            "(pod_container)[ns:\(namespace)/pod:\(pod)/container:\(name)]"
        case .systemContainer(let node, let name):
            "(sys_container)[node:\(node)/container:\(name)]"
        case .workload(let workload):
            "(workload)[ns:\(workload.namespace)/\(workload.kind):\(workload.name)]"
        }
    }
}
