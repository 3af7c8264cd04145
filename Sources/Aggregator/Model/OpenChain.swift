import Wire

/// A chain that frames are still added to: the decoder with the current values, the history they go
/// to, and which subject is in which slot.
final class OpenChain {
    let id: ChainID
    private(set) var decoder: FrameDecoder
    let history: HistoryChain
    /// The frame that can be decoded next.
    var nextSequence: UInt64
    /// Frames that the node had brought, in whatever chain, when this one had its last.
    var framesBefore: UInt64 = 0
    let readings = RateTable()
    private(set) var plans: [Rates.Plan] = []
    /// By plan.
    private var counterCounts: [Int] = []
    private var schemas: [SharedSchema] = []
    /// By schema number: index into `plans` and `schemas`, -1 for one that no subject had yet.
    private var planIndices: [Int32] = []
    /// By slot.
    private var occupants: [SubjectRecord?] = []
    /// By slot, as many as occupants: apart from them, so that who reads figures counts no references.
    private var parts: [Part] = []
    private var isOutdated = true
    /// Kept for lists of pods; none when nobody asks, or since subjects came or went.
    var usageWatch: UsageWatch?
    /// Slots whose subjects came since the last cycle.
    private var unseeded: [Slot] = []
    /// The live subjects in the order of their slots, as of the last `update`.
    private(set) var rows: [LiveRow] = []
    /// The pods that they belong to.
    private(set) var pods: [SubjectRecord] = []

    /// What a frame's row is and where its figures go: all that the ingest path needs, side by side.
    struct LiveRow {
        /// When the subject started, milliseconds since the epoch, 0 if unknown.
        let start: Int64
        let slot: Slot
        /// Index into `plans`.
        let plan: UInt16
        /// The pod itself, not a part of it.
        let isPod: Bool
        /// Of the subject's part of `readings`.
        let offset: Int32
        /// Index into `pods`, -1 for what is in none.
        let pod: Int32
    }

    private let layoutClock: LayoutClock
    /// Another number for every other set of subjects in slots, in the whole process.
    private(set) var generation: UInt64

    /// Where an occupant's figures are; of a free slot without meaning.
    private struct Part: BitwiseCopyable {
        /// Index into `plans`, -1 for a free slot.
        var plan: Int32 = -1
        /// Of the subject's part of `readings`.
        var offset: Int32 = 0
    }

    init(
        id: ChainID, history: HistoryChain, limits: WireLimits, plans: SchemaPlans,
        layoutClock: LayoutClock
    ) {
        self.id = id
        self.history = history
        self.layoutClock = layoutClock
        generation = layoutClock.tick()
        decoder = FrameDecoder(limits: limits, plans: plans)
        nextSequence = id
    }

    /// The step of its newest frame, `Int64.min` before the first.
    var lastStep: Int64 { max(decoder.header?.stepMilliseconds ?? .min, skippedStep) }

    /// Step of the newest frame that was kept without being decoded, while the log is read.
    private var skippedStep = Int64.min
    /// The decoder is behind the frames that were kept.
    var isBehind: Bool { skippedStep != .min }

    /// Puts the readings of subjects back that are in their slots already.
    func restoreReadings(_ snapshot: ChainSnapshot) {
        for case let place? in snapshot.places {
            guard let (part, counters) = part(place.slot),
                place.readings.count == RateTable.width(counters: counters)
            else { continue }
            for (index, value) in snapshot.readings[place.readings].enumerated() {
                part[index] = value
            }
        }
    }

    /// A frame is kept and not decoded.
    func skip(to step: Int64) { skippedStep = max(skippedStep, step) }

    /// Goes on with a decoder that is up to the frames that were kept.
    func restore(_ decoder: FrameDecoder) {
        self.decoder = decoder
        skippedStep = .min
        isOutdated = true
        usageWatch = nil
    }

    func record(in slot: Slot) -> SubjectRecord? {
        Int(slot) < occupants.count ? occupants[Int(slot)] : nil
    }

    /// Every subject that is in a slot now, in the order of the slots.
    func forEachLive(_ body: (Slot, SubjectRecord) -> Void) {
        for (slot, occupant) in occupants.enumerated() {
            if let occupant { body(Slot(slot), occupant) }
        }
    }

    /// A live subject's part of `readings` and the number of its counters.
    func part(_ slot: Slot) -> (UnsafeMutablePointer<Int64>, counters: Int)? {
        guard Int(slot) < parts.count else { return nil }
        let part = parts[Int(slot)]
        guard part.plan >= 0 else { return nil }
        return (readings.base + Int(part.offset), counterCounts[Int(part.plan)])
    }

    /// The subjects that are in a slot now.
    var liveRecords: some Sequence<SubjectRecord> {
        occupants.lazy.compactMap(\.self)
    }

    /// - Precondition: `schema(_:_:)` was asked for the schema.
    ///
    /// - Parameter firstSequence: the frame from which on it is there; the next one unless said.
    func place(
        _ record: SubjectRecord, in slot: Slot, schema: SchemaNumber,
        firstSequence: UInt64? = nil
    ) {
        while occupants.count <= Int(slot) {
            occupants.append(nil)
            parts.append(Part())
        }
        let plan = planIndices[Int(schema)]
        let counters = plans[Int(plan)].counters.count
        let offset = readings.take(counters: counters)
        if let before = record.readings {
            readings.copy(from: before, record.readingsOffset, to: offset, counters: counters)
        }
        occupants[Int(slot)] = record
        parts[Int(slot)] = Part(plan: plan, offset: Int32(offset))
        record.enter(
            chain: history.number, slot: slot, firstSequence: firstSequence ?? nextSequence)
        unseeded.append(slot)
        isOutdated = true
        usageWatch = nil
        generation = layoutClock.tick()
    }

    /// The dictionary's schema of that number, the one object that stands for it everywhere.
    ///
    /// - Precondition: the decoder knows it.
    func schema(_ number: SchemaNumber, _ interner: ModelInterner) -> SharedSchema {
        while planIndices.count <= Int(number) { planIndices.append(-1) }
        let known = planIndices[Int(number)]
        if known >= 0 { return schemas[Int(known)] }
        guard let schema = decoder.layout.schema(number) else {
            preconditionFailure("schema \(number) is not defined")
        }
        let shared = interner.schema(schema)
        planIndices[Int(number)] = Int32(plans.count)
        plans.append(shared.plan)
        counterCounts.append(shared.plan.counters.count)
        schemas.append(shared)
        return shared
    }

    func clear(_ slot: Slot) {
        guard let record = record(in: slot) else { return }
        let part = parts[Int(slot)]
        record.leave(
            chain: history.number, slot: slot, lastSequence: nextSequence &- 1, lastStep: lastStep)
        let counters = counterCounts[Int(part.plan)]
        record.keepReadings(of: readings, Int(part.offset), counters: counters)
        readings.giveBack(Int(part.offset), counters: counters)
        occupants[Int(slot)] = nil
        parts[Int(slot)] = Part()
        isOutdated = true
        usageWatch = nil
        generation = layoutClock.tick()
    }

    /// Gives subjects that came since the last cycle their readings before this one. What they took
    /// over may be later than the frame, which then fills a gap: the chain that came to the gap has what
    /// was before it.
    ///
    /// - Parameter time: of the frame, milliseconds since the epoch.
    func seed(before time: Int64, from others: [OpenChain]) {
        guard !unseeded.isEmpty else { return }
        for slot in unseeded {
            guard let record = record(in: slot) else { continue }
            let part = parts[Int(slot)]
            let (offset, counters) = (Int(part.offset), counterCounts[Int(part.plan)])
            if let taken = readings.time(at: offset), taken > time {
                readings.clear(offset, counters: counters)
                var newest = Int64.min
                for other in others where other !== self {
                    guard let found = other.offset(of: record),
                        let known = other.readings.time(at: found), known <= time, known > newest
                    else { continue }
                    newest = known
                    readings.copy(from: other.readings, found, to: offset, counters: counters)
                }
            }
            record.move(to: readings, offset, asOf: time)
        }
        unseeded.removeAll()
    }

    /// Of a live subject's part of `readings`.
    private func offset(of record: SubjectRecord) -> Int? {
        let place = record.places.last { $0.chain == history.number && $0.lastSequence == .max }
        guard let place, self.record(in: place.slot) === record else { return nil }
        return Int(parts[Int(place.slot)].offset)
    }

    /// Tells the subjects that no frame will come any more.
    func end() {
        for record in liveRecords { record.noteEnd(lastStep: lastStep) }
    }

    /// Brings `rows` and `pods` up to the dictionary; returns whether anything had changed.
    func update() -> Bool {
        guard isOutdated else { return false }
        isOutdated = false
        // Exactly as much as it takes: there is one of them per node.
        rows = []
        rows.reserveCapacity(occupants.count { $0 != nil })
        pods = []
        var podIndices: [ObjectIdentifier: Int32] = [:]
        for (slot, occupant) in occupants.enumerated() {
            guard let occupant else { continue }
            var podIndex: Int32 = -1
            let pod = occupant.pod
            if let pod {
                podIndex = podIndices[ObjectIdentifier(pod)] ?? Int32(pods.count)
                if Int(podIndex) == pods.count {
                    pods.append(pod)
                    podIndices[ObjectIdentifier(pod)] = podIndex
                }
            }
            rows.append(
                LiveRow(
                    start: occupant.subject.startTimeMilliseconds, slot: Slot(slot),
                    plan: UInt16(parts[slot].plan), isPod: occupant === pod,
                    offset: parts[slot].offset, pod: podIndex))
        }
        return true
    }
}
