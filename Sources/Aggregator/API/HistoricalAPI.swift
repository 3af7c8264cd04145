import Wire

/// Heapster's historical API, `/api/v1/historical/…`, from the aggregator's own history: the paths of
/// the model API, the same by pod UID, and aggregations over buckets of time.
struct HistoricalAPI: Sendable {
    let reader: ModelReader
    let index: ClusterIndex

    func register(in router: inout Router) {
        let group = router.addGroup(.heapster(prefix: "/api/v1/historical"))
        let lists = ModelLists(index: index)
        func list(_ pattern: String, _ body: @escaping @Sendable (HTTPRequest) -> [String]) {
            router.add(.get, pattern, group: group) { request in
                .now(.json(ModelAPI.encode(names: body(request))))
            }
        }
        for path in EntityPath.all(node: { lists.nodeName($0) }) {
            list(path.pattern + "/metrics") { reader.metricNames(of: path.entity($0)) }
            addSeries(path.pattern, path.parameterCount, group, &router) { [path.entity($0)] }
        }
        list("/nodes") { _ in lists.nodes() }
        list("/nodes/{node}/freecontainers") { lists.systemContainers(of: $0.parameter(0)) }
        list("/namespaces") { _ in lists.namespaces() }
        list("/namespaces/{namespace}/pods") { lists.pods(in: $0.parameter(0)) }
        list("/namespaces/{namespace}/pods/{pod}/containers") {
            lists.containers(namespace: $0.parameter(0), pod: $0.parameter(1))
        }
        addSeries(
            "/namespaces/{namespace}/pod-list/{pods}", 2, group, &router, isList: true
        ) { request in
            Self.names(request.parameter(1)).map {
                .pod(namespace: request.parameter(0), name: $0)
            }
        }
        addSeries("/pod-id/{id}", 1, group, &router) { [Self.pod(uid: $0.parameter(0))] }
        addSeries("/pod-id/{id}/containers/{container}", 2, group, &router) {
            [
                .container(
                    namespace: unknownNamespace, pod: $0.parameter(0), name: $0.parameter(1))
            ]
        }
        addSeries("/pod-id-list/{ids}", 1, group, &router, isList: true) {
            Self.names($0.parameter(0)).map { Self.pod(uid: $0) }
        }
    }

    private static func names(_ text: String) -> [String] {
        text.split(separator: ",", omittingEmptySubsequences: false).map { String($0) }
    }

    /// The model finds a pod by its UID in the namespace of those that nobody names.
    private static func pod(uid: String) -> Entity {
        .pod(namespace: unknownNamespace, name: uid)
    }

    private func addSeries(
        _ pattern: String, _ parameterCount: Int, _ group: Int, _ router: inout Router,
        isList: Bool = false, _ entities: @escaping @Sendable (HTTPRequest) -> [Entity]
    ) {
        router.add(.get, pattern + "/metrics/{metric...}", group: group) { _ in
            .onWorker { request in
                answer(
                    request, metric: request.parameter(parameterCount), isList: isList,
                    entities(request))
            }
        }
        router.add(
            .get, pattern + "/metrics-aggregated/{aggregations}/{metric...}", group: group
        ) { _ in
            .onWorker { request in
                aggregate(
                    request, request.parameter(parameterCount),
                    metric: request.parameter(parameterCount + 1), isList: isList,
                    entities(request))
            }
        }
    }

    // MARK: Answers

    /// What cannot be answered, with its status.
    private enum HistoryRefusal: Error {
        case invalid(SeriesQuery.Invalid)
        case nothing(String)
        case broken(WireError)
    }

    private func refusal(_ failure: HistoryRefusal) -> HTTPResponse {
        switch failure {
        case .invalid(let error): return .text(.badRequest, error.message)
        case .nothing(let message): return .text(.notFound, message)
        case .broken(let error):
            Diagnostics.error("cannot read the history: \(error)")
            return .text(.internalServerError, "cannot read the history: \(error)")
        }
    }

    private func answer(
        _ request: HTTPRequest, metric: String, isList: Bool, _ entities: [Entity]
    ) -> HTTPResponse {
        do throws(HistoryRefusal) {
            let query = try self.query(request, metric)
            let name = ModelAPI.currentSpelling(metric)
            return .json(SeriesJSON.encode(try read(entities, query, name), isList: isList))
        } catch {
            return refusal(error)
        }
    }

    private func aggregate(
        _ request: HTTPRequest, _ text: String, metric: String, isList: Bool,
        _ entities: [Entity]
    ) -> HTTPResponse {
        do throws(HistoryRefusal) {
            let aggregations = try checked { () throws(SeriesQuery.Invalid) in
                try Aggregation.list(text)
            }
            let size = try checked { () throws(SeriesQuery.Invalid) -> Int64 in
                guard let text = request.queryValue("bucket"), !text.isEmpty else { return 0 }
                return try BucketSize.parse(text)
            }
            let query = try self.query(request, metric)
            let name = ModelAPI.currentSpelling(metric)
            let tables = try read(entities, query, name).map {
                BucketTable($0, aggregations: aggregations, size: size, start: query.start)
            }
            var writer = JSONWriter(isList ? .compact : .indented)
            if isList {
                writer.beginObject()
                writer.key("items")
                writer.beginArray()
            }
            for table in tables { table.write(into: &writer) }
            if isList {
                writer.endArray()
                writer.endObject()
                writer.bytes.append(UInt8(ascii: "\n"))
            }
            return .json(writer.bytes)
        } catch {
            return refusal(error)
        }
    }

    private func checked<Result>(
        _ body: () throws(SeriesQuery.Invalid) -> Result
    ) throws(HistoryRefusal) -> Result {
        do throws(SeriesQuery.Invalid) {
            return try body()
        } catch {
            throw .invalid(error)
        }
    }

    /// Start is required; names are those that InfluxDB could have had.
    private func query(_ request: HTTPRequest, _ metric: String) throws(HistoryRefusal)
        -> SeriesQuery
    {
        let query = try checked { () throws(SeriesQuery.Invalid) in
            try SeriesQuery(request)
        }
        guard query.start > RFC3339.goZeroMilliseconds else {
            throw .invalid(
                SeriesQuery.Invalid(message: "no start time (or a start time of zero) provided"))
        }
        let isName = metric.utf8.allSatisfy {
            $0 &- 0x30 < 10 || ($0 | 0x20) &- 0x61 < 26 || "_./:-".utf8.contains($0)
        }
        guard isName, !metric.isEmpty else {
            throw .invalid(SeriesQuery.Invalid(message: "Invalid metric name \"\(metric)\""))
        }
        return query
    }

    private func read(
        _ entities: [Entity], _ query: SeriesQuery, _ metric: String
    ) throws(HistoryRefusal) -> [[SeriesPoint]] {
        var found: [[SeriesPoint]] = []
        for entity in entities {
            do throws(WireError) {
                found.append(
                    try reader.series(
                        named: metric, of: entity, labels: query.labels, start: query.start,
                        end: query.end))
            } catch {
                throw .broken(error)
            }
        }
        if entities.count == 1, found[0].isEmpty {
            throw .nothing(
                "No results for metric \"\(metric)\" describing \"\(entities[0].historicalKey)\"")
        }
        return found
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
        }
    }
}
