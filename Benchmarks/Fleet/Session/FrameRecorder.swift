import Wire

/// Writes an agent run's frames into a `FrameLog`, by the encoder that agents use.
final class FrameRecorder {
    let log: FrameLog
    private let encoder = FrameEncoder()
    private var schemas: [Schema: SchemaNumber] = [:]
    private var definitions: [SubjectChange] = []
    private var live: [Slot: SubjectChange] = [:]
    private var freeSlots: [Slot] = []
    private var slotEnd: Slot = 0
    private var pending: [SubjectChange] = []
    private var payload: [UInt8] = []

    init(log: FrameLog) { self.log = log }

    /// A slot for a new subject.
    func takeSlot() -> Slot {
        if let slot = freeSlots.popLast() { return slot }
        defer { slotEnd += 1 }
        return slotEnd
    }

    /// - Throws: `limitExceeded` when the node would have more than `WireLimits` allows.
    func add(_ slot: Slot, _ subject: Subject, _ schema: Schema) throws(WireError) {
        let number = schemas[schema] ?? SchemaNumber(schemas.count)
        if schemas[schema] == nil {
            try encoder.apply(.schema(number, schema))
            schemas[schema] = number
            definitions.append(.schema(number, schema))
            pending.append(.schema(number, schema))
        }
        let change = SubjectChange.add(slot, number, subject)
        try encoder.apply(change)
        live[slot] = change
        pending.append(change)
    }

    /// The slot is free for another subject.
    func remove(_ slot: Slot) throws(WireError) {
        try encoder.apply(.remove(slot))
        live[slot] = nil
        pending.append(.remove(slot))
        freeSlots.append(slot)
    }

    /// Where a subject's next values go.
    func row(of slot: Slot) -> UnsafeMutableBufferPointer<Int64> { encoder.row(of: slot) }

    /// Closes a frame with the rows' values; it begins a new chain when the log asks for one.
    func record(stepMilliseconds: Int64, readDelay: Int64, takenNanoseconds: UInt64) {
        let sequence = log.newest + 1
        let begins = log.needsNewChain
        log.needsNewChain = false
        if begins {
            // Parents have to be there before their children, whatever slots they have.
            let adds = live.sorted { $0.key < $1.key }.map(\.value)
            pending = definitions + Self.parentsFirst(adds)
        }
        payload.removeAll(keepingCapacity: true)
        encoder.encode(
            FrameHeader(
                sequence: sequence, stepMilliseconds: stepMilliseconds,
                readDelayMilliseconds: readDelay, isKey: begins), into: &payload)
        var record: [UInt8] = []
        payload.withUnsafeBytes { Record.encode(type: .frame, payload: $0, into: &record) }
        log.append(
            FrameLog.Step(
                sequence: sequence, chain: begins ? sequence : log.chain, changes: pending,
                record: record, sampleCount: encoder.layout.valueCount,
                takenNanoseconds: takenNanoseconds))
        pending = []
    }

    private static func parentsFirst(_ adds: [SubjectChange]) -> [SubjectChange] {
        var rest = adds
        var placed = Set<Slot>()
        var ordered: [SubjectChange] = []
        while !rest.isEmpty {
            let ready = rest.filter { change in
                guard case .add(_, _, let subject) = change else { return true }
                return subject.parent.map { placed.contains($0) } ?? true
            }
            precondition(!ready.isEmpty, "subjects without their parents: \(rest)")
            for case .add(let slot, _, _) in ready { placed.insert(slot) }
            ordered += ready
            rest.removeAll { change in
                guard case .add(let slot, _, _) = change else { return true }
                return placed.contains(slot)
            }
        }
        return ordered
    }
}
