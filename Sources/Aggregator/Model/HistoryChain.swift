import Wire

/// A run of frames that can be decoded one after the other: a base (the decoder's state before the
/// first frame that is kept) and the encoded records since.
///
/// The base is kept as bytes, a seventh of what a decoder takes, and there is a base in every chain.
/// Dropping old frames moves it forward: it is made a decoder again, decodes them, and becomes bytes.
/// That is done for many frames at once, which are then decoded at the speed of the cache, and a
/// chunk is freed when its last frame was decoded; so history needs no key frames of its own. All of
/// it is used under the node's lock, except for reading through a `Snapshot`.
final class HistoryChain {
    /// The agent run whose sequence numbers these are.
    let runID: [UInt8]
    /// Distinguishes chains of a node.
    let number: Int
    /// Sequence of the chain's first frame, which is the chain's number on the wire.
    let firstSequence: UInt64
    private let limits: WireLimits
    private let plans: SchemaPlans
    /// `FrameDecoder.serialize`; empty for a decoder that saw nothing yet.
    var base: [UInt8] = []
    /// Sequence of the frame after the base, the first that is kept.
    private var nextSequence: UInt64
    private var chunks: [HistoryChunk] = []
    /// Where the first record that is not in the base begins in the first chunk.
    private var start = 0
    /// Step of the newest frame.
    private(set) var lastStep: Int64 = .min
    private(set) var byteCount = 0

    /// Chunks grow with the chain, so that a node of ten subjects does not hold what 220 need. Few
    /// different ones, so that one that was freed fits where the next is needed; each with 16 bytes
    /// left for the allocator.
    private static let chunkByteCounts = [1_008, 2_032, 4_080, 8_176, 16_368]

    init(
        runID: [UInt8], number: Int, firstSequence: UInt64, limits: WireLimits, plans: SchemaPlans
    ) {
        self.runID = runID
        self.number = number
        self.firstSequence = firstSequence
        self.limits = limits
        self.plans = plans
        nextSequence = firstSequence
    }

    /// Starts from a decoder's state, which the next record follows, if nothing was appended yet.
    func continueEmpty(from decoder: FrameDecoder) {
        guard chunks.isEmpty, let header = decoder.header, nextSequence != header.sequence &+ 1
        else { return }
        keepBase(decoder)
    }

    /// Begins with a decoder's state instead of what is there.
    ///
    /// - Parameter next: sequence of the frame after the state.
    func rebase(_ state: [UInt8], before next: UInt64) {
        base = state
        nextSequence = next
        chunks = []
        start = 0
        byteCount = 0
    }

    /// Puts the frames right before the first that is kept in front of it.
    ///
    /// - Parameter last: sequence of the last of them.
    /// - Returns: whether they fit: not when the first was moved on meanwhile.
    func prepend(_ past: HistoryChain, last: UInt64) -> Bool {
        guard nextSequence == last &+ 1, firstSequence == past.firstSequence, runID == past.runID
        else { return false }
        chunks = past.chunks + chunks
        start = past.start
        base = past.base
        nextSequence = past.nextSequence
        lastStep = max(lastStep, past.lastStep)
        byteCount += past.byteCount
        return true
    }

    private func keepBase(_ decoder: FrameDecoder) {
        var bytes: [UInt8] = []
        decoder.serialize(into: &bytes)
        // A copy is as long as what is in it.
        base = bytes.withUnsafeBytes { Array($0) }
        nextSequence = decoder.header.map { $0.sequence &+ 1 } ?? firstSequence
    }

    private static func decoder(
        _ base: [UInt8], _ limits: WireLimits, _ plans: SchemaPlans
    ) throws(WireError) -> FrameDecoder {
        guard !base.isEmpty else { return FrameDecoder(limits: limits, plans: plans) }
        return try base.withUnsafeBytes { bytes in
            Result { () throws(WireError) in
                try FrameDecoder(state: bytes, limits: limits, plans: plans)
            }
        }.get()
    }

    /// Step of the oldest frame that is kept.
    var firstStep: Int64? {
        for (index, chunk) in chunks.enumerated() {
            let offset = index == 0 ? start : 0
            if offset < chunk.byteCount { return chunk.entry(at: offset).step }
        }
        return nil
    }

    /// Memory of the chunks and the base in bytes.
    var reservedByteCount: Int { chunks.reduce(base.count) { $0 + $1.capacity } }

    /// Appends a frame, or a dictionary record that belongs to the next frame.
    ///
    /// - Parameter step: the frame's.
    func append(type: RecordType, step: Int64, payload: UnsafeRawBufferPointer) {
        let needed = HistoryChunk.byteCount(ofPayload: payload.count)
        let chunk: HistoryChunk
        if let last = chunks.last, last.freeByteCount >= needed {
            chunk = last
        } else {
            let wanted = max(needed, byteCount / 16)
            let size = Self.chunkByteCounts.first { $0 >= wanted }
            chunk = HistoryChunk(capacity: size ?? max(needed, Self.chunkByteCounts.last ?? 0))
            chunks.append(chunk)
        }
        chunk.append(type: type, step: step, payload: payload)
        byteCount += needed
        if type == .frame { lastStep = max(lastStep, step) }
    }

    /// Moves the base over the oldest frames that are older than `horizon`: a few microseconds a
    /// frame, and those of about ten frames for the way from bytes and back.
    ///
    /// - Throws: what decoding throws. It was decoded before, so this is our own error.
    func dropFrames(before horizon: Int64) throws(WireError) {
        guard let firstStep, firstStep < horizon else { return }
        let decoder = try Self.decoder(base, limits, plans)
        var (emptied, offset, dropped) = (0, start, 0)
        chunks: for (index, chunk) in chunks.enumerated() {
            while offset < chunk.byteCount {
                let entry = chunk.entry(at: offset)
                guard entry.step < horizon else { break chunks }
                try HistoryChain.take(entry.type, entry.payload, into: decoder)
                dropped += entry.end - offset
                offset = entry.end
            }
            // The chunk that is being written stays.
            guard index < chunks.count - 1 else { break }
            emptied += 1
            offset = 0
        }
        chunks.removeFirst(emptied)
        start = offset
        byteCount -= dropped
        keepBase(decoder)
    }

    /// Drops everything, and goes on after the newest frame that this decoder saw.
    func restart(after decoder: FrameDecoder) {
        chunks = []
        start = 0
        byteCount = 0
        if decoder.header == nil { base = [] } else { keepBase(decoder) }
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
        places.filter { $0.lastSequence >= nextSequence }.map(\.slot)
    }

    /// What a reader needs, taken under the node's lock and used without it. Copies nothing but
    /// references.
    ///
    /// - Parameter slots: `nil` for all.
    func snapshot(wanting slots: [Slot]?) -> Snapshot {
        Snapshot(
            firstSequence: firstSequence, slots: slots, limits: limits, plans: plans, base: base,
            start: start,
            parts: chunks.map { ($0, $0.byteCount) })
    }

    struct Snapshot {
        /// Sequence of the chain's first frame.
        let firstSequence: UInt64
        fileprivate let slots: [Slot]?
        fileprivate let limits: WireLimits
        fileprivate let plans: SchemaPlans
        fileprivate let base: [UInt8]
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
            let decoder = try HistoryChain.decoder(base, limits, plans)
            if let slots { decoder.passOver(allBut: slots) }
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
                            guard case .add(let slot, _, _) = change, slots != nil,
                                changed(slot, next)
                            else { continue }
                            decoder.want(slot)
                        }
                    }
                }
                offset = 0
            }
        }
    }
}
