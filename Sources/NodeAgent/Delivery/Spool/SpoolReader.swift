import Wire

/// Puts a ring together from segments that an earlier process has left, damaged or not.
///
/// Of each segment it believes what comes before the first record that is cut off, has a wrong checksum
/// or does not follow. Frames that are missing before a later segment are lost, and counted.
struct SpoolReader {
    /// What an earlier process left.
    struct Restored {
        let runID: [UInt8]
        let ring: ResendRing
        let acknowledged: [String: SequenceSet]
    }

    private let capacity: Int
    private var runID: [UInt8] = []
    private var ring: ResendRing?
    /// Why the last segment was not read to its end; `nil` if it was.
    private(set) var damage: WireError?

    init(capacity: Int) { self.capacity = capacity }

    /// The number after the last frame; `nil` before the first.
    var next: UInt64? { ring?.next }

    /// Adds a segment. They come in the order of their frames.
    ///
    /// - Returns: whether it had any frame of this run that comes after those before.
    mutating func read(_ bytes: UnsafeRawBufferPointer) -> Bool {
        damage = nil
        var frames = 0
        do throws(WireError) {
            var reader = ByteReader(bytes)
            let head = try SpoolHead(magic: SpoolHead.segmentMagic, &reader)
            // What another run has left goes: the newest counts.
            if head.runID != runID { ring = nil }
            if let next, head.sequence < next {
                throw .sequenceGap(expected: next, actual: head.sequence)
            }
            runID = head.runID
            try readFrames(bytes, from: reader.offset, head, &frames)
        } catch {
            damage = error
        }
        return frames > 0
    }

    private mutating func readFrames(
        _ bytes: UnsafeRawBufferPointer, from start: Int, _ head: SpoolHead, _ frames: inout Int
    ) throws(WireError) {
        var offset = start
        var subjectsStart: Int?
        var context: FrameHeader.Context?
        while offset < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
            guard
                case .record(let type, let flags, let payload, let end) = try Record.parse(
                    rest, payloadLimit: Int.max)
            else { throw .truncated(offset: bytes.count) }
            let body = UnsafeRawBufferPointer(rebasing: rest[payload])
            switch type {
            case .chain where offset == start:
                let chain = try ChainSelection(decoding: body, flags: flags)
                guard chain.begins, chain.id == head.sequence else {
                    throw .malformed(what: "spooled chain", offset: offset)
                }
            case .subjects where offset > start: subjectsStart = subjectsStart ?? offset
            case .frame where offset > start:
                let (header, after) = try FrameHeader.peek(body, after: context)
                let isFirst = context == nil
                guard !isFirst || header.isKey && header.sequence == head.sequence else {
                    throw .malformed(what: "first spooled frame", offset: offset)
                }
                if let before = context, header.isKey, header.sequence != before.sequence &+ 1 {
                    throw .sequenceGap(expected: before.sequence &+ 1, actual: header.sequence)
                }
                context = after
                let records = UnsafeRawBufferPointer(
                    rebasing: bytes[(subjectsStart ?? offset)..<offset])
                let frame = UnsafeRawBufferPointer(rebasing: rest[..<end])
                try keep(header, subjects: records, frame: frame, isFirst ? head : nil)
                subjectsStart = nil
                frames += 1
            default: throw .malformed(what: "spooled record", offset: offset)
            }
            offset += end
        }
        if let subjectsStart { throw .truncated(offset: subjectsStart) }
    }

    /// - Parameter head: of the segment that the frame is the first of; its dictionary is whole then.
    private mutating func keep(
        _ header: FrameHeader, subjects: UnsafeRawBufferPointer, frame: UnsafeRawBufferPointer,
        _ head: SpoolHead?
    ) throws(WireError) {
        // What goes into the ring is our own dictionary from here on.
        _ = try DictionarySnapshot(records: subjects)
        let ring = self.ring ?? ResendRing(capacity: capacity, next: header.sequence)
        self.ring = ring
        if let head {
            ring.noteVoids(head.voids)
            if header.sequence > ring.next {
                let hole = SequenceRange(ring.next, header.sequence - 1)
                let isVoid = ring.voids.missing(in: hole).isEmpty
                ring.skip(to: header.sequence, isVoid: isVoid)
            }
        }
        // A smaller ring than the last process had keeps the newest.
        _ = ring.append(
            subjects: subjects, frame: frame, step: header.stepMilliseconds, isKey: header.isKey,
            restartsDictionary: head != nil)
    }

    /// What was read; `nil` without a frame.
    ///
    /// - Parameters:
    ///   - end: what the last process wrote when it stopped in order; its acknowledgements count, if it
    ///     had no frame that is not here.
    ///   - skip: without such an end the run goes on so many numbers later, because the last numbers of
    ///     the last process may not be here.
    func finish(_ end: SpoolHead?, skip: UInt64) -> Restored? {
        guard let ring else { return nil }
        if let end, end.runID == runID, end.sequence == ring.next {
            return Restored(runID: runID, ring: ring, acknowledged: end.acknowledged)
        }
        ring.skip(to: ring.next &+ skip, isVoid: true)
        return Restored(runID: runID, ring: ring, acknowledged: [:])
    }
}
