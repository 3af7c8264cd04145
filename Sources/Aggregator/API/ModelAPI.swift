import Wire

/// Heapster's model API, `/api/v1/model/…`: names and series of everything, from the model.
///
/// Paths, spellings, texts and layout are Heapster's own, as recorded; `docs/compatibility.md` lists
/// where the answers are better than its.
struct ModelAPI: Sendable {
    let reader: ModelReader
    let index: ClusterIndex
    /// Questions about several pods that read more are refused.
    let pointCountMax: Int
    /// Whether `debug/allkeys` is there.
    let allowsDebug: Bool
    private var lists: ModelLists { ModelLists(index: index) }

    /// Adds all routes.
    func register(in router: inout Router) {
        let group = router.addGroup(.heapster(prefix: "/api/v1/model"))
        let lists = lists
        func list(
            _ pattern: String, isLong: Bool = false,
            _ body: @escaping @Sendable (HTTPRequest) -> [String]
        ) {
            router.add(.get, pattern, group: group) { request in
                let answer: @Sendable (HTTPRequest) -> HTTPResponse = {
                    .json(Self.encode(names: body($0)))
                }
                return isLong ? .onWorker(answer) : .now(answer(request))
            }
        }
        for path in EntityPath.all(node: { lists.nodeName($0) }) {
            list(path.pattern + "/metrics", isLong: path.isSummed) {
                reader.metricNames(of: path.entity($0))
            }
            router.add(.get, path.pattern + "/metrics/{metric...}", group: group) { request in
                let series: @Sendable (HTTPRequest) -> HTTPResponse = { request in
                    answer(
                        request, metric: request.parameter(path.parameterCount),
                        [path.entity(request)])
                }
                let isKept = Self.isRolledUp(request.parameter(path.parameterCount), path)
                return path.isSummed && !isKept ? .onWorker(series) : .now(series(request))
            }
        }
        list("/nodes") { _ in lists.nodes() }
        list("/nodes/{node}/freecontainers") { lists.systemContainers(of: $0.parameter(0)) }
        list("/namespaces") { _ in lists.namespaces() }
        list("/namespaces/{namespace}/pods") { lists.pods(in: $0.parameter(0)) }
        list("/namespaces/{namespace}/workloads") {
            lists.workloads(in: $0.parameter(0)).map { "\($0.kind)/\($0.name)" }
        }
        list("/namespaces/{namespace}/workloads/{kind}") { request in
            let kind = EntityPath.workloadKind(request.parameter(1))
            return lists.workloads(in: request.parameter(0)).filter { $0.kind == kind }.map(\.name)
        }
        list("/namespaces/{namespace}/pods/{pod}/containers") {
            lists.containers(namespace: $0.parameter(0), pod: $0.parameter(1))
        }
        if allowsDebug { list("/debug/allkeys", isLong: true) { _ in lists.keys() } }
        let pattern = "/namespaces/{namespace}/pod-list/{pods}/metrics/{metric...}"
        router.add(.get, pattern, group: group) { request in
            .onWorker { request in
                let pods = request.parameter(1).split(
                    separator: ",", omittingEmptySubsequences: false)
                let entities = pods.map {
                    Entity.pod(namespace: request.parameter(0), name: String($0))
                }
                return answer(request, metric: request.parameter(2), entities, isList: true)
            }
        }
        FirstModelAPI(reader: reader, index: index).register(in: &router, group: group)
    }

    // MARK: Answers

    private func answer(
        _ request: HTTPRequest, metric: String, _ entities: [Entity], isList: Bool = false
    ) -> HTTPResponse {
        let query: SeriesQuery
        do throws(SeriesQuery.Invalid) {
            query = try SeriesQuery(request)
        } catch {
            return .text(.badRequest, error.message)
        }
        let count = reader.pointCount(entities.count, start: query.start, end: query.end)
        guard !isList || count <= pointCountMax else {
            return HistoricalFailure.tooMuch(pointCount: count, limit: pointCountMax).response
        }
        let name = Self.currentSpelling(metric)
        var answers: [[SeriesPoint]] = []
        for entity in entities {
            do throws(WireError) {
                answers.append(
                    try reader.series(
                        named: name, of: entity, labels: query.labels, start: query.start,
                        end: query.end))
            } catch {
                Diagnostics.error("cannot read the history of \(entity): \(error)")
                return .text(.internalServerError, "cannot read the history: \(error)")
            }
        }
        return .json(SeriesJSON.encode(answers, isList: isList))
    }

    /// Whether sums of the metric are kept for the namespace.
    private static func isRolledUp(_ metric: String, _ path: EntityPath) -> Bool {
        guard path.parameterCount == 1 else { return false }
        return Catalog.metric(named: currentSpelling(metric)).map {
            RollUps.metrics.contains($0.id)
        } ?? false
    }

    static func encode(names: [String]) -> [UInt8] {
        var writer = JSONWriter(.indented)
        writer.beginArray()
        for name in names { writer.string(name) }
        writer.endArray()
        return writer.bytes
    }

    /// Heapster still took the metric names of its first model API.
    static func currentSpelling(_ name: String) -> String {
        switch name {
        case "cpu-usage": "cpu/usage_rate"
        case "cpu-limit": "cpu/limit"
        case "memory-limit": "memory/limit"
        case "memory-usage": "memory/usage"
        case "memory-working": "memory/working_set"
        default: name
        }
    }
}

/// Heapster's layout of series.
enum SeriesJSON {
    /// One series indented, or a list of them compact with a line end, as Heapster has it.
    static func encode(_ answers: [[SeriesPoint]], isList: Bool) -> [UInt8] {
        var writer = JSONWriter(isList ? .compact : .indented)
        if isList {
            writer.beginObject()
            writer.key("items")
            writer.beginArray()
        }
        for points in answers { encode(points, into: &writer) }
        if isList {
            writer.endArray()
            writer.endObject()
            writer.bytes.append(UInt8(ascii: "\n"))
        }
        return writer.bytes
    }

    private static func encode(_ points: [SeriesPoint], into writer: inout JSONWriter) {
        writer.beginObject()
        writer.key("metrics")
        writer.beginArray()
        for point in points {
            writer.beginObject()
            writer.key("timestamp")
            writer.time(milliseconds: point.cycle)
            writer.key("value")
            switch point.value {
            case .integer(let value): writer.integer(value)
            case .float(let value):
                writer.integer(Int64(exactly: value.rounded(.towardZero)) ?? 0)
                writer.key("floatValue")
                writer.double(value)
            }
            writer.endObject()
        }
        writer.endArray()
        writer.key("latestTimestamp")
        writer.time(milliseconds: points.last?.cycle ?? RFC3339.goZeroMilliseconds)
        writer.endObject()
    }
}
