import Wire

/// An entity's subjects on a node: itself, as often as it was restarted, and what belongs to it.
/// Found and used under the node's lock.
struct Family {
    private let entity: Entity
    private let own: [SubjectRecord]
    private let children: [SubjectRecord]

    /// How the readings of several subjects become one series.
    enum Combination {
        /// One thing, restarted now and then: where two overlap, the one that started later.
        case newest
        case sum

        /// - Parameter series: in the order of the terms; within `newest`, oldest start first.
        func combine(
            _ series: [[(cycle: Int64, value: Double)]]
        ) -> [(cycle: Int64, value: Double)] {
            if series.count == 1 { return series[0] }
            var byCycle: [Int64: Double] = [:]
            for points in series {
                for point in points {
                    switch self {
                    case .newest: byCycle[point.cycle] = point.value
                    case .sum: byCycle[point.cycle, default: 0] += point.value
                    }
                }
            }
            return byCycle.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        }
    }

    struct Selection {
        let terms: [SeriesReader.Term]
        let combination: Combination
    }

    init(of entity: Entity, in state: NodeModel.State, reader: ModelReader) {
        self.entity = entity
        let uids = reader.podUIDs(of: entity)
        let own = state.records.filter { reader.matches($0.subject, entity, uids) }
            .sorted { $0.subject.startTimeMilliseconds < $1.subject.startTimeMilliseconds }
        let identities = Set(own.map { ObjectIdentifier($0) })
        children = state.records.filter { record in
            record.parent.map { identities.contains(ObjectIdentifier($0)) } ?? false
        }
        self.own = own
    }

    /// What the entity has without labels.
    var metrics: Set<MetricID> {
        var found = Set<MetricID>()
        for record in own + interfaces { found.formUnion(record.metrics) }
        for record in containers { found.formUnion(record.metrics.filter(Self.isAdditive)) }
        if own.contains(where: { $0.subject.startTimeMilliseconds > 0 }) { found.insert(.uptime) }
        found.remove(.readOffset)
        return found
    }

    /// Children whose figures add up to the entity's own.
    private var interfaces: [SubjectRecord] {
        children.filter { $0.subject.kind == .networkInterface }
    }

    /// A pod's containers: their gauges and rates are the pod's where it has none of its own. Not
    /// their counters: a sum of those falls when one restarts.
    private var containers: [SubjectRecord] {
        isPod ? children.filter { $0.subject.kind == .container } : []
    }

    private static func isAdditive(_ metric: MetricID) -> Bool {
        Catalog.metric(metric).kind == .gauge
    }

    private var isPod: Bool {
        if case .pod = entity { return true }
        return false
    }

    /// Where a metric's values come from.
    func terms(of metric: MetricID, labels: [String: String]) -> Selection {
        let column = Rates.counter(of: metric) ?? metric
        if !labels.isEmpty {
            let labeled = children.filter { $0.labels == labels }
            return Selection(terms: labeled.compactMap { $0.term(column) }, combination: .newest)
        }
        if metric == .uptime, let terms = uptimeTerms { return terms }
        let ownTerms = own.compactMap { $0.term(column) }
        if !ownTerms.isEmpty { return Selection(terms: ownTerms, combination: .newest) }
        let summed = interfaces + (Self.isAdditive(metric) ? containers : [])
        return Selection(terms: summed.compactMap { $0.term(column) }, combination: .sum)
    }

    /// Uptime comes from the start time where the node does not read it.
    private var uptimeTerms: Selection? {
        guard own.allSatisfy({ $0.schema.column(of: .uptime) == nil }) else { return nil }
        let terms = own.filter { $0.subject.startTimeMilliseconds > 0 && !$0.schema.fields.isEmpty }
            .map { SeriesReader.Term(record: $0, column: 0, isStartTime: true) }
        return Selection(terms: terms, combination: .newest)
    }
}

extension SubjectRecord {
    func term(_ metric: MetricID) -> SeriesReader.Term? {
        schema.column(of: metric).map { SeriesReader.Term(record: self, column: $0) }
    }

    /// The catalogue's metrics that this subject has, rates included. Numbers of a newer catalogue
    /// have no name here.
    var metrics: Set<MetricID> {
        var found = Set(schema.fields.compactMap { MetricID(rawValue: $0.metric) })
        for pair in Rates.pairs where found.contains(pair.counter) { found.insert(pair.rate) }
        return found
    }

    /// The labels that tell this child from its siblings, in Heapster's names.
    var labels: [String: String] { subject.childLabels }
}

extension Subject {
    /// The labels that tell a child from its siblings, in Heapster's names.
    var childLabels: [String: String] {
        switch kind {
        case .filesystem: ["resource_id": filesystemResource]
        case .blockDevice: ["resource_id": name]
        case .networkInterface: ["interface": name]
        case .hugePages: ["page_size": name]
        case .accelerator:
            [
                "make": attributes[.make] ?? "",
                "model": attributes[.model] ?? "",
                "accelerator_id": attributes[.identifier] ?? "",
            ]
        default: [:]
        }
    }

    private var filesystemResource: String {
        switch attributes[.role] {
        case "volume": "Volume:\(name)"
        case "rootfs": "/"
        case "logs": "logs"
        default: name
        }
    }
}
