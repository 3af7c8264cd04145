import Wire

/// A node's values of one frame: the newest ones, seen under its lock, or a copy of those of a cycle.
struct LiveRows {
    private let source: Source

    private enum Source {
        case chain(OpenChain)
        case copy(CycleRows)
    }
    /// When the frame's reading began, milliseconds since the epoch.
    let readTime: Int64
    /// The frame's step, milliseconds since the epoch.
    let step: Int64

    init(_ chain: OpenChain, _ header: FrameHeader) {
        source = .chain(chain)
        step = header.stepMilliseconds
        readTime = header.stepMilliseconds &+ header.readDelayMilliseconds
    }

    init(_ rows: CycleRows) {
        source = .copy(rows)
        step = rows.step
        readTime = rows.readTime
    }

    /// Where the newest values are; `nil` of a copy.
    var chain: OpenChain? {
        if case .chain(let chain) = source { return chain }
        return nil
    }

    /// A subject's values in the order of its schema; `nil` where the newest frame has none. Valid
    /// during the call only.
    func row(_ slot: Slot) -> UnsafeBufferPointer<Int64>? {
        switch source {
        case .chain(let chain): chain.decoder.row(of: slot)
        case .copy(let rows): rows.row(slot)
        }
    }

    private func part(_ slot: Slot) -> (UnsafeMutablePointer<Int64>, counters: Int)? {
        switch source {
        case .chain(let chain): chain.part(slot)
        case .copy(let rows): rows.part(slot)
        }
    }

    /// A subject's rate by its place in `LiveLayout.Item.rates`; `nil` where it has none this cycle.
    func rate(_ slot: Slot, _ index: Int) -> Double? {
        guard let (part, counters) = self.part(slot), index < counters else { return nil }
        let rate = Double(bitPattern: UInt64(bitPattern: part[1 + counters + index]))
        return rate.isNaN ? nil : rate
    }

    /// CPU use of the newest cycle; `nil` where there is none.
    func cpu(_ slot: Slot) -> CPUReading? {
        guard let (part, counters) = self.part(slot), part[2 + 2 * counters] >= 0,
            part[1 + 2 * counters] > 0
        else { return nil }
        return CPUReading(
            nanocores: part[2 + 2 * counters], window: part[1 + 2 * counters],
            time: part[0] == RateTable.never ? readTime : part[0])
    }
}

/// CPU use of a subject in a cycle.
struct CPUReading {
    /// Billionths of a core.
    let nanocores: Int64
    /// Milliseconds between the two readings that it comes from.
    let window: Int64
    /// When the counter was read, milliseconds since the epoch.
    let time: Int64
}

/// Which subjects a node had at a moment, and where their values are.
struct LiveLayout {
    struct Item {
        let slot: Slot
        /// The slot of what it belongs to, in this layout.
        let parent: Slot?
        let subject: SubjectIdentity
        /// Its rates are in the order of the places of `LiveRows.rate`.
        let schema: SharedSchema
    }

    /// The same layout has the same number, and another a larger one.
    let generation: UInt64
    /// In the order of their slots.
    let items: [Item]
    let machine: MachineFacts
}

extension NodeModel {
    /// The live subjects, copied: O(subjects). `nil` while there is no frame.
    func liveLayout() -> LiveLayout? {
        read { state in
            guard let chain = state.live else { return nil }
            var items: [LiveLayout.Item] = []
            var slots: [ObjectIdentifier: Slot] = [:]
            chain.forEachLive { slot, record in slots[ObjectIdentifier(record)] = slot }
            chain.forEachLive { slot, record in
                items.append(
                    LiveLayout.Item(
                        slot: slot, parent: record.parent.flatMap { slots[ObjectIdentifier($0)] },
                        subject: record.subject, schema: record.schema))
            }
            return LiveLayout(
                generation: chain.generation, items: items,
                machine: state.machine)
        }
    }

    /// Shows the newest values if the layout is still the one of that generation: slots mean the
    /// same things then. The body runs under the node's lock; it must be quick.
    ///
    /// - Returns: `nil` when the layout is another one by now, or there is none.
    func withLiveRows<Result>(
        _ generation: UInt64, _ body: (LiveRows) -> Result
    ) -> Result? {
        read { state in
            guard let chain = state.live, let header = chain.decoder.header,
                chain.generation == generation
            else { return nil }
            return body(LiveRows(chain, header))
        }
    }

    /// Of the live chain now; `nil` while there is no frame.
    var layoutGeneration: UInt64? { read { $0.live?.generation } }
}
