import Wire

/// Heapster's model API, `/api/v1/model/…`: names and series of everything, from the model.
///
/// Paths, spellings, texts and layout are Heapster's own, as recorded; `docs/compatibility.md` lists
/// where the numbers are better than its.
struct ModelAPI: Sendable {
    let reader: ModelReader

    /// Adds all routes.
    func register(in router: inout Router) {
        let group = router.addGroup(.heapster(prefix: "/api/v1/model"))
        func list(_ pattern: String, _ body: @escaping @Sendable (HTTPRequest) -> [String]) {
            router.add(.get, pattern, group: group) { request in
                .now(.json(Self.encode(names: body(request))))
            }
        }
        func series(_ prefix: String, _ entity: @escaping @Sendable (HTTPRequest) -> Entity) {
            let metricIndex = prefix.count { $0 == "{" }
            list(prefix + "/metrics") { reader.metricNames(of: entity($0)) }
            router.add(.get, prefix + "/metrics/{metric...}", group: group) { request in
                .now(answer(request, metric: request.parameter(metricIndex), [entity(request)]))
            }
        }

        series("") { _ in .cluster }
        list("/nodes") { _ in reader.nodes() }
        series("/nodes/{node}") { .node($0.parameter(0)) }
        list("/nodes/{node}/freecontainers") { reader.systemContainers(of: $0.parameter(0)) }
        series("/nodes/{node}/freecontainers/{container}") {
            .systemContainer(node: $0.parameter(0), name: $0.parameter(1))
        }
        list("/namespaces") { _ in reader.namespaces() }
        series("/namespaces/{namespace}") { .namespace($0.parameter(0)) }
        list("/namespaces/{namespace}/pods") { reader.pods(in: $0.parameter(0)) }
        series("/namespaces/{namespace}/pods/{pod}") {
            .pod(namespace: $0.parameter(0), name: $0.parameter(1))
        }
        list("/namespaces/{namespace}/pods/{pod}/containers") {
            reader.containers(namespace: $0.parameter(0), pod: $0.parameter(1))
        }
        series("/namespaces/{namespace}/pods/{pod}/containers/{container}") {
            .container(namespace: $0.parameter(0), pod: $0.parameter(1), name: $0.parameter(2))
        }
        router.add(
            .get, "/namespaces/{namespace}/pod-list/{pods}/metrics/{metric...}", group: group
        ) { request in
            let pods = request.parameter(1).split(separator: ",", omittingEmptySubsequences: false)
            let entities = pods.map {
                Entity.pod(namespace: request.parameter(0), name: String($0))
            }
            return .now(
                answer(request, metric: request.parameter(2), entities, isList: true))
        }
        list("/debug/allkeys") { _ in reader.keys() }
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
        let name = Self.currentSpelling(metric)
        var answers: [[SeriesPoint]] = []
        for entity in entities {
            guard let id = Catalog.metric(named: name)?.id else {
                answers.append([])
                continue
            }
            do throws(WireError) {
                answers.append(
                    try reader.series(
                        id, of: entity, labels: query.labels, start: query.start,
                        end: query.end))
            } catch {
                Diagnostics.error("cannot read the history of \(entity): \(error)")
                return .text(.internalServerError, "cannot read the history: \(error)")
            }
        }
        return .json(Self.encode(answers, isList: isList))
    }

    private static func encode(names: [String]) -> [UInt8] {
        var writer = JSONWriter(.indented)
        writer.beginArray()
        for name in names { writer.string(name) }
        writer.endArray()
        return writer.bytes
    }

    private static func encode(_ answers: [[SeriesPoint]], isList: Bool) -> [UInt8] {
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

/// The query of a series: `start`, `end`, `labels`.
struct SeriesQuery: Equatable, Sendable {
    /// Milliseconds since the epoch, inclusive.
    var start = Int64.min
    var end = Int64.max
    var labels: [String: String] = [:]

    /// A parameter that cannot be read, in Heapster's words.
    struct Invalid: Error, Equatable {
        let message: String
    }

    init() {}

    init(_ request: HTTPRequest) throws(Invalid) {
        try self.init(
            start: request.queryValue("start"), end: request.queryValue("end"),
            labels: request.queryValue("labels"))
    }

    init(start: String?, end: String?, labels: String?) throws(Invalid) {
        if let start = try Self.time(start) { self.start = start }
        if let end = try Self.time(end) { self.end = end }
        for pair in (labels ?? "").split(separator: ",", omittingEmptySubsequences: true) {
            let parts = pair.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty else {
                throw Invalid(message: "invalid label pair \"\(pair)\"")
            }
            self.labels[String(parts[0])] = String(parts[1])
        }
    }

    private static func time(_ text: String?) throws(Invalid) -> Int64? {
        guard let text, !text.isEmpty else { return nil }
        if let milliseconds = RFC3339.milliseconds(parsing: text) { return milliseconds }
        throw Invalid(
            message: "timestamp argument cannot be parsed: " + GoTimeError.message(parsing: text))
    }
}
