import Wire

/// A run of frames that can be decoded one after the other: a base (the decoder's state before the
/// first frame that is kept) and the encoded records since.
///
/// Dropping old frames moves the base forward: they are decoded into it, and a chunk is freed when
/// its last one was, so history needs no key frames of its own. All of it is used under the node's
/// lock, except for reading through a `Snapshot`.
final class HistoryChain {
    /// The agent run whose sequence numbers these are.
    let runID: [UInt8]
    /// Distinguishes chains of a node.
    let number: Int
    /// Sequence of the chain's first frame, which is the chain's number on the wire.
    let firstSequence: UInt64
    private var base: FrameDecoder
    private var chunks: [HistoryChunk] = []
    /// Where the first record that is not in the base begins in the first chunk.
    private var start = 0
    /// Step of the newest frame.
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

    /// Step of the oldest frame that is kept.
    var firstStep: Int64? {
        for (index, chunk) in chunks.enumerated() {
            let offset = index == 0 ? start : 0
            if offset < chunk.byteCount { return chunk.entry(at: offset).step }
        }
        return nil
    }

    /// Memory of the chunks in bytes.
    var reservedByteCount: Int { chunks.reduce(0) { $0 + $1.capacity } }

    /// Appends a frame, or a dictionary record that belongs to the next frame.
    ///
    /// - Parameter step: the frame's.
    func append(type: RecordType, step: Int64, payload: UnsafeRawBufferPointer) {
        let needed = HistoryChunk.byteCount(ofPayload: payload.count)
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
        chunk.append(type: type, step: step, payload: payload)
        byteCount += needed
        if type == .frame { lastStep = max(lastStep, step) }
    }

    /// Moves the base over the oldest frames that are older than `horizon`.
    ///
    /// - Parameter limit: frames at most: a writer that takes one and drops two keeps up without
    ///   ever stopping for long.
    /// - Throws: what decoding throws. It was decoded before, so this is our own error.
    func dropFrames(before horizon: Int64, limit: Int = .max) throws(WireError) {
        var dropped = 0
        while let first = chunks.first, dropped < limit {
            guard start < first.byteCount else {
                // The chunk that is being written stays.
                guard chunks.count > 1 else { return }
                chunks.removeFirst()
                start = 0
                continue
            }
            let entry = first.entry(at: start)
            guard entry.step < horizon else { return }
            try HistoryChain.take(entry.type, entry.payload, into: base)
            byteCount -= entry.end - start
            start = entry.end
            if entry.type == .frame { dropped += 1 }
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

    /// The slots that these subjects have from the base on, to be wanted before the first frame.
    ///
    /// The later ones, too: a decoder passes over groups of slots, and can only follow a group that
    /// it has followed from the base.
    func slots(of places: [SubjectRecord.Place]) -> [Slot] {
        let next = base.header.map { $0.sequence &+ 1 } ?? firstSequence
        return places.filter { $0.lastSequence >= next }.map(\.slot)
    }

    /// What a reader needs, taken under the node's lock and used without it.
    func snapshot(wanting slots: [Slot]) -> Snapshot {
        Snapshot(
            firstSequence: firstSequence, decoder: FrameDecoder(copying: base, wanting: slots),
            start: start, parts: chunks.map { ($0, $0.byteCount) })
    }

    struct Snapshot {
        /// Sequence of the chain's first frame.
        let firstSequence: UInt64
        let decoder: FrameDecoder
        fileprivate let start: Int
        fileprivate let parts: [(chunk: HistoryChunk, byteCount: Int)]

        /// Decodes frame by frame. `changed` is told of subjects that are added, and says whether
        /// their slots are wanted; `frame` sees the rows of each frame, and says whether to go on.
        ///
        /// - Throws: what decoding throws.
        func replay(
            changed: (Slot, UInt64) -> Bool,
            frame: (FrameHeader, FrameDecoder) -> Bool
        ) throws(WireError) {
            var offset = start
            for part in parts {
                while offset < part.byteCount {
                    let entry = part.chunk.entry(at: offset)
                    offset = entry.end
                    if entry.type == .frame {
                        guard frame(try decoder.decode(entry.payload), decoder) else { return }
                    } else {
                        let next = decoder.header.map { $0.sequence &+ 1 } ?? firstSequence
                        for change in try DictionaryCodec.decode(entry.payload) {
                            try decoder.apply(change)
                            guard case .add(let slot, _, _) = change, changed(slot, next) else {
                                continue
                            }
                            decoder.want(slot)
                        }
                    }
                }
                offset = 0
            }
        }
    }
}
