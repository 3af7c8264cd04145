import Wire

/// What Heapster's model API answered up to version 0.19 and later versions no longer did: what is
/// below an entity, the pods of a node with their use, and statistics of the last minute, hour and day.
struct FirstModelAPI: Sendable {
    let reader: ModelReader
    let index: ClusterIndex

    func register(in router: inout Router, group: Int) {
        let lists = ModelLists(index: index)
        for path in EntityPath.all(node: { lists.nodeName($0) }) {
            let below = Self.below(path.pattern)
            router.add(.get, path.pattern, group: group) { _ in
                .now(.json(ModelAPI.encode(names: below)))
            }
            router.add(.get, path.pattern + "/stats", group: group) { _ in
                .onWorker { statistics(of: path.entity($0)) }
            }
        }
        router.add(.get, "/nodes/{node}/pods", group: group) { request in
            .now(pods(of: request.parameter(0)))
        }
    }

    private static func below(_ pattern: String) -> [String] {
        switch pattern {
        case "": ["metrics/", "stats/", "namespaces/", "nodes/"]
        case "/nodes/{node}": ["freecontainers/", "pods/", "metrics/", "stats/"]
        case "/namespaces/{namespace}": ["pods/", "workloads/", "metrics/", "stats/"]
        case "/namespaces/{namespace}/pods/{pod}": ["containers/", "metrics/", "stats/"]
        default: ["metrics/", "stats/"]
        }
    }

    /// `[{"name", "cpuUsage" (millicores), "memUsage" (bytes)}]`.
    private func pods(of name: String) -> HTTPResponse {
        var writer = JSONWriter(.indented)
        writer.beginArray()
        if let node = index.node(named: name) {
            let rows = index.read(node) { node, rows in
                node.pods.map { pod in
                    (
                        pod.name, pod.figure(rate: .cpuUsageRate, in: rows),
                        pod.figure(.memoryUsage, in: rows)
                    )
                }
            }
            for (name, cpu, memory) in rows ?? [] {
                writer.beginObject()
                writer.key("name")
                writer.string(name)
                writer.key("cpuUsage")
                writer.integer(Int64(cpu ?? 0))
                writer.key("memUsage")
                writer.integer(memory ?? 0)
                writer.endObject()
            }
        }
        writer.endArray()
        return .json(writer.bytes)
    }

    // MARK: Statistics

    private static let statisticsMetrics: [(name: String, metric: MetricID)] = [
        ("cpu-usage", .cpuUsageRate), ("cpu-limit", .cpuLimit), ("memory-usage", .memoryUsage),
        ("memory-working", .memoryWorkingSet), ("memory-limit", .memoryLimit),
    ]

    /// `{"uptime": seconds, "stats": {name: {"minute", "hour", "day"}}}`; an hour and a day reach as
    /// far back as the history does.
    private func statistics(of entity: Entity) -> HTTPResponse {
        var writer = JSONWriter(.indented)
        do throws(WireError) {
            let uptime = try reader.series(.uptime, of: entity).last?.value.double ?? 0
            writer.beginObject()
            writer.key("uptime")
            writer.integer(Int64(uptime / 1_000))
            writer.key("stats")
            writer.beginObject()
            for (name, metric) in Self.statisticsMetrics {
                let points = try reader.series(metric, of: entity)
                guard let last = points.last else { continue }
                writer.key(name)
                writer.beginObject()
                for (span, length) in [
                    ("minute", Int64(60_000)), ("hour", 3_600_000), ("day", 86_400_000),
                ] {
                    writer.key(span)
                    let values = points.filter { $0.cycle > last.cycle &- length }
                    Self.write(values.map(\.value.double), into: &writer)
                }
                writer.endObject()
            }
            writer.endObject()
            writer.endObject()
        } catch {
            Diagnostics.error("cannot read the history of \(entity): \(error)")
            return .text(.internalServerError, "cannot read the history: \(error)")
        }
        return .json(writer.bytes)
    }

    private static func write(_ values: [Double], into writer: inout JSONWriter) {
        let sorted = values.sorted()
        let mean = sorted.isEmpty ? 0 : sorted.reduce(0, +) / Double(sorted.count)
        let rank = max(0, (sorted.count * 95 + 99) / 100 - 1)
        writer.beginObject()
        writer.key("average")
        writer.integer(Int64(mean))
        writer.key("percentile")
        writer.integer(sorted.isEmpty ? 0 : Int64(sorted[rank]))
        writer.key("max")
        writer.integer(Int64(sorted.last ?? 0))
        writer.endObject()
    }
}
