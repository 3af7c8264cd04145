import Wire

/// What makes a node's history shorter: time, silence, want of memory.
extension NodeModel {
    /// Milliseconds of history that are kept now.
    var historyWindow: Int64 {
        min(configuration.window, shortenedWindow.load(ordering: .relaxed))
    }

    /// Drops what is older than the window although no frame comes any more.
    ///
    /// - Parameter silence: milliseconds since a frame came. The node's own clock goes on from its
    ///   newest step, so that one that is wrong neither keeps a history for ever nor loses it at once.
    /// - Returns: whether nothing is left of it.
    func trim(silentFor silence: Int64) -> Bool {
        let window = historyWindow
        let (gone, isEmpty) = change { state -> ([String], Bool) in
            guard let newest = state.chains.map(\.lastStep).max() else { return ([], true) }
            // Nothing has come since a chain was selected, and what comes would be too far from it.
            if silence > window { state.select(nil) }
            let gone = state.trim(
                now: newest &+ silence, window: window, configuration)
            return (gone, state.chains.isEmpty)
        }
        podNodes.remove(gone, from: self)
        return isEmpty
    }

    /// Keeps no more history than so many milliseconds, until told otherwise.
    ///
    /// - Returns: bytes of memory that this gave back.
    func shortenHistory(to window: Int64) -> Int {
        shortenedWindow.store(window, ordering: .relaxed)
        let (gone, freed) = change { state -> ([String], Int) in
            let open = state.openChains.map(\.lastStep)
            guard let newest = open.max() ?? state.chains.map(\.lastStep).max(), newest != .min
            else { return ([], 0) }
            let before = state.historyByteCount
            let gone = state.forget(beyond: window, of: newest)
            return (gone, max(0, before - state.historyByteCount))
        }
        podNodes.remove(gone, from: self)
        return freed
    }

    /// Drops the whole history, in no more time than it takes to write the newest state down.
    ///
    /// - Returns: bytes of memory that this gave back.
    func dropHistory() -> Int {
        let (gone, freed) = change { state -> ([String], Int) in
            let before = state.historyByteCount
            let gone = state.dropHistory()
            return (gone, max(0, before - state.historyByteCount))
        }
        podNodes.remove(gone, from: self)
        return freed
    }

    /// Why the next frame is not taken while memory is short: there are more subjects with it than
    /// before, and the node may have no more; then what has come of them is dropped, for it is a lot
    /// where many nodes are refused. `nil` when it is taken.
    func refusalOfSubjects() -> String? {
        let (count, wanted) = read { state in (state.subjectCount, state.subjectCountAfterPending) }
        guard wanted > count, !gate.admits(wanted - count, of: self) else { return nil }
        change { $0.dropSelection() }
        return
            "memory is short (\(gate.words)): node \(name) has \(count) subjects and may have no more; "
            + "it sends \(wanted)"
    }
}

extension NodeModel.State {
    /// Memory of the encoded history.
    var historyByteCount: Int { chains.reduce(0) { $0 + $1.reservedByteCount } }

    /// Live subjects once what waits has been applied.
    fileprivate var subjectCountAfterPending: Int {
        guard !pending.isEmpty, let selected,
            let chain = openChains.first(where: { $0.id == selected })
        else { return 0 }
        return pending.reduce(chain.decoder.layout.subjectCount) { count, record in
            record.changes.reduce(count) { count, change in
                switch change {
                case .schema: count
                case .add: count + 1
                case .remove: count - 1
                }
            }
        }
    }

    /// Forgets the dictionary changes that wait, and the chain where nothing of it was kept. To the log it
    /// is a chain that was begun and never gone on with.
    fileprivate mutating func dropSelection() {
        let selected = selected
        let isEmpty = { (chain: OpenChain) in chain.id == selected && chain.decoder.header == nil }
        let empty = openChains.filter(isEmpty).map(\.history)
        endChains(where: isEmpty)
        chains.removeAll { chain in empty.contains { $0 === chain } }
        select(nil)
        pending = []
    }

    /// Forgets what is older than the window. About once a minute of frames: it looks at every
    /// subject, and moves the bases of the histories.
    ///
    /// - Returns: UIDs of pods of which nothing is left.
    mutating func trim(
        now: Int64, window: Int64, _ configuration: ModelConfiguration
    ) -> [String] {
        let interval = configuration.trimInterval
        let time = (now &+ trimPhase % interval) / interval
        guard time > lastTrim else { return [] }
        lastTrim = time
        endIdleChains(after: Self.framesUntilIdle)
        return forget(beyond: window, of: now)
    }

    /// Frames of others after which a chain is idle: more than an agent sends of the present before it
    /// goes on with the past.
    private static let framesUntilIdle: UInt64 = 30

    /// Forgets what is further from `now` than the window: what is older, and what a clock that was
    /// wrong has put into a future that nobody asks for.
    mutating func forget(beyond window: Int64, of now: Int64) -> [String] {
        // A step is whatever the agent wrote.
        let center = max(-1 << 60, min(1 << 60, now))
        let kept = center - window...center + window
        for chain in chains { dropFrames(of: chain, before: kept.lowerBound) }
        // What could still be added to such a chain would be too old at once.
        let selected = selected
        endChains { $0.id != selected && !kept.contains($0.lastStep) }
        let open = Set(openChains.map(\.history.number))
        forget(chains.filter { !open.contains($0.number) && !kept.contains($0.lastStep) })
        return forgetSubjects { !kept.contains($0) }
    }

    /// Drops a chain's frames that are older. One that cannot be decoded any more is dropped whole: a
    /// fault of ours, and its node must not pay for it with all that comes.
    mutating func dropFrames(of chain: HistoryChain, before horizon: Int64) {
        do throws(WireError) {
            try chain.dropFrames(before: horizon)
        } catch {
            counters.brokenHistories &+= 1
            Diagnostics.error("dropped a history of \(chain.byteCount) bytes: \(error)")
            drop(chain)
        }
    }

    /// A chain that frames are still added to goes on from its newest frame, any other is forgotten.
    private mutating func drop(_ chain: HistoryChain) {
        if let open = openChains.first(where: { $0.history === chain }) {
            chain.restart(after: open.decoder)
        } else {
            forget([chain])
        }
    }

    private mutating func forget(_ gone: [HistoryChain]) {
        guard !gone.isEmpty else { return }
        for chain in gone { records.visit { $0.forget(chain: chain.number) } }
        chains.removeAll { chain in gone.contains { $0 === chain } }
    }

    fileprivate mutating func dropHistory() -> [String] {
        for chain in chains { drop(chain) }
        cycle.forgetSeams()
        return forgetSubjects { _ in true }
    }

    /// - Returns: UIDs of pods of which nothing is left.
    private mutating func forgetSubjects(_ isForgotten: (Int64) -> Bool) -> [String] {
        var kept = Set<ObjectIdentifier>()
        for chain in openChains {
            for record in chain.liveRecords { kept.insert(ObjectIdentifier(record)) }
        }
        let gone = records.removeAll { record in
            isForgotten(record.lastStep) && !kept.contains(ObjectIdentifier(record))
        }
        guard !gone.isEmpty else { return [] }
        let candidates = Set(gone.compactMap { $0.subject[.podUID] })
        guard !candidates.isEmpty else { return [] }
        var left = candidates
        records.visit { record in
            if let uid = record.subject[.podUID] { left.remove(uid) }
        }
        return Array(left)
    }
}
