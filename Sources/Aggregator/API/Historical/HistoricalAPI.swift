import Wire

/// Heapster's historical API, `/api/v1/historical/…`: the paths of the model API, the same by pod UID,
/// and aggregations over buckets of time.
struct HistoricalAPI: Sendable {
    let source: any HistoricalSource
    /// Questions that read more are refused.
    var pointCountMax = APILimits().pointCountMax

    func register(in router: inout Router) {
        let group = router.addGroup(.heapster(prefix: "/api/v1/historical"))
        let source = source
        func list(
            _ pattern: String,
            _ body: @escaping @Sendable (HTTPRequest) throws(HistoricalFailure) -> [String]
        ) {
            router.add(.get, pattern, group: group) { _ in
                .onWorker { request in
                    do throws(HistoricalFailure) {
                        return .json(ModelAPI.encode(names: try body(request)))
                    } catch {
                        return error.response
                    }
                }
            }
        }
        for path in EntityPath.all(node: { $0 }) {
            list(path.pattern + "/metrics") { (request) throws(HistoricalFailure) in
                try source.metricNames(of: path.entity(request))
            }
            addSeries(path.pattern, path.parameterCount, group, &router) { [path.entity($0)] }
        }
        list("/nodes") { (_) throws(HistoricalFailure) in try source.nodes() }
        list("/nodes/{node}/freecontainers") { (request) throws(HistoricalFailure) in
            try source.systemContainers(of: request.parameter(0))
        }
        list("/namespaces") { (_) throws(HistoricalFailure) in try source.namespaces() }
        list("/namespaces/{namespace}/pods") { (request) throws(HistoricalFailure) in
            try source.pods(in: request.parameter(0))
        }
        list("/namespaces/{namespace}/pods/{pod}/containers") {
            (request) throws(HistoricalFailure) in
            try source.containers(namespace: request.parameter(0), pod: request.parameter(1))
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

    private func answer(
        _ request: HTTPRequest, metric: String, isList: Bool, _ entities: [Entity]
    ) -> HTTPResponse {
        do throws(SeriesQuery.Invalid) {
            let question = try question(request, metric, entities)
            do throws(HistoricalFailure) {
                return .json(SeriesJSON.encode(try source.series(question), isList: isList))
            } catch {
                return error.response
            }
        } catch {
            return .text(.badRequest, error.message)
        }
    }

    private func aggregate(
        _ request: HTTPRequest, _ text: String, metric: String, isList: Bool,
        _ entities: [Entity]
    ) -> HTTPResponse {
        do throws(SeriesQuery.Invalid) {
            let aggregations = try Aggregation.list(text)
            var size: Int64 = 0
            if let text = request.queryValue("bucket"), !text.isEmpty {
                size = try BucketSize.parse(text)
            }
            let question = try question(request, metric, entities)
            do throws(HistoricalFailure) {
                let tables = try source.buckets(question, aggregations, size: size)
                return .json(Self.encode(tables, isList: isList))
            } catch {
                return error.response
            }
        } catch {
            return .text(.badRequest, error.message)
        }
    }

    private static func encode(_ tables: [BucketTable], isList: Bool) -> [UInt8] {
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
        return writer.bytes
    }

    /// Start is required; names are those that InfluxDB could have had.
    private func question(
        _ request: HTTPRequest, _ metric: String, _ entities: [Entity]
    ) throws(SeriesQuery.Invalid) -> HistoricalQuestion {
        let query = try SeriesQuery(request)
        guard query.start > RFC3339.goZeroMilliseconds else {
            throw SeriesQuery.Invalid(message: "no start time (or a start time of zero) provided")
        }
        let isName = metric.utf8.allSatisfy {
            $0 &- 0x30 < 10 || ($0 | 0x20) &- 0x61 < 26 || "_./:-".utf8.contains($0)
        }
        guard isName, !metric.isEmpty else {
            throw SeriesQuery.Invalid(message: "Invalid metric name \"\(metric)\"")
        }
        return HistoricalQuestion(
            metric: ModelAPI.currentSpelling(metric), entities: entities, labels: query.labels,
            start: query.start, end: query.end, pointCountMax: pointCountMax)
    }
}
