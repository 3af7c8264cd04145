import Wire

/// An entity's subjects on a node: itself, as often as it was restarted, and what belongs to it.
/// Found and used under the node's lock.
struct Family {
    private let entity: Entity
    private let own: [SubjectRecord]
    /// What belongs to it, and to a pod the filesystems of its containers.
    private let children: [SubjectRecord]

    /// Where a metric's values of one thing come from: itself, or the parts that add up to it.
    struct Source {
        /// When the thing started, milliseconds since the epoch. Things of one name replace one
        /// another: where two overlap, the one that started later counts.
        let start: Int64
        /// Their values are added up.
        let terms: [SeriesReader.Term]
    }

    init(of entity: Entity, in state: NodeModel.State, reader: ModelReader) {
        self.entity = entity
        let uids = reader.podUIDs(of: entity).map { SubjectIdentity.PackedText($0) }
        let own = state.records.filter { reader.matches($0.subject, entity, uids) }
            .sorted { $0.subject.startTimeMilliseconds < $1.subject.startTimeMilliseconds }
        let identities = Set(own.map { ObjectIdentifier($0) })
        children = state.records.filter { record in
            guard let parent = record.parent else { return false }
            if identities.contains(ObjectIdentifier(parent)) { return true }
            // What a pod's containers keep on disk is the pod's too.
            guard record.subject.kind == .filesystem, let owner = parent.parent else {
                return false
            }
            return identities.contains(ObjectIdentifier(owner))
        }
        self.own = own
    }

    /// What the entity has without labels.
    var metrics: MetricIDSet {
        var found = MetricIDSet()
        for record in containers { found.formUnion(record.schema.metrics) }
        // Of containers what adds up.
        found.formIntersection(.gauges)
        for record in own + interfaces { found.formUnion(record.schema.metrics) }
        if own.contains(where: { $0.subject.startTimeMilliseconds > 0 }) { found.insert(.uptime) }
        found.remove(.readOffset)
        if own.contains(where: { !storageTerms(of: $0).isEmpty }) {
            found.insert(.ephemeralStorageUsage)
        }
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

    /// Where a metric's values come from, oldest start first.
    ///
    /// - Parameter labels: of the child that is meant; empty for the entity itself.
    func sources(of metric: MetricID, labels: [String: String]) -> [Source] {
        let column = Rates.counter(of: metric) ?? metric
        let isUptime = metric == .uptime && own.allSatisfy { $0.schema.column(of: .uptime) == nil }
        return own.compactMap { record in
            let terms: [SeriesReader.Term]
            if !labels.isEmpty {
                terms = children.filter { $0.parent === record && $0.labels == labels }
                    .compactMap { $0.term(column) }
            } else if isUptime {
                terms = record.startTerm.map { [$0] } ?? []
            } else if let term = record.term(column) {
                terms = [term]
            } else if metric == .ephemeralStorageUsage {
                terms = storageTerms(of: record)
            } else {
                let summed = interfaces + (Self.isAdditive(metric) ? containers : [])
                terms = summed.filter { $0.parent === record }.compactMap { $0.term(column) }
            }
            guard !terms.isEmpty else { return nil }
            return Source(start: record.subject.startTimeMilliseconds, terms: terms)
        }
    }

    // MARK: What it keeps on the node's disk

    private func storageParts(
        of record: SubjectRecord
    ) -> [(part: EphemeralStorage.Part, item: SeriesReader.Term)] {
        children.compactMap { child in
            guard child.parent === record, let part = EphemeralStorage.part(child.subject),
                let term = child.term(.filesystemUsage)
            else { return nil }
            return (part, term)
        }
    }

    /// Where `ephemeral_storage/usage` comes from if not from a column of the subject's own.
    private func storageTerms(of record: SubjectRecord) -> [SeriesReader.Term] {
        guard isPod else { return EphemeralStorage.terms(storageParts(of: record)) }
        let containers = containers.filter { $0.parent === record }
        let read = containers.compactMap { $0.term(.ephemeralStorageUsage) }
        if !read.isEmpty { return read }
        let terms = containers.flatMap { EphemeralStorage.terms(storageParts(of: $0)) }
        guard !terms.isEmpty else { return [] }
        return terms
            + storageParts(of: record).filter { $0.part == .emptyDirectory }.map(\.item)
    }
}

extension SubjectRecord {
    func term(_ metric: MetricID) -> SeriesReader.Term? {
        schema.column(of: metric).map { SeriesReader.Term(record: self, column: $0) }
    }

    /// Uptime comes from the start time where the node does not read it.
    fileprivate var startTerm: SeriesReader.Term? {
        guard subject.startTimeMilliseconds > 0, !schema.fields.isEmpty else { return nil }
        return SeriesReader.Term(record: self, column: 0, isStartTime: true)
    }

    /// The labels that tell this child from its siblings, in Heapster's names.
    var labels: [String: String] { subject.childLabels }
}
