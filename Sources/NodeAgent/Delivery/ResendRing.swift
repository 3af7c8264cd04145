import Glibc
import Wire

/// The frames of this agent run that can still be sent, as the records that go over the wire.
///
/// ```
///   oldest                                        newest
///     |  K . . . . . . . K . . . . . . . K . . . .  |      K key frame: a chain can begin there
///     ^ dictionary of the oldest frame              ^ next
/// ```
/// One block of memory, used round and round. Frames are evicted from the old end: settled ones (kept
/// by every aggregator) one at a time, unsettled ones up to the next key frame, because a chain that
/// has lost a frame cannot be decoded beyond it. Appending allocates nothing in the steady state, and
/// memory behind the oldest frame goes back to the kernel. After a crash some numbers have no frame
/// (`skip`). Belongs to one thread.
final class ResendRing {
    /// A frame with the dictionary changes that go before it.
    struct Entry: Equatable {
        /// Where its bytes begin.
        var offset: Int
        /// Bytes of the `subjects` records, which come first, and of the `frame` record behind them.
        var subjectsByteCount: Int32
        var frameByteCount: Int32
        /// Bytes that were ever appended before it: differences are the bytes between two frames.
        var position: UInt64
        /// Milliseconds since the epoch.
        var step: Int64
        var isKey: Bool
        /// Its dictionary changes start from nothing: no chain goes on across it.
        var restartsDictionary: Bool

        var byteCount: Int { Int(subjectsByteCount) + Int(frameByteCount) }
    }

    /// Bytes for records. The index of the frames comes on top: 40 bytes a frame.
    let capacity: Int
    private let memory: UnsafeMutableRawBufferPointer
    /// A circle of entries: the frame of ordinal `o` is at `o & (index.count - 1)`.
    private var index: [Entry] = Array(repeating: ResendRing.unused, count: 1_024)
    private var head = 0
    private var appendedByteCount: UInt64 = 0
    /// As of the oldest frame; when there is none, as of the one before.
    private var dictionary = DictionarySnapshot()
    /// First byte behind the oldest frame that was not yet given back to the kernel.
    private var releasedTo = 0

    /// Numbers between `oldest` and `next` that have no frame, ascending.
    private var holes: [SequenceRange] = []
    /// Numbers below `oldest` that had no frame and no ordinal.
    private var passedHoleCount: UInt64 = 0
    /// Numbers that this run may never have given to a frame. They are not declared to anybody: another
    /// process that knew nothing of them could be using them.
    private(set) var voids = SequenceSet()

    /// The oldest frame that is there; equals `next` when there is none.
    private(set) var oldest: UInt64
    /// The sequence of the frame that is appended next.
    private(set) var next: UInt64
    /// Frames below it are kept by every aggregator. Set by whoever counts acknowledgements.
    var settledEnd: UInt64 = 0
    /// Frames that were evicted although not every aggregator had kept them.
    private(set) var evictedUnsettledCount: UInt64 = 0

    /// Free memory is given back in pieces of this size.
    private static let releaseByteCount = 64 << 10
    private static let unused = Entry(
        offset: 0, subjectsByteCount: 0, frameByteCount: 0, position: 0, step: 0, isKey: false,
        restartsDictionary: false)

    /// - Parameters:
    ///   - capacity: bytes for records; rounded up to whole pages, and reserved only when used.
    ///   - next: the sequence of the first frame.
    ///   - dictionary: `subjects` records of this program: what that frame's changes add to, or have
    ///     brought about already.
    init(
        capacity: Int, next: UInt64 = 1,
        dictionary: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        precondition(capacity > 0 && next > 0)
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        self.capacity = (capacity + page - 1) / page * page
        let mapping = mmap(
            nil, self.capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapping, mapping != MAP_FAILED else {
            preconditionFailure("mmap of \(self.capacity) bytes failed: \(errno)")
        }
        memory = UnsafeMutableRawBufferPointer(start: mapping, count: self.capacity)
        oldest = next
        self.next = next
        self.dictionary.apply(records: dictionary)
    }

    deinit { munmap(memory.baseAddress, memory.count) }

    var isEmpty: Bool { oldest == next }
    var frameCount: Int { Int(ordinal(next) &- ordinal(oldest)) }
    /// Bytes of the records that are there.
    var byteCount: Int { isEmpty ? 0 : byteCount(from: oldest) }

    /// - Returns: `nil` for a frame that is not there (any more).
    func entry(_ sequence: UInt64) -> Entry? {
        guard sequence >= oldest, sequence < next, hole(at: sequence) == nil else { return nil }
        return index[slot(sequence)]
    }

    /// The first number from `sequence` on that has a frame; `next` when there is none.
    func frame(atOrAfter sequence: UInt64) -> UInt64 {
        let candidate = min(max(sequence, oldest), next)
        return hole(at: candidate).map { $0.last + 1 } ?? candidate
    }

    /// Bytes of the records from this frame on to the newest.
    func byteCount(from sequence: UInt64) -> Int {
        entry(frame(atOrAfter: sequence)).map { Int(appendedByteCount - $0.position) } ?? 0
    }

    /// The last key frame at or before `sequence` with no number without a frame between. Cost: linear
    /// in the distance.
    func key(atOrBefore sequence: UInt64) -> UInt64? {
        var candidate = sequence
        while let entry = entry(candidate) {
            if entry.isKey { return candidate }
            candidate -= 1
        }
        return nil
    }

    /// The first key frame at or after `sequence`. Cost: linear in the distance.
    func key(atOrAfter sequence: UInt64) -> UInt64? {
        var candidate = frame(atOrAfter: sequence)
        while let entry = entry(candidate) {
            if entry.isKey { return candidate }
            candidate = frame(atOrAfter: candidate + 1)
        }
        return nil
    }

    /// A frame's records: its dictionary changes and the frame. Valid until the next `append`.
    ///
    /// - Precondition: the frame is there.
    func records(of sequence: UInt64, withSubjects: Bool = true) -> UnsafeRawBufferPointer {
        guard let entry = entry(sequence) else {
            preconditionFailure("frame \(sequence) is not in the ring \(oldest)..<\(next)")
        }
        let skipped = withSubjects ? 0 : Int(entry.subjectsByteCount)
        let start = entry.offset + skipped
        return UnsafeRawBufferPointer(rebasing: memory[start..<entry.offset + entry.byteCount])
    }

    /// The dictionary as it holds from this frame on. Cost: decodes all changes since the oldest
    /// frame.
    ///
    /// - Precondition: the frame is there.
    func dictionary(at sequence: UInt64) -> DictionarySnapshot {
        precondition(entry(sequence) != nil, "frame \(sequence) is not in the ring")
        var snapshot = dictionary
        // `dictionary` already holds the changes of the oldest frame.
        var later = frame(atOrAfter: oldest + 1)
        while later <= sequence {
            apply(later, to: &snapshot)
            later = frame(atOrAfter: later + 1)
        }
        return snapshot
    }

    // MARK: Appending

    /// Appends the next frame.
    ///
    /// - Parameters:
    ///   - subjects: whole `subjects` records with the dictionary's changes, or nothing.
    ///   - frame: the whole `frame` record.
    /// - Returns: `false` when the frame is larger than the ring. Its number is used up, everything
    ///   older is gone too, and the next frame has to be a key frame.
    func append(
        subjects: UnsafeRawBufferPointer, frame: UnsafeRawBufferPointer, step: Int64, isKey: Bool,
        restartsDictionary: Bool
    ) -> Bool {
        precondition(isKey || !restartsDictionary, "a dictionary restarts with a key frame")
        let needed = subjects.count + frame.count
        guard needed <= capacity else {
            while !isEmpty { evictOldest() }
            dictionary.apply(records: subjects)
            evictedUnsettledCount += 1
            next += 1
            oldest = next
            return false
        }
        let offset = makeRoom(needed)
        if frameCount == index.count { growIndex() }
        copy(subjects, to: offset)
        copy(frame, to: offset + subjects.count)
        index[slot(next)] = Entry(
            offset: offset, subjectsByteCount: Int32(subjects.count),
            frameByteCount: Int32(frame.count), position: appendedByteCount, step: step,
            isKey: isKey, restartsDictionary: restartsDictionary)
        appendedByteCount += UInt64(needed)
        head = offset + needed
        next += 1
        if frameCount == 1 { apply(oldest, to: &dictionary) }
        return true
    }

    /// Passes over numbers: the next frame is `sequence`, a key frame that restarts the dictionary.
    ///
    /// - Parameter isVoid: those between may never have been given to a frame; else their frames are lost.
    func skip(to sequence: UInt64, isVoid: Bool) {
        precondition(sequence > next, "skip from \(next) to \(sequence)")
        let hole = SequenceRange(next, sequence - 1)
        if isVoid { voids.insert(hole) }
        if isEmpty {
            passedHoleCount &+= hole.count
            oldest = sequence
        } else {
            holes.append(hole)
        }
        next = sequence
    }

    /// Says which numbers an earlier process has passed over.
    func noteVoids(_ earlier: SequenceSet) { voids.formUnion(earlier) }

    /// Drops old chains of which every frame is settled and older than `step`, but never the newest:
    /// they are kept for a while for an aggregator that restarts and has lost everything.
    func evictSettled(before step: Int64) {
        while let first = entry(oldest), first.step < step,
            let end = key(atOrAfter: oldest + 1), end <= settledEnd,
            index[Int(truncatingIfNeeded: ordinal(end) &- 1) & (index.count - 1)].step < step
        {
            while oldest < end { evictOldest() }
        }
    }

    private func makeRoom(_ byteCount: Int) -> Int {
        while true {
            guard let tail = entry(oldest)?.offset else {
                head = 0
                releasedTo = 0
                return 0
            }
            if head > tail {
                if capacity - head >= byteCount { return head }
                if tail > byteCount { return 0 }
            } else if tail - head > byteCount {
                return head
            }
            evict()
        }
    }

    /// Evicts the oldest frame, and when someone still wanted it, all that cannot be decoded without.
    private func evict() {
        let wasSettled = oldest < settledEnd
        evictOldest()
        if wasSettled { return }
        while let entry = entry(oldest), !entry.isKey { evictOldest() }
    }

    private func evictOldest() {
        guard let gone = entry(oldest) else { return }
        if oldest >= settledEnd { evictedUnsettledCount += 1 }
        oldest += 1
        if let hole = holes.first, hole.first == oldest {
            holes.removeFirst()
            passedHoleCount &+= hole.count
            oldest = hole.last + 1
        }
        if !isEmpty { apply(oldest, to: &dictionary) }
        release(gone)
    }

    /// Applies a frame's dictionary changes.
    private func apply(_ sequence: UInt64, to snapshot: inout DictionarySnapshot) {
        let entry = index[slot(sequence)]
        if entry.restartsDictionary { snapshot = DictionarySnapshot() }
        guard entry.subjectsByteCount > 0 else { return }
        let end = entry.offset + Int(entry.subjectsByteCount)
        snapshot.apply(records: UnsafeRawBufferPointer(rebasing: memory[entry.offset..<end]))
    }

    private func copy(_ bytes: UnsafeRawBufferPointer, to offset: Int) {
        guard let source = bytes.baseAddress else { return }
        memory.baseAddress?.advanced(by: offset).copyMemory(
            from: source, byteCount: bytes.count)
    }

    /// Gives whole pages behind the oldest frame back to the kernel, so that a ring which everybody
    /// has acknowledged does not stay resident.
    private func release(_ gone: Entry) {
        let end = gone.offset + gone.byteCount
        if end < releasedTo { releasedTo = 0 }
        // Where writing has come round, new frames are in what was free before.
        let start = head <= gone.offset ? max(releasedTo, head) : releasedTo
        let firstPiece = (start + Self.releaseByteCount - 1) / Self.releaseByteCount
        let lastPiece = end / Self.releaseByteCount
        guard lastPiece > firstPiece, let base = memory.baseAddress else { return }
        let code = madvise(
            base + firstPiece * Self.releaseByteCount,
            (lastPiece - firstPiece) * Self.releaseByteCount, Int32(MADV_DONTNEED))
        precondition(code == 0, "madvise: \(errno)")
        releasedTo = lastPiece * Self.releaseByteCount
    }

    private func hole(at sequence: UInt64) -> SequenceRange? {
        if holes.isEmpty { return nil }
        return holes.first { $0.first <= sequence && sequence <= $0.last }
    }

    /// Frames are counted without the numbers that have none. Not for a number in a hole.
    private func ordinal(_ sequence: UInt64) -> UInt64 {
        var ordinal = sequence &- passedHoleCount
        for hole in holes where hole.first <= sequence { ordinal &-= hole.count }
        return ordinal
    }

    private func slot(_ sequence: UInt64) -> Int {
        Int(truncatingIfNeeded: ordinal(sequence)) & (index.count - 1)
    }

    private func growIndex() {
        let old = index
        index = Array(repeating: Self.unused, count: old.count * 2)
        for ordinal in ordinal(oldest)..<ordinal(next) {
            let number = Int(truncatingIfNeeded: ordinal)
            index[number & (index.count - 1)] = old[number & (old.count - 1)]
        }
    }
}
