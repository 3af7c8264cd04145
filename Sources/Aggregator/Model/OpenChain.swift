import Wire

/// A chain that frames are still added to: the decoder with the current values, the history they go
/// to, and which subject is in which slot.
final class OpenChain {
    let id: ChainID
    let decoder: FrameDecoder
    let history: HistoryChain
    /// By slot.
    private(set) var live: [LiveSubject?] = []
    private var plans: [SchemaNumber: Rates.Plan] = [:]
    /// The frame that can be decoded next.
    var nextSequence: UInt64

    /// A subject in a slot.
    struct LiveSubject {
        let record: SubjectRecord
        let plan: Rates.Plan
    }

    init(id: ChainID, history: HistoryChain, limits: WireLimits) {
        self.id = id
        self.history = history
        decoder = FrameDecoder(limits: limits)
        nextSequence = id
    }

    /// The step of its newest frame, `Int64.min` before the first.
    var lastStep: Int64 { decoder.header?.stepMilliseconds ?? .min }

    func subject(in slot: Slot) -> LiveSubject? {
        Int(slot) < live.count ? live[Int(slot)] : nil
    }

    func place(_ record: SubjectRecord, in slot: Slot, schema: SchemaNumber) {
        while live.count <= Int(slot) { live.append(nil) }
        let plan = plans[schema] ?? Rates.Plan(record.schema)
        plans[schema] = plan
        live[Int(slot)] = LiveSubject(record: record, plan: plan)
        record.enter(chain: history.number, slot: slot, firstSequence: nextSequence)
    }

    func clear(_ slot: Slot) {
        guard let subject = subject(in: slot) else { return }
        subject.record.leave(
            chain: history.number, slot: slot, lastSequence: nextSequence &- 1)
        live[Int(slot)] = nil
    }

    /// The subjects that the newest frame has values of.
    func forEachRow(_ body: (Slot, LiveSubject, UnsafeBufferPointer<Int64>) -> Void) {
        for index in live.indices {
            guard let subject = live[index], let row = decoder.row(of: Slot(index)) else {
                continue
            }
            body(Slot(index), subject, row)
        }
    }
}
