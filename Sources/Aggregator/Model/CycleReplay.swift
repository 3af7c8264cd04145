import Wire

/// Reads whole frames of past cycles out of a node's history: for data that came late and for cycles
/// that an earlier process left to this one.
///
/// Decodes the node's whole window once, about 1 ms for 90 frames of 60 containers; the node's lock
/// is held while the chains' bases are copied.
struct CycleReplay {
    let node: NodeModel

    /// A chain and who was in its slots when.
    private struct Visit {
        let firstStep: Int64
        let snapshot: HistoryChain.Snapshot
        /// In the order in which they came.
        let places: [(place: SubjectRecord.Place, record: SubjectRecord)]
    }

    /// Calls `body` with each of these cycles that the history has, chain by chain, in each in the
    /// order of time. Rates are over the cycles before, as they would have been in time.
    ///
    /// - Throws: `WireError` when history cannot be decoded, which is our own fault.
    func read(
        _ cycles: Set<Int64>, _ body: (CycleRows) -> Void
    ) throws(WireError) {
        guard let last = cycles.max() else { return }
        let (visits, machine) = node.read { state -> ([Visit], MachineFacts) in
            var places: [Int: [(place: SubjectRecord.Place, record: SubjectRecord)]] = [:]
            state.records.visit { record in
                for place in record.places {
                    places[place.chain, default: []].append((place, record))
                }
            }
            let visits = state.chains.compactMap { chain -> Visit? in
                guard let first = chain.firstStep, first <= last else { return nil }
                let found = (places[chain.number] ?? [])
                    .sorted { $0.place.firstSequence < $1.place.firstSequence }
                return Visit(
                    firstStep: first, snapshot: chain.snapshot(wanting: nil), places: found)
            }
            return (visits.sorted { $0.firstStep < $1.firstStep }, state.machine)
        }
        var walk = Walk(node: node, machine: machine, cycles: cycles, last: last)
        for visit in visits {
            walk.places = visit.places
            walk.begin()
            try visit.snapshot.replay(
                changed: { _, _ in false },
                frame: { header, decoder in walk.take(header, decoder, body) })
        }
    }

    /// What goes on from frame to frame.
    private struct Walk {
        let node: NodeModel
        let machine: MachineFacts
        let cycles: Set<Int64>
        let last: Int64
        var places: [(place: SubjectRecord.Place, record: SubjectRecord)] = []
        private let table = RateTable()
        /// By record: its plan and its part of the table. Kept from chain to chain, so that the first
        /// cycle after an outage has rates over the cycle before it.
        private var parts: [ObjectIdentifier: (plan: Rates.Plan, offset: Int)] = [:]
        private var nextPlace = 0
        private var live: [Slot: SubjectRecord.Place] = [:]
        private var records: [Slot: SubjectRecord] = [:]
        private var generation: UInt64 = 0
        private var seen = Set<Int64>()

        init(node: NodeModel, machine: MachineFacts, cycles: Set<Int64>, last: Int64) {
            self.node = node
            self.machine = machine
            self.cycles = cycles
            self.last = last
        }

        mutating func begin() {
            nextPlace = 0
            live = [:]
            records = [:]
            generation += 1
        }

        /// Returns whether later frames matter.
        mutating func take(
            _ header: FrameHeader, _ decoder: FrameDecoder, _ body: (CycleRows) -> Void
        ) -> Bool {
            let step = header.stepMilliseconds
            guard step <= last else { return false }
            let resolution = node.configuration.resolution
            guard step % resolution == 0 else { return true }
            follow(to: header.sequence)
            let readTime = step &+ header.readDelayMilliseconds
            var sources: [CycleRows.Source] = []
            var offsets: [Int] = []
            let isWanted = cycles.contains(step) && !seen.contains(step)
            for (slot, record) in records.sorted(by: { $0.key < $1.key }) {
                guard let row = decoder.row(of: slot) else { continue }
                let (plan, offset) = part(of: record)
                plan.advance(
                    table.base + offset, row: row, readTime: readTime,
                    start: record.subject.startTimeMilliseconds, resolution: resolution,
                    cores: machine.coreCount)
                guard isWanted else { continue }
                sources.append(
                    CycleRows.Source(
                        slot: slot, record: record, row: row, part: nil,
                        counters: plan.counters.count))
                offsets.append(offset)
            }
            guard isWanted else { return true }
            seen.insert(step)
            // Only now has the table stopped growing.
            let placed = zip(sources, offsets).map { source, offset in
                CycleRows.Source(
                    slot: source.slot, record: source.record, row: source.row,
                    part: table.base + offset, counters: source.counters)
            }
            body(CycleRows(header, generation: generation, machine: machine, placed))
            return true
        }

        private mutating func follow(to sequence: UInt64) {
            var isChanged = false
            for (slot, place) in live where place.lastSequence < sequence {
                live[slot] = nil
                records[slot] = nil
                isChanged = true
            }
            while nextPlace < places.count, places[nextPlace].place.firstSequence <= sequence {
                let (place, record) = places[nextPlace]
                nextPlace += 1
                guard place.lastSequence >= sequence else { continue }
                live[place.slot] = place
                records[place.slot] = record
                isChanged = true
            }
            if isChanged { generation += 1 }
        }

        private mutating func part(of record: SubjectRecord) -> (plan: Rates.Plan, offset: Int) {
            if let known = parts[ObjectIdentifier(record)] { return known }
            let plan = record.schema.plan
            let found = (plan, table.take(counters: plan.counters.count))
            parts[ObjectIdentifier(record)] = found
            return found
        }
    }
}
