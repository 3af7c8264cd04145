import Wire

/// A run of frames that can be decoded one after the other: a base (the decoder's state before the
/// first frame that is kept) and the encoded records since.
///
/// Dropping old frames moves the base forward: the oldest chunk is decoded into it and freed, so
/// history needs no key frames of its own. All of it is used under the node's lock, except for
/// reading through a `Snapshot`.
final class HistoryChain {
    /// The agent run whose sequence numbers these are.
    let runID: [UInt8]
    /// Distinguishes chains of a node.
    let number: Int
    /// Sequence of the chain's first frame, which is the chain's number on the wire.
    let firstSequence: UInt64
    private var base: FrameDecoder
    private var chunks: [HistoryChunk] = []
    private(set) var lastStep: Int64 = .min
    private(set) var byteCount = 0

    /// Chunks grow with the chain, so that a node of ten subjects does not hold what 220 need.
    private static let chunkByteCounts = 2_048...32_768

    init(runID: [UInt8], number: Int, firstSequence: UInt64, limits: WireLimits) {
        self.runID = runID
        self.number = number
        self.firstSequence = firstSequence
        base = FrameDecoder(limits: limits)
    }

    /// Starts from a decoder's state, which the next record follows, if nothing was appended yet.
    func continueEmpty(from decoder: FrameDecoder) {
        guard chunks.isEmpty, base.header?.sequence != decoder.header?.sequence else { return }
        base = FrameDecoder(copying: decoder)
    }

    var firstStep: Int64? { chunks.lazy.compactMap(\.firstStep).first }

    /// Memory of the chunks in bytes.
    var reservedByteCount: Int { chunks.reduce(0) { $0 + $1.capacity } }

    func append(type: RecordType, payload: UnsafeRawBufferPointer) {
        let needed = HistoryChunk.headerByteCount + payload.count
        let chunk: HistoryChunk
        if let last = chunks.last, last.freeByteCount >= needed {
            chunk = last
        } else {
            let size = min(
                max(byteCount / 4, Self.chunkByteCounts.lowerBound), Self.chunkByteCounts.upperBound
            )
            chunk = HistoryChunk(capacity: max(needed, size))
            chunks.append(chunk)
        }
        chunk.append(type: type, payload: payload)
        byteCount += needed
    }

    /// Notes the frame that was appended last.
    func noteFrame(step: Int64, sequence: UInt64) {
        chunks.last?.noteFrame(step: step, sequence: sequence)
        lastStep = max(lastStep, step)
    }

    /// Drops whole chunks whose frames are all older than `horizon`.
    ///
    /// - Throws: what decoding throws. It was decoded before, so this is our own error.
    func dropFrames(before horizon: Int64) throws(WireError) {
        while let first = chunks.first, first.lastStep < horizon {
            // The chunk that is being written stays, unless the chain has ended.
            if chunks.count == 1, first.freeByteCount > 0, lastStep >= horizon { return }
            try first.forEachRecord(upTo: first.byteCount) {
                (type, payload) throws(WireError) -> Bool in
                try HistoryChain.take(type, payload, into: base)
                return true
            }
            byteCount -= first.byteCount
            chunks.removeFirst()
        }
    }

    static func take(
        _ type: RecordType, _ payload: UnsafeRawBufferPointer, into decoder: FrameDecoder
    ) throws(WireError) {
        switch type {
        case .frame: try decoder.decode(payload)
        case .subjects:
            for change in try DictionaryCodec.decode(payload) { try decoder.apply(change) }
        default: preconditionFailure("a \(type) record in history")
        }
    }

    /// The slots that these subjects have at the base, to be wanted from there on.
    ///
    /// The base may already know the subjects of the frame after it: a chunk can end between a
    /// dictionary record and its frame. A slot whose subject is still to come is asked for in vain,
    /// and again when it is added.
    func slotsAtBase(of places: [SubjectRecord.Place]) -> [Slot] {
        let next = base.header.map { $0.sequence &+ 1 } ?? firstSequence
        return places.filter { $0.firstSequence <= next && $0.lastSequence >= next }.map(\.slot)
    }

    /// What a reader needs, taken under the node's lock and used without it.
    func snapshot(wanting slots: [Slot]) -> Snapshot {
        Snapshot(
            number: number, firstSequence: firstSequence,
            decoder: FrameDecoder(copying: base, wanting: slots),
            parts: chunks.map { ($0, $0.byteCount) })
    }

    struct Snapshot {
        let number: Int
        /// Sequence of the chain's first frame.
        let firstSequence: UInt64
        let decoder: FrameDecoder
        fileprivate let parts: [(chunk: HistoryChunk, byteCount: Int)]

        /// Decodes frame by frame. `changed` is told of dictionary changes before they are applied to
        /// the rows, so that it can `want` a slot; `frame` sees the rows of each frame.
        ///
        /// - Throws: what decoding throws.
        func replay(
            changed: (SubjectChange, UInt64) -> Bool,
            frame: (FrameHeader, FrameDecoder) -> Bool
        ) throws(WireError) {
            for part in parts {
                var goesOn = true
                try part.chunk.forEachRecord(upTo: part.byteCount) {
                    (type, payload) throws(WireError) -> Bool in
                    if type == .frame {
                        goesOn = frame(try decoder.decode(payload), decoder)
                        return goesOn
                    }
                    let next = decoder.header.map { $0.sequence &+ 1 } ?? firstSequence
                    for change in try DictionaryCodec.decode(payload) {
                        try decoder.apply(change)
                        if case .add(let slot, _, _) = change, changed(change, next) {
                            decoder.want(slot)
                        }
                    }
                    return true
                }
                if !goesOn { return }
            }
        }
    }
}
