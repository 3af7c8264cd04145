import Wire

/// Reads subjects' values out of a node's history, cycle by cycle.
///
/// The node's lock is held while the chains' bases are copied; decoding happens outside it.
struct SeriesReader {
    /// What is wanted of one subject.
    struct Term {
        let record: SubjectRecord
        let column: Int
        /// The values do not matter, only that there are any: uptime.
        var isStartTime = false
    }

    /// A term's readings, one per cycle, oldest first.
    struct Readings {
        let term: Term
        fileprivate(set) var points: [Point] = []
        /// Of the node, 0 if unknown.
        fileprivate var cores: Int64 = 0
    }

    struct Point: Equatable {
        /// The cycle, milliseconds since the epoch.
        let cycle: Int64
        let reading: Rates.Reading
    }

    let node: NodeModel

    /// Picks terms under the node's lock and reads them.
    ///
    /// - Parameter pick: called under the lock with the node's state.
    /// - Returns: one `Readings` per term, in the order of the terms.
    /// - Throws: `WireError` when history cannot be decoded, which is our own fault.
    func read(
        until end: Int64 = .max, _ pick: (NodeModel.State) -> [Term]
    ) throws(WireError) -> [Readings] {
        node.questions.wrappingAdd(1, ordering: .relaxed)
        let (terms, chains, cores) = node.read { state -> ([Term], [Visit], Int64) in
            let terms = pick(state)
            let chains = terms.isEmpty ? [] : visits(to: terms, in: state)
            return (terms, chains, state.machine.coreCount)
        }
        var readings = terms.map { Readings(term: $0, cores: cores) }
        for visit in chains { try walk(visit, end, into: &readings) }
        return readings
    }

    /// A chain and the places in it that are wanted.
    private struct Visit {
        let snapshot: HistoryChain.Snapshot
        let places: [(term: Int, place: SubjectRecord.Place, readOffset: Int?, column: Int)]
    }

    private func visits(to terms: [Term], in state: NodeModel.State) -> [Visit] {
        state.chains.compactMap { chain in
            let places = terms.enumerated().flatMap { index, term in
                term.record.places.filter { $0.chain == chain.number }.map {
                    (index, $0, term.record.schema.column(of: .readOffset), term.column)
                }
            }
            guard !places.isEmpty else { return nil }
            let slots = chain.slots(of: places.map(\.1))
            return Visit(snapshot: chain.snapshot(wanting: slots), places: places)
        }
    }

    private func walk(
        _ visit: Visit, _ end: Int64, into readings: inout [Readings]
    ) throws(WireError) {
        let configuration = node.configuration
        try visit.snapshot.replay(
            changed: { slot, sequence in
                visit.places.contains {
                    $0.place.slot == slot && $0.place.firstSequence == sequence
                }
            },
            frame: { header, decoder in
                let cycle = configuration.cycle(of: header.stepMilliseconds)
                guard cycle <= end else { return false }
                guard cycle == header.stepMilliseconds else { return true }
                let base = header.stepMilliseconds &+ header.readDelayMilliseconds
                for item in visit.places
                where item.place.firstSequence <= header.sequence
                    && item.place.lastSequence >= header.sequence
                {
                    guard let row = decoder.row(of: item.place.slot) else { continue }
                    let time = base &+ (item.readOffset.map { row[$0] } ?? 0)
                    readings[item.term].points.append(
                        Point(
                            cycle: cycle,
                            reading: Rates.Reading(time: time, value: row[item.column])))
                }
                return true
            })
    }
}

extension SeriesReader.Readings {
    /// Puts what several chains brought in the order of time, each cycle once: of the chain that
    /// began first, and there of the first frame.
    mutating func sort() {
        let isSorted = zip(points, points.dropFirst()).allSatisfy { $0.cycle < $1.cycle }
        guard !isSorted else { return }
        var seen = Set<Int64>()
        points = points.filter { seen.insert($0.cycle).inserted }.sorted { $0.cycle < $1.cycle }
    }

    /// The counter's rate at each cycle that has one.
    func rates(_ metric: MetricID, resolution: Int64) -> [(cycle: Int64, value: Double)] {
        var before: Rates.Reading?
        let start = term.record.subject.startTimeMilliseconds
        var found: [(cycle: Int64, value: Double)] = []
        for point in points {
            let rate = Rates.rate(
                metric, now: point.reading, before: before, start: start,
                oldest: point.reading.time &- 2 &* resolution, cores: cores)
            if let rate { found.append((point.cycle, rate)) }
            before = point.reading
        }
        return found
    }
}
