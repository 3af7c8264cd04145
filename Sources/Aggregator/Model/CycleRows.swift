import Wire

/// A copy of one node's values and rates at one cycle, to be read without the node's lock.
///
/// Immutable once made; about 30 KB for 60 containers, made in a few microseconds.
final class CycleRows: @unchecked Sendable {
    /// The cycle, milliseconds since the epoch.
    let step: Int64
    /// When the frame's reading began, milliseconds since the epoch.
    let readTime: Int64
    /// Of the subjects in their slots; see `LiveLayout`.
    let generation: UInt64
    let machine: MachineFacts
    private let occupants: [(slot: Slot, record: SubjectRecord)]
    /// By slot: where its row and its rates are.
    private let places: [Place]
    private let values: UnsafeMutablePointer<Int64>

    private struct Place {
        var row: Int32 = -1
        var rowCount: Int32 = 0
        var part: Int32 = -1
        var counters: Int32 = 0
    }

    /// A subject's values as the copy is made of them.
    struct Source {
        let slot: Slot
        let record: SubjectRecord
        let row: UnsafeBufferPointer<Int64>
        /// `nil` where no rate was worked out.
        let part: UnsafeMutablePointer<Int64>?
        let counters: Int
    }

    init(
        _ header: FrameHeader, generation: UInt64, machine: MachineFacts, _ sources: [Source]
    ) {
        step = header.stepMilliseconds
        readTime = header.stepMilliseconds &+ header.readDelayMilliseconds
        self.generation = generation
        self.machine = machine
        let slotEnd = sources.reduce(0) { max($0, Int($1.slot) + 1) }
        let count = sources.reduce(0) {
            $0 + $1.row.count + ($1.part == nil ? 0 : RateTable.width(counters: $1.counters))
        }
        var places = [Place](repeating: Place(), count: slotEnd)
        let values = UnsafeMutablePointer<Int64>.allocate(capacity: max(1, count))
        var end = 0
        for source in sources {
            var place = Place(row: Int32(end), rowCount: Int32(source.row.count))
            if let base = source.row.baseAddress {
                (values + end).initialize(from: base, count: source.row.count)
            }
            end += source.row.count
            if let part = source.part {
                let width = RateTable.width(counters: source.counters)
                place.part = Int32(end)
                place.counters = Int32(source.counters)
                (values + end).initialize(from: part, count: width)
                end += width
            }
            places[Int(source.slot)] = place
        }
        self.places = places
        self.values = values
        occupants = sources.map { ($0.slot, $0.record) }
    }

    deinit { values.deallocate() }

    func row(_ slot: Slot) -> UnsafeBufferPointer<Int64>? {
        guard Int(slot) < places.count, places[Int(slot)].row >= 0 else { return nil }
        let place = places[Int(slot)]
        return UnsafeBufferPointer(start: values + Int(place.row), count: Int(place.rowCount))
    }

    /// The subject's rates as in `RateTable`; not to be written to.
    func part(_ slot: Slot) -> (UnsafeMutablePointer<Int64>, counters: Int)? {
        guard Int(slot) < places.count, places[Int(slot)].part >= 0 else { return nil }
        let place = places[Int(slot)]
        return (values + Int(place.part), Int(place.counters))
    }

    /// The subjects, for whoever has to join them with their names.
    var layout: LiveLayout {
        var slots: [ObjectIdentifier: Slot] = [:]
        for (slot, record) in occupants { slots[ObjectIdentifier(record)] = slot }
        return LiveLayout(
            generation: generation,
            items: occupants.map { slot, record in
                LiveLayout.Item(
                    slot: slot, parent: record.parent.flatMap { slots[ObjectIdentifier($0)] },
                    subject: record.subject, schema: record.schema)
            }, machine: machine)
    }
}

extension NodeModel.State {
    /// A copy of the chain's newest frame.
    func copy(of chain: OpenChain) -> CycleRows? {
        guard let header = chain.decoder.header, !chain.decoder.isStale else { return nil }
        var sources: [CycleRows.Source] = []
        sources.reserveCapacity(chain.rows.count)
        chain.forEachLive { slot, record in
            guard let row = chain.decoder.row(of: slot) else { return }
            let part = chain.part(slot)
            sources.append(
                CycleRows.Source(
                    slot: slot, record: record, row: row, part: part?.0,
                    counters: part?.counters ?? 0))
        }
        return CycleRows(header, generation: chain.generation, machine: machine, sources)
    }

    /// Before a chain moves on: keeps the cycle that it shows if somebody has yet to read it.
    mutating func capture(_ chain: OpenChain, _ resolution: Int64, for feed: CycleFeed) {
        guard feed.isListening, let header = chain.decoder.header else { return }
        let step = header.stepMilliseconds
        guard step % resolution == 0 else { return }
        captures.removeAll { !feed.wants($0.step) }
        guard feed.wants(step), !captures.contains(where: { $0.step == step }),
            let rows = copy(of: chain)
        else { return }
        if captures.count == 2 { captures.removeFirst() }
        captures.append(rows)
    }
}

extension NodeModel {
    /// The values at a cycle while they are at hand: the newest frame is that cycle's, or its values
    /// were kept because somebody wants them. The lock is held for the copy, a few microseconds.
    func cycleRows(at cycle: Int64) -> CycleRows? {
        read { state in
            if let kept = state.captures.first(where: { $0.step == cycle }) { return kept }
            for chain in state.openChains where chain.lastStep == cycle {
                if let rows = state.copy(of: chain) { return rows }
            }
            return nil
        }
    }

    /// Whether a frame has closed this cycle.
    func hasClosed(_ cycle: Int64) -> Bool {
        read { $0.cycle.hasClosed(cycle, resolution: configuration.resolution) }
    }
}
