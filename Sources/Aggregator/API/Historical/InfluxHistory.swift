import Wire

/// The historical API's answers from InfluxDB 1, which the influxdb sink fills: Heapster's own layout,
/// asked with Heapster's own InfluxQL.
///
/// Mended: lists read the right column; the time range includes its ends; a question without labels is
/// not answered with the points of all filesystems mixed. Pods are found by their UIDs where the sink
/// was told to write them (`labels=*,pod_id`).
struct InfluxHistory: HistoricalSource {
    let store: HistoricalStore
    let database: String
    /// Measurements for each family of metrics, not for each metric.
    let usesFields: Bool
    let clusterName: String

    // MARK: Points

    func series(_ question: HistoricalQuestion) throws(HistoricalFailure) -> [[SeriesPoint]] {
        let (field, measurement) = place(of: question.metric)
        let limit = question.pointCountMax
        let texts = question.entities.map { entity in
            "SELECT \(field) FROM \(measurement) WHERE \(condition(entity, question)) "
                + "ORDER BY time ASC LIMIT \(limit + 1)"
        }
        let answers = try ask(texts)
        var found: [[SeriesPoint]] = []
        var count = 0
        for answer in answers {
            var values: [(cycle: Int64, value: Double)] = []
            for row in answer.series.first?.rows ?? [] {
                guard case .number(let time) = row.first, row.count == 2,
                    case .number(let value) = row[1]
                else { continue }
                values.append((Int64(exactly: time) ?? 0, value))
            }
            count += values.count
            guard count <= limit else { throw .tooMuch(pointCount: count, limit: limit) }
            found.append(StoredValues.points(values, of: question.metric))
        }
        if question.entities.count == 1, found[0].isEmpty {
            throw .nothing(metric: question.metric, question.entities[0])
        }
        return found
    }

    func buckets(
        _ question: HistoricalQuestion, _ aggregations: [Aggregation], size: Int64
    ) throws(HistoricalFailure) -> [BucketTable] {
        let (field, measurement) = place(of: question.metric)
        let columns = aggregations.map { $0.influxCall(field) }.joined(separator: ", ")
        let grouping = size > 0 ? " GROUP BY time(\(size)ms) fill(none)" : ""
        let limit = question.pointCountMax
        let texts = question.entities.map { entity in
            "SELECT \(columns) FROM \(measurement) WHERE \(condition(entity, question))\(grouping) "
                + "LIMIT \(limit + 1)"
        }
        var tables: [BucketTable] = []
        var count = 0
        for answer in try ask(texts) {
            let rows = answer.series.first?.rows ?? []
            count += rows.count
            guard count <= limit else { throw .tooMuch(pointCount: count, limit: limit) }
            tables.append(
                BucketTable(
                    rows.compactMap { Self.row($0, size > 0 ? nil : question.start) },
                    aggregations: aggregations, size: size))
        }
        if question.entities.count == 1, tables[0].rows.isEmpty {
            throw .nothing(metric: question.metric, question.entities[0])
        }
        return tables
    }

    /// - Parameter start: of the only bucket; of several, the answer has it.
    private static func row(_ values: [InfluxAnswer.Cell], _ start: Int64?) -> BucketTable.Row? {
        guard case .number(let time) = values.first else { return nil }
        let numbers = values.dropFirst().map { value -> Double? in
            if case .number(let number) = value { number } else { nil }
        }
        guard numbers.contains(where: { $0 != nil }) else { return nil }
        return BucketTable.Row(start: start ?? Int64(exactly: time) ?? 0, values: Array(numbers))
    }

    /// Field and measurement, in quotes.
    private func place(of metric: String) -> (field: String, measurement: String) {
        guard usesFields else { return ("\"value\"", Self.quoted(metric)) }
        guard let slash = metric.firstIndex(of: "/") else {
            return ("\"value\"", Self.quoted(metric))
        }
        return (
            Self.quoted(String(metric[metric.index(after: slash)...])),
            Self.quoted(String(metric[..<slash]))
        )
    }

    private func condition(_ entity: Entity, _ question: HistoricalQuestion) -> String {
        var parts = self.condition(StoredEntity(entity))
        for label in question.labels.sorted(by: { $0.key < $1.key }) {
            parts.append("\(Self.quoted(label.key)) = \(Self.text(label.value))")
        }
        for label in StoredEntity.ownLabels where question.labels[label] == nil {
            parts.append("\(Self.quoted(label)) = ''")
        }
        parts.append("time >= \(question.start)ms")
        if question.end < .max { parts.append("time <= \(question.end)ms") }
        return parts.joined(separator: " AND ")
    }

    private func condition(_ entity: StoredEntity) -> [String] {
        [
            "\"type\" = \(Self.text(entity.kind.rawValue))",
            "\"cluster_name\" = \(Self.text(clusterName))",
        ] + entity.labels.map { "\(Self.quoted($0.key)) = \(Self.text($0.value))" }
    }

    // MARK: Lists

    func metricNames(of entity: Entity) throws(HistoricalFailure) -> [String] {
        let condition = self.condition(StoredEntity(entity)).joined(separator: " AND ")
        let measurements = try names("SHOW MEASUREMENTS WHERE \(condition)", column: "name")
        guard usesFields else {
            return measurements.filter { !StoredEntity.ownMetrics.contains($0) }
        }
        guard !measurements.isEmpty else { return [] }
        let from = measurements.map { Self.quoted($0) }.joined(separator: ", ")
        var found: [String] = []
        for one in try ask(["SHOW FIELD KEYS FROM \(from)"])[0].series {
            for field in one.texts("fieldKey") {
                found.append(field == "value" ? one.name : "\(one.name)/\(field)")
            }
        }
        return found.filter { !StoredEntity.ownMetrics.contains($0) }.sorted()
    }

    func nodes() throws(HistoricalFailure) -> [String] { try values("nodename", .node, []) }

    func systemContainers(of node: String) throws(HistoricalFailure) -> [String] {
        try values("container_name", .systemContainer, [("nodename", node)])
    }

    func namespaces() throws(HistoricalFailure) -> [String] {
        try values("namespace_name", .namespace, [])
    }

    func pods(in namespace: String) throws(HistoricalFailure) -> [String] {
        try values("pod_name", .pod, [("namespace_name", namespace)])
    }

    func containers(namespace: String, pod: String) throws(HistoricalFailure) -> [String] {
        try values(
            "container_name", .container, [("namespace_name", namespace), ("pod_name", pod)])
    }

    /// The values of a tag; of measurements that everybody has, which is much less than of all.
    private func values(
        _ key: String, _ kind: EntityKind, _ labels: [(key: String, value: String)]
    ) throws(HistoricalFailure) -> [String] {
        var entity = StoredEntity(.cluster, as: kind)
        entity.labels = labels
        let condition = condition(entity).joined(separator: " AND ")
        return try names(
            "SHOW TAG VALUES FROM /^(uptime|cpu|memory)(\\/usage(_rate)?)?$/ "
                + "WITH KEY = \(Self.quoted(key)) WHERE \(condition)", column: "value")
    }

    private func names(_ text: String, column: String) throws(HistoricalFailure) -> [String] {
        var found = Set<String>()
        for one in try ask([text])[0].series { found.formUnion(one.texts(column)) }
        return found.sorted()
    }

    // MARK: Asking

    private func ask(_ texts: [String]) throws(HistoricalFailure) -> [InfluxAnswer.Statement] {
        let response = try store.ask(
            "/query",
            [("db", database), ("epoch", "ms"), ("q", texts.joined(separator: "; "))])
        let answer: InfluxAnswer
        do throws(JSONError) {
            answer = try InfluxAnswer(response.body)
        } catch {
            throw response.status == 200 ? store.malformed(error) : store.refusal(response)
        }
        if let error = answer.error { throw .broken(error) }
        guard response.status == 200, answer.results.count == texts.count else {
            throw store.refusal(response)
        }
        return answer.results
    }

    private static func quoted(_ name: String) -> String { "\"\(escaped(name, "\""))\"" }
    private static func text(_ value: String) -> String { "'\(escaped(value, "'"))'" }

    private static func escaped(_ text: String, _ quote: Unicode.Scalar) -> String {
        var found = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar == quote || scalar == "\\" { found.append("\\") }
            if scalar == "\n" {
                found.append(contentsOf: "\\n".unicodeScalars)
            } else {
                found.append(scalar)
            }
        }
        return String(found)
    }
}

extension StoredEntity {
    /// A kind without names.
    fileprivate init(_ entity: Entity, as kind: EntityKind) {
        self.kind = kind
        labels = []
    }
}

extension Aggregation {
    /// The function of InfluxQL over a field.
    fileprivate func influxCall(_ field: String) -> String {
        switch self {
        case .average: "MEAN(\(field))"
        case .max: "MAX(\(field))"
        case .min: "MIN(\(field))"
        case .median: "MEDIAN(\(field))"
        case .count: "COUNT(\(field))"
        case .percentile50: "PERCENTILE(\(field), 50)"
        case .percentile95: "PERCENTILE(\(field), 95)"
        case .percentile99: "PERCENTILE(\(field), 99)"
        }
    }
}
