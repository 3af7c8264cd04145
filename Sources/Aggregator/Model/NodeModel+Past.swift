import Wire

/// Puts what the log has of before in front of what is there.
extension NodeModel {
    /// Takes over the history and the subjects of a node that was read from the log up to where this
    /// one's history begins. That node is not used any more.
    func adopt(_ past: NodeModel) {
        let (chains, ends, records) = past.change { state in
            let ends = state.openChains.map { ($0.history, last: $0.nextSequence &- 1) }
            state.endChains { _ in true }
            return (state.chains, ends, state.records)
        }
        change { state in
            var numbers = PastChains()
            for chain in chains where chain.firstStep != nil {
                let last = ends.first { $0.0 === chain }?.last
                let own = last.flatMap { last in
                    state.chains.first { $0.prepend(chain, last: last) }
                }
                if let own {
                    numbers.continued[chain.number] = own.number
                } else {
                    numbers.own.append(chain)
                }
            }
            state.chains.insert(contentsOf: numbers.own, at: 0)
            var owners: [ObjectIdentifier: SubjectRecord] = [:]
            records.visit { state.adopt($0, numbers, &owners) }
        }
    }

    /// Chains of a detached node count from here, so that they are none of the other's.
    static let firstPastChain = 1 << 30
}

/// What became of the chains of before.
private struct PastChains {
    /// Those that go on: their number, and of the chain that they became a part of.
    var continued: [Int: Int] = [:]
    var own: [HistoryChain] = []

    /// A place in them as a place in the node's chains; `nil` for one that is known.
    func place(_ place: SubjectRecord.Place) -> SubjectRecord.Place? {
        if let number = continued[place.chain] {
            // Who was still there has it from the chain's state.
            return place.lastSequence == .max ? nil : place.moved(to: number)
        }
        return own.contains { $0.number == place.chain } ? place : nil
    }
}

extension NodeModel.State {
    fileprivate mutating func adopt(
        _ past: SubjectRecord, _ chains: PastChains,
        _ owners: inout [ObjectIdentifier: SubjectRecord]
    ) {
        let places = past.places.compactMap { chains.place($0) }
        guard !places.isEmpty else { return }
        let record = owner(of: past, &owners)
        for place in places { record.enter(place) }
        record.noteEnd(lastStep: past.lastStep)
    }

    /// The same subject here, made if it is not there.
    private mutating func owner(
        of past: SubjectRecord, _ owners: inout [ObjectIdentifier: SubjectRecord]
    ) -> SubjectRecord {
        if let known = owners[ObjectIdentifier(past)] { return known }
        var parent: SubjectRecord?
        if let pastParent = past.parent { parent = owner(of: pastParent, &owners) }
        let record = records.record(of: past.subject, schema: past.schema, parent: parent)
        owners[ObjectIdentifier(past)] = record
        return record
    }
}
