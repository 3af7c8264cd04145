import Wire

/// The historical API's answers from a store with Prometheus's HTTP API
/// (<https://prometheus.io/docs/prometheus/latest/querying/api/>), which the sink remotewrite
/// fills: names and labels are those of `PrometheusNames`.
///
/// Points are read raw, by a range selector, so none is made up or left out by a step; aggregations are
/// ours, over those points. Values come back in the catalogue's units.
struct PrometheusHistory: HistoricalSource {
    let store: HistoricalStore
    let prefix: String
    let clusterName: String
    var clock: Clock = .system

    /// Ends of questions that have none may lie this far ahead of our clock.
    private static let aheadMilliseconds: Int64 = 60_000

    // MARK: Points

    func series(_ question: HistoricalQuestion) throws(HistoricalFailure) -> [[SeriesPoint]] {
        let now = Int64(clock.realtimeNanoseconds / 1_000_000)
        let end = min(question.end, now + Self.aheadMilliseconds)
        guard end >= question.start else { return question.entities.map { _ in [] } }
        // Before Prometheus 3 a range includes its beginning, since then it does not.
        let range = "[\(end - question.start + 1)ms]"
        let metric = StoredMetric(question.metric)
        try checkCount(question, range, end)
        var found: [[SeriesPoint]] = []
        var count = 0
        for entity in question.entities {
            let answer = try ask(selector(metric, entity, question.labels) + range, end)
            var byTime: [Int64: Double] = [:]
            for series in answer {
                for point in series.points where point.time >= question.start {
                    byTime[point.time] = point.value / metric.scale
                }
            }
            count += byTime.count
            guard count <= question.pointCountMax else {
                throw .tooMuch(pointCount: count, limit: question.pointCountMax)
            }
            let values = byTime.sorted { $0.key < $1.key }.map { (cycle: $0.key, value: $0.value) }
            found.append(StoredValues.points(values, of: question.metric))
        }
        if question.entities.count == 1, found[0].isEmpty {
            throw .nothing(metric: question.metric, question.entities[0])
        }
        return found
    }

    /// Has the store count first where there could be too many to fetch.
    private func checkCount(
        _ question: HistoricalQuestion, _ range: String, _ end: Int64
    ) throws(HistoricalFailure) {
        let seconds = (end - question.start) / 1_000
        guard seconds > Int64(question.pointCountMax / question.entities.count) else { return }
        var count = 0
        for entity in question.entities {
            let selector = selector(StoredMetric(question.metric), entity, question.labels)
            for series in try ask("sum(count_over_time(\(selector)\(range)))", end) {
                count += series.points.last.flatMap { Int(exactly: $0.value) } ?? 0
            }
            guard count <= question.pointCountMax else {
                throw .tooMuch(pointCount: count, limit: question.pointCountMax)
            }
        }
    }

    private func selector(
        _ metric: StoredMetric, _ entity: Entity, _ labels: [String: String]
    ) -> String {
        let stored = StoredEntity(entity)
        var conditions = [metric.condition(stored.kind, prefix)] + conditions(stored)
        for (key, value) in labels.sorted(by: { $0.key < $1.key }) {
            conditions.append(
                "\(PrometheusNames.label(key) ?? key)=\(Self.text(value))")
        }
        for label in StoredEntity.ownLabels where labels[label] == nil {
            conditions.append("\(label)=\"\"")
        }
        return "{\(conditions.joined(separator: ","))}"
    }

    private func conditions(_ entity: StoredEntity) -> [String] {
        var found = clusterName.isEmpty ? [] : ["cluster=\(Self.text(clusterName))"]
        for label in entity.labels {
            guard let name = PrometheusNames.label(label.key) else { continue }
            found.append("\(name)=\(Self.text(label.value))")
        }
        return found
    }

    // MARK: Lists

    func metricNames(of entity: Entity) throws(HistoricalFailure) -> [String] {
        let stored = StoredEntity(entity)
        let all = PrometheusNames.name(.named("", .gauge), of: stored.kind, prefix: prefix)
        let conditions =
            ["__name__=~\(Self.text("\(all).+"))"] + conditions(stored)
            + StoredEntity.ownLabels.map { "\($0)=\"\"" }
        let names = try values("__name__", conditions)
        var known: [String: String] = [:]
        for metric in Catalog.metrics {
            known[PrometheusNames.name(.catalogue(metric.id), of: stored.kind, prefix: prefix)] =
                metric.name
        }
        // A pod's own names begin like nobody else's; what is not in the catalogue was pushed.
        return names.map { known[$0] ?? String($0.dropFirst(all.count)) }.sorted()
    }

    func nodes() throws(HistoricalFailure) -> [String] { try names("node", .node, []) }

    func systemContainers(of node: String) throws(HistoricalFailure) -> [String] {
        try names("container", .systemContainer, [("nodename", node)])
    }

    func namespaces() throws(HistoricalFailure) -> [String] {
        try names("namespace", .namespace, [])
    }

    func pods(in namespace: String) throws(HistoricalFailure) -> [String] {
        try names("pod", .pod, [("namespace_name", namespace)])
    }

    func containers(namespace: String, pod: String) throws(HistoricalFailure) -> [String] {
        try names(
            "container", .container, [("namespace_name", namespace), ("pod_name", pod)])
    }

    private func names(
        _ label: String, _ kind: EntityKind, _ labels: [(key: String, value: String)]
    ) throws(HistoricalFailure) -> [String] {
        let names = [MetricID.uptime, .memoryUsage, .cpuUsageRate].map {
            PrometheusNames.name(.catalogue($0), of: kind, prefix: prefix)
        }
        var entity = StoredEntity(.cluster)
        entity.labels = labels
        return try values(
            label, ["__name__=~\"\(names.joined(separator: "|"))\""] + conditions(entity))
    }

    /// All values of a label, of the whole past.
    private func values(
        _ label: String, _ conditions: [String]
    ) throws(HistoricalFailure) -> [String] {
        let response = try store.get(
            "/api/v1/label/\(label)/values",
            [("match[]", "{\(conditions.joined(separator: ","))}"), ("start", "0")])
        let answer = try read(response)
        return answer.names.sorted()
    }

    // MARK: Asking

    private func ask(
        _ expression: String, _ time: Int64
    ) throws(HistoricalFailure) -> [PrometheusAnswer.Series] {
        let seconds = "\(time / 1_000).\(String(String(1_000 + time % 1_000).dropFirst()))"
        let response = try store.ask(
            "/api/v1/query", [("query", expression), ("time", seconds)])
        return try read(response).series
    }

    private func read(_ response: HTTPClientAnswer) throws(HistoricalFailure) -> PrometheusAnswer {
        let answer: PrometheusAnswer
        do throws(JSONError) {
            answer = try PrometheusAnswer(response.body)
        } catch {
            throw response.status == 200 ? store.malformed(error) : store.refusal(response)
        }
        guard response.status == 200, answer.error.isEmpty else { throw store.refusal(response) }
        return answer
    }

    /// A text of PromQL.
    private static func text(_ value: String) -> String {
        var found = String.UnicodeScalarView()
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\", "\"": found.append(contentsOf: ["\\", scalar])
            case "\n": found.append(contentsOf: "\\n".unicodeScalars)
            default: found.append(scalar)
            }
        }
        return "\"\(String(found))\""
    }
}

/// A metric as it is stored.
private struct StoredMetric {
    private let name: String
    private let known: MetricKey?
    /// What its values were multiplied with.
    let scale: Double

    init(_ name: String) {
        self.name = name
        known = Catalog.metric(named: name).map { .catalogue($0.id) }
        scale = known.map { PrometheusNames.scale($0) } ?? 1
    }

    /// The condition on `__name__`; whether a pushed metric is a counter is not known.
    func condition(_ kind: EntityKind, _ prefix: String) -> String {
        if let known {
            return "__name__=\"\(PrometheusNames.name(known, of: kind, prefix: prefix))\""
        }
        let name = PrometheusNames.name(.named(name, .gauge), of: kind, prefix: prefix)
        return "__name__=~\"\(name)(_total)?\""
    }
}
