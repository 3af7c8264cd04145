import Wire

/// A subject as the model knows it: the same object as long as it is the same thing, whatever slots
/// it had in whatever chains. All of it is used under the node's lock.
///
/// There is one per subject of the cluster, a million of them, so it holds nothing twice.
final class SubjectRecord {
    let subject: Subject
    let schema: Schema
    let parent: SubjectRecord?
    /// Step of the newest frame in which it was, milliseconds; `Int64.min` before the first. As of
    /// the time it last left a slot; while it is in one, the chain knows.
    private(set) var lastStep: Int64 = .min
    /// The table with the newest readings of its counters, and where they are there.
    private(set) var readings: RateTable?
    private(set) var readingsOffset = 0
    /// The next record in `SubjectRecords` with the same hash.
    fileprivate var next: SubjectRecord?

    /// Almost all have had one place only.
    private var firstPlace: Place?
    private var morePlaces: [Place] = []

    /// A slot of a chain, from one frame on until it is removed.
    struct Place {
        let chain: Int
        let slot: Slot
        let firstSequence: UInt64
        var lastSequence: UInt64 = .max
    }

    init(subject: Subject, schema: Schema, parent: SubjectRecord?) {
        self.subject = subject
        self.schema = schema
        self.parent = parent
    }

    /// Where it is in the history.
    var places: [Place] { firstPlace.map { [$0] + morePlaces } ?? [] }

    func enter(
        chain: Int, slot: Slot, firstSequence: UInt64, readings: RateTable, offset: Int
    ) {
        let place = Place(chain: chain, slot: slot, firstSequence: firstSequence)
        if firstPlace == nil { firstPlace = place } else { morePlaces.append(place) }
        self.readings = readings
        readingsOffset = offset
    }

    /// - Parameter lastStep: step of the chain's newest frame.
    func leave(chain: Int, slot: Slot, lastSequence: UInt64, lastStep: Int64) {
        self.lastStep = max(self.lastStep, lastStep)
        let isPlace = { (place: Place) in place.chain == chain && place.slot == slot }
        if let index = morePlaces.lastIndex(where: isPlace) {
            morePlaces[index].lastSequence = lastSequence
        } else if let place = firstPlace, isPlace(place) {
            firstPlace?.lastSequence = lastSequence
        }
    }

    /// Its part of a table is about to be used by another: what is in it is kept apart.
    func keepReadings(of table: RateTable, _ offset: Int, counters: Int) {
        guard readings === table, readingsOffset == offset else { return }
        let kept = RateTable()
        readingsOffset = kept.take(counters: counters)
        kept.copy(from: table, offset, to: readingsOffset, counters: counters)
        readings = kept
    }

    /// A chain was ended with the subject still in it.
    func noteEnd(lastStep: Int64) { self.lastStep = max(self.lastStep, lastStep) }

    func forget(chain: Int) {
        morePlaces.removeAll { $0.chain == chain }
        if firstPlace?.chain == chain {
            firstPlace = morePlaces.isEmpty ? nil : morePlaces.removeFirst()
        }
    }

    /// The pod that it is or belongs to; `nil` for what is the node's.
    var pod: SubjectRecord? { subject.kind == .pod ? self : parent?.pod }

    /// What makes it the same subject: everything that the dictionary says, and whose it is.
    fileprivate func isSame(_ subject: Subject, _ schema: Schema, _ parent: SubjectRecord?) -> Bool
    {
        self.subject.kind == subject.kind && self.parent === parent
            && self.subject.startTimeMilliseconds == subject.startTimeMilliseconds
            && self.subject.attributes == subject.attributes && self.schema == schema
    }

    fileprivate static func hash(
        _ subject: Subject, _ schema: Schema, _ parent: SubjectRecord?
    ) -> Int {
        var hasher = Hasher()
        hasher.combine(subject.kind)
        hasher.combine(parent.map { ObjectIdentifier($0) })
        hasher.combine(subject.startTimeMilliseconds)
        hasher.combine(subject.attributes)
        hasher.combine(schema.fields.count)
        return hasher.finalize()
    }
}

/// A node's subjects, found by what they are.
struct SubjectRecords {
    /// The first of each chain of records with the same hash.
    private var heads: [Int: SubjectRecord] = [:]
    private(set) var count = 0

    /// The record of this subject, made if it is not there.
    mutating func record(
        of subject: Subject, schema: Schema, parent: SubjectRecord?
    ) -> SubjectRecord {
        let hash = SubjectRecord.hash(subject, schema, parent)
        var candidate = heads[hash]
        while let record = candidate {
            if record.isSame(subject, schema, parent) { return record }
            candidate = record.next
        }
        let record = SubjectRecord(subject: subject, schema: schema, parent: parent)
        record.next = heads[hash]
        heads[hash] = record
        count += 1
        return record
    }

    func visit(_ body: (SubjectRecord) -> Void) {
        for head in heads.values {
            var next: SubjectRecord? = head
            while let record = next {
                body(record)
                next = record.next
            }
        }
    }

    func filter(_ isWanted: (SubjectRecord) -> Bool) -> [SubjectRecord] {
        var found: [SubjectRecord] = []
        visit { if isWanted($0) { found.append($0) } }
        return found
    }

    /// - Returns: the records that were removed.
    mutating func removeAll(where isGone: (SubjectRecord) -> Bool) -> [SubjectRecord] {
        let gone = filter(isGone)
        guard !gone.isEmpty else { return [] }
        let identities = Set(gone.map { ObjectIdentifier($0) })
        for (hash, head) in heads {
            var kept: SubjectRecord?
            var next: SubjectRecord? = head
            while let record = next {
                next = record.next
                record.next = nil
                guard !identities.contains(ObjectIdentifier(record)) else { continue }
                record.next = kept
                kept = record
            }
            heads[hash] = kept
        }
        count -= gone.count
        return gone
    }
}
