import Wire

/// Reads the newest cycle's values where they are already: in the decoder and the rates of the chain
/// that is being added to. No history is decoded, so this is what is right for whoever asks again
/// and again for what is new.
struct LatestReader {
    let node: NodeModel
    let resolution: Int64

    /// What a question for the cycles from `start` on comes to.
    enum Answer {
        case values([SourceSeries])
        /// Older cycles are wanted too: history has to be read.
        case history
    }

    func read(
        _ metric: MetricID, start: Int64, end: Int64,
        _ pick: (NodeModel.State) -> [Family.Source]
    ) -> Answer {
        node.read { state in
            guard let live = state.live, let header = live.decoder.header else { return .history }
            let cycle = header.stepMilliseconds
            // Nothing is nearer than a cycle, and no chain has anything newer than this one.
            guard start > cycle &- resolution, cycle % resolution == 0 else { return .history }
            guard start <= cycle, cycle <= end else { return .values([]) }
            let time = cycle &+ header.readDelayMilliseconds
            return .values(
                pick(state).compactMap { source in
                    let values = source.terms.compactMap {
                        value(of: $0, metric, in: live, readTime: time)
                    }
                    guard !values.isEmpty else { return nil }
                    return SourceSeries(
                        start: source.start, points: [(cycle, values.reduce(0, +))])
                })
        }
    }

    private func value(
        of term: SeriesReader.Term, _ metric: MetricID, in chain: OpenChain, readTime: Int64
    ) -> Double? {
        let record = term.record
        let place = record.places.last {
            $0.chain == chain.history.number && $0.lastSequence == .max
        }
        guard let place, let row = chain.decoder.row(of: place.slot) else { return nil }
        let plan = record.schema.plan
        if Rates.counter(of: metric) != nil {
            guard record.readings === chain.readings,
                let index = plan.counters.firstIndex(where: { $0.column == term.column })
            else { return nil }
            let part = chain.readings.base + record.readingsOffset
            let bits = part[1 + plan.counters.count + index]
            let rate = Double(bitPattern: UInt64(bitPattern: bits))
            return rate.isNaN ? nil : rate
        }
        guard metric == .uptime, term.isStartTime else { return Double(row[term.column]) }
        let offset = plan.readOffsetColumn < 0 ? 0 : row[plan.readOffsetColumn]
        return Double(readTime &+ offset &- record.subject.startTimeMilliseconds)
    }
}
