import Wire

/// The agent's side of the dictionary: gives out slots and schema numbers, and keeps the changes
/// that are still to be told.
///
/// A schema's number is never used again within a run, so there are as many as there were different sets of
/// files: a handful on a node, however long it runs. The wire's limit ends it.
struct SubjectRegistry {
    private var schemaNumbers: [Schema: SchemaNumber] = [:]
    private var schemas: [Schema] = []
    private var subjects: [(schema: SchemaNumber, subject: Subject)?] = []
    /// Free slots; the lowest is given out first, so that slots stay dense.
    private var freeSlots: [Slot] = []
    private var changes: [SubjectChange] = []
    private(set) var subjectCount = 0
    /// Subjects that the wire's limits left no room for; never reset.
    private(set) var refusedCount: Int64 = 0
    private let limits: WireLimits

    init(limits: WireLimits = WireLimits()) { self.limits = limits }

    /// Slots that were ever given out, and schemas: what the dictionary takes in memory.
    var slotCount: Int { subjects.count }
    var schemaCount: Int { schemas.count }

    var hasChanges: Bool { !changes.isEmpty }

    /// Gives a slot to a subject with these metrics.
    ///
    /// - Returns: `nil` where the limits of the wire allow no more subjects or schemas.
    mutating func add(_ subject: Subject, fields: [SchemaField]) -> Slot? {
        guard subjectCount < limits.subjects, fields.count <= limits.fieldsPerSchema,
            let number = number(of: Schema(fields))
        else {
            refusedCount += 1
            return nil
        }
        let slot: Slot
        if let free = freeSlots.indices.min(by: { freeSlots[$0] < freeSlots[$1] }) {
            slot = freeSlots.remove(at: free)
        } else {
            slot = Slot(subjects.count)
            subjects.append(nil)
        }
        subjects[Int(slot)] = (number, subject)
        subjectCount += 1
        changes.append(.add(slot, number, subject))
        return slot
    }

    mutating func remove(_ slot: Slot) {
        guard subjects[Int(slot)] != nil else { return }
        subjects[Int(slot)] = nil
        subjectCount -= 1
        freeSlots.append(slot)
        changes.append(.remove(slot))
    }

    private mutating func number(of schema: Schema) -> SchemaNumber? {
        if let number = schemaNumbers[schema] { return number }
        guard schemas.count < limits.schemas else { return nil }
        let number = SchemaNumber(schemas.count)
        schemas.append(schema)
        schemaNumbers[schema] = number
        changes.append(.schema(number, schema))
        return number
    }

    /// What changed since the last call, in the order in which it must be told.
    mutating func takeChanges() -> [SubjectChange] {
        if changes.isEmpty { return [] }
        defer { changes = [] }
        return changes
    }

    func subject(of slot: Slot) -> Subject? {
        Int(slot) < subjects.count ? subjects[Int(slot)]?.subject : nil
    }

    func schema(of slot: Slot) -> Schema? {
        guard Int(slot) < subjects.count, let number = subjects[Int(slot)]?.schema else {
            return nil
        }
        return schemas[Int(number)]
    }

    /// Every live slot, ascending.
    var liveSlots: [Slot] { subjects.indices.filter { subjects[$0] != nil }.map { Slot($0) } }

    /// Everything that is known, as changes from nothing: what a new aggregator is told.
    var dictionary: [SubjectChange] {
        var all: [SubjectChange] = schemas.enumerated().map {
            .schema(SchemaNumber($0.offset), $0.element)
        }
        for (slot, entry) in subjects.enumerated() {
            if let entry { all.append(.add(Slot(slot), entry.schema, entry.subject)) }
        }
        return all
    }
}
