import Wire

/// A subject as the model knows it: the same object as long as it is the same thing, whatever slots
/// it had in whatever chains. All of it is used under the node's lock.
///
/// There is one per subject of the cluster, a million of them, so it holds nothing twice.
final class SubjectRecord {
    let subject: SubjectIdentity
    let schema: SharedSchema
    let parent: SubjectRecord?
    /// Step of the newest frame in which it was, milliseconds; `Int64.min` before the first. As of
    /// the time it last left a slot; while it is in one, the chain knows.
    private(set) var lastStep: Int64 = .min
    /// The table with the newest readings of its counters, and where they are there.
    private(set) var readings: RateTable?
    private(set) var readingsOffset = 0
    /// The next record in `SubjectRecords` whose hash ends alike.
    fileprivate var next: SubjectRecord?
    fileprivate var hash: UInt32 = 0

    /// Almost all have had one place only.
    private var firstPlace = Place.none
    private var morePlaces: [Place] = []

    /// A slot of a chain, from one frame on until it is removed.
    struct Place {
        private let chain32: Int32
        let slot: Slot
        let firstSequence: UInt64
        var lastSequence: UInt64 = .max

        init(chain: Int, slot: Slot, firstSequence: UInt64) {
            chain32 = Int32(truncatingIfNeeded: chain)
            self.slot = slot
            self.firstSequence = firstSequence
        }

        var chain: Int { Int(chain32) }

        /// The same slots and frames in another chain of the node.
        func moved(to chain: Int) -> Self {
            var place = Self(chain: chain, slot: slot, firstSequence: firstSequence)
            place.lastSequence = lastSequence
            return place
        }

        /// Stands for no place: chains count from 0.
        fileprivate static let none = Place(chain: -1, slot: 0, firstSequence: 0)
        fileprivate var isNone: Bool { chain32 < 0 }
    }

    init(subject: SubjectIdentity, schema: SharedSchema, parent: SubjectRecord?) {
        self.subject = subject
        self.schema = schema
        self.parent = parent
    }

    /// Where it is in the history.
    var places: [Place] { firstPlace.isNone ? [] : [firstPlace] + morePlaces }

    /// Since when it is in a slot of a chain where it still is; `nil` where it is not.
    func firstSequence(chain: Int, slot: Slot) -> UInt64? {
        let isPlace = { (place: Place) in
            place.chain == chain && place.slot == slot && place.lastSequence == .max
        }
        if let place = morePlaces.last(where: isPlace) { return place.firstSequence }
        return isPlace(firstPlace) ? firstPlace.firstSequence : nil
    }

    func enter(chain: Int, slot: Slot, firstSequence: UInt64) {
        enter(Place(chain: chain, slot: slot, firstSequence: firstSequence))
    }

    func enter(_ place: Place) {
        if firstPlace.isNone { firstPlace = place } else { morePlaces.append(place) }
    }

    /// Its newest readings are there, unless those that it has are newer than this time.
    func move(to readings: RateTable, _ offset: Int, asOf time: Int64) {
        if let known = self.readings, known.time(at: readingsOffset) ?? .min > time { return }
        self.readings = readings
        readingsOffset = offset
    }

    /// - Parameter lastStep: step of the chain's newest frame.
    func leave(chain: Int, slot: Slot, lastSequence: UInt64, lastStep: Int64) {
        self.lastStep = max(self.lastStep, lastStep)
        let isPlace = { (place: Place) in place.chain == chain && place.slot == slot }
        if let index = morePlaces.lastIndex(where: isPlace) {
            morePlaces[index].lastSequence = lastSequence
        } else if isPlace(firstPlace) {
            firstPlace.lastSequence = lastSequence
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
        if firstPlace.chain == chain {
            firstPlace = morePlaces.isEmpty ? .none : morePlaces.removeFirst()
        }
    }

    /// The pod that it is or belongs to; `nil` for what is the node's.
    var pod: SubjectRecord? { subject.kind == .pod ? self : parent?.pod }

    /// What makes it the same subject: everything that the dictionary says, and whose it is.
    fileprivate func isSame(
        _ subject: SubjectIdentity, _ schema: SharedSchema, _ parent: SubjectRecord?
    ) -> Bool {
        self.parent === parent && self.subject == subject
            && (self.schema === schema || self.schema.schema == schema.schema)
    }

    fileprivate static func hash(
        _ subject: SubjectIdentity, _ parent: SubjectRecord?
    ) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(subject)
        hasher.combine(parent.map { ObjectIdentifier($0) })
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }
}

/// A node's subjects, found by what they are.
struct SubjectRecords {
    /// The first of each chain of records whose hash ends in the same bits; a power of two of them,
    /// about as many as there are records.
    private var heads: [SubjectRecord?] = [nil]
    private(set) var count = 0

    /// The record of this subject, made if it is not there.
    mutating func record(
        of subject: SubjectIdentity, schema: SharedSchema, parent: SubjectRecord?
    ) -> SubjectRecord {
        let hash = SubjectRecord.hash(subject, parent)
        var candidate = heads[place(of: hash)]
        while let record = candidate {
            if record.hash == hash, record.isSame(subject, schema, parent) { return record }
            candidate = record.next
        }
        if count >= heads.count { spread(over: 2 * heads.count) }
        let record = SubjectRecord(subject: subject, schema: schema, parent: parent)
        record.hash = hash
        insert(record)
        count += 1
        return record
    }

    private func place(of hash: UInt32) -> Int { Int(hash) & (heads.count - 1) }

    private mutating func insert(_ record: SubjectRecord) {
        let place = place(of: record.hash)
        record.next = heads[place]
        heads[place] = record
    }

    /// Puts all records over so many heads, a power of two.
    private mutating func spread(over headCount: Int) {
        var records: [SubjectRecord] = []
        visit { records.append($0) }
        heads = [SubjectRecord?](repeating: nil, count: headCount)
        for record in records { insert(record) }
    }

    func visit(_ body: (SubjectRecord) -> Void) {
        for head in heads {
            var next = head
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
        let kept = filter { !identities.contains(ObjectIdentifier($0)) }
        for record in gone { record.next = nil }
        count = kept.count
        var headCount = heads.count
        while headCount > 1, headCount / 4 >= count { headCount /= 2 }
        heads = [SubjectRecord?](repeating: nil, count: headCount)
        for record in kept { insert(record) }
        return gone
    }
}
