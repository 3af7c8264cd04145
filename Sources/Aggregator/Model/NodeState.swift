import Wire

/// Chains and subjects of a node, as records change them.
extension NodeModel.State {
    /// Puts a frame, and the changes before it, into the history.
    mutating func append(_ frame: UnsafeRawBufferPointer, step: Int64, to chain: OpenChain) {
        for change in pending {
            change.payload.withUnsafeBytes {
                chain.history.append(type: .subjects, step: step, payload: $0)
            }
            counters.bytes &+= UInt64(change.payload.count)
        }
        chain.history.append(type: .frame, step: step, payload: frame)
        counters.frames &+= 1
        chain.framesBefore = counters.frames
        counters.samples &+= UInt64(chain.decoder.layout.valueCount)
        subjectCount = chain.decoder.layout.subjectCount
        counters.bytes &+= UInt64(frame.count)
    }

    /// The record of a subject of a chain, made if it is not there.
    mutating func record(
        of subject: SubjectIdentity, _ schema: SchemaNumber, _ parent: SubjectRecord?,
        in chain: OpenChain
    ) -> SubjectRecord {
        records.record(of: subject, schema: chain.schema(schema, interner), parent: parent)
    }

    /// The records that come next belong to this chain.
    mutating func select(_ id: ChainID?) {
        selected = id
        pending.removeAll(keepingCapacity: true)
    }

    /// Brings a chain's decoder and subjects to the next frame.
    ///
    /// - Parameter met: called with the UID of a pod for each subject of one that is added.
    mutating func decode(
        _ payload: UnsafeRawBufferPointer, in chain: OpenChain, met: (String) -> Void
    ) throws(WireError) -> FrameHeader {
        for record in pending {
            for change in record.changes {
                try chain.decoder.apply(change)
                if let pod = note(change, in: chain) { met(pod) }
            }
        }
        let header = try chain.decoder.decode(payload)
        guard header.sequence == chain.nextSequence else {
            throw .sequenceGap(expected: chain.nextSequence, actual: header.sequence)
        }
        return header
    }

    mutating func beginChain(
        _ id: ChainID, _ configuration: ModelConfiguration, _ layoutClock: LayoutClock
    ) {
        endChains { $0.id == id }
        while openChains.count >= configuration.openChains {
            openChains[0].end()
            openChains.removeFirst()
        }
        let history = HistoryChain(
            runID: runID, number: nextChainNumber, firstSequence: id,
            limits: configuration.limits, plans: interner.plans)
        nextChainNumber += 1
        chains.append(history)
        let chain = OpenChain(
            id: id, history: history, limits: configuration.limits, plans: interner.plans,
            layoutClock: layoutClock)
        chain.framesBefore = counters.frames
        openChains.append(chain)
    }

    func selectedChain() throws(WireError) -> OpenChain {
        guard let selected, let chain = openChains.first(where: { $0.id == selected }) else {
            throw .malformed(what: "record outside a chain", offset: 0)
        }
        return chain
    }

    /// Ends chains that had no frame while others of the node had so many: what an outage left was
    /// brought, or the agent has begun anew. An open chain takes as much as all else of a node but history.
    /// An agent that goes on with one all the same is told that it has to begin it again.
    mutating func endIdleChains(after frames: UInt64) {
        guard openChains.count > 1 else { return }
        // Of the past come more frames in a moment than of the present.
        let (now, selected, live) = (counters.frames, selected, live)
        endChains {
            $0 !== live && $0.id != selected && now &- min(now, $0.framesBefore) >= frames
        }
    }

    /// No frame will be added to these chains; their history stays.
    mutating func endChains(where isEnded: (OpenChain) -> Bool) {
        openChains.removeAll { chain in
            guard isEnded(chain) else { return false }
            chain.end()
            return true
        }
    }

    /// Keeps the subjects in step with a change that the decoder took.
    ///
    /// - Returns: the pod's UID when a pod or a container was added.
    mutating func note(_ change: SubjectChange, in chain: OpenChain) -> String? {
        switch change {
        case .schema: return nil
        case .remove(let slot):
            chain.clear(slot)
            return nil
        case .add(let slot, let number, let subject):
            let schema = chain.schema(number, interner)
            let parent = subject.parent.flatMap { chain.record(in: $0) }
            let record = records.record(
                of: interner.identity(of: subject), schema: schema, parent: parent)
            chain.place(record, in: slot, schema: number)
            return subject.attributes[.podUID]
        }
    }
}
