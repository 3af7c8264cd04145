import Wire

/// Which frames go over one connection next: the present first, what was missed beside it.
///
/// ```
///  ring    oldest ....... n ............ K ......... newest
///  live                                  begin K ───────────>  whenever there is something
///  backlog                continue C ────>                     a little at a time
/// ```
/// A *lane* is a run of frames on one chain. The live lane has no end. Backlog lanes are worked off
/// one after the other, the oldest first, because that one is evicted next.
struct SendPlan {
    struct Lane: Equatable {
        /// The chain that the receiver can continue with `next`; `nil` when one has to begin.
        var chain: ChainID?
        var next: UInt64
        /// One past the last frame.
        var end: UInt64
    }

    private(set) var live: Lane?
    private(set) var backlog: [Lane] = []
    /// Frames to be declared lost.
    private(set) var gaps: [SequenceRange] = []
    /// The chains that the receiver has open, in the order of their last selection; the last one takes
    /// records once it was selected on this connection.
    private var open: [ChainID] = []
    private var hasSelected = false
    private let catchUpByteCount: Int
    private let recordByteCountMax: Int

    /// Backlog lanes beyond which the live lane does not jump ahead any more; the receiver keeps as
    /// many chains open.
    static let backlogLaneMax = 4

    /// Plans what to send after a welcome.
    ///
    /// - Parameters:
    ///   - catchUpByteCount: a backlog up to so many bytes is sent in order before the present.
    ///   - acknowledged: what this aggregator has acknowledged at any time.
    init(
        after welcome: Welcome, ring: ResendRing, acknowledged: SequenceSet, catchUpByteCount: Int
    ) {
        self.catchUpByteCount = catchUpByteCount
        open = welcome.chains.map(\.id).suffix(ChainSelection.openMax)
        recordByteCountMax =
            welcome.recordBytes == 0 ? .max : Int(clamping: welcome.recordBytes)
        var settled = welcome.settled
        settled.formUnion(ring.voids)
        if ring.oldest > 1 {
            var known = acknowledged
            known.formUnion(settled)
            gaps = known.missing(in: SequenceRange(1, ring.oldest - 1))
        }
        var missing: [SequenceRange] = []
        if !ring.isEmpty {
            missing = settled.missing(in: SequenceRange(ring.oldest, ring.next - 1))
        }
        func chain(wanting next: UInt64) -> ChainID? {
            welcome.chains.last { $0.nextSequence == next && $0.id < next }?.id
        }
        if missing.last?.last == ring.next - 1, let newest = missing.popLast() {
            planLive(newest, chain: chain(wanting: newest.first), &missing, ring)
        } else if let chain = chain(wanting: ring.next) {
            live = Lane(chain: chain, next: ring.next, end: .max)
        }
        let lanes = missing.map {
            Lane(chain: chain(wanting: $0.first), next: $0.first, end: $0.last + 1)
        }
        backlog.insert(contentsOf: lanes, at: 0)
    }

    /// Decides how the newest missing frames go: in order, from the latest key frame, or (the live
    /// lane stays `nil`) from a key frame that is still to be made.
    private mutating func planLive(
        _ newest: SequenceRange, chain: ChainID?, _ missing: inout [SequenceRange],
        _ ring: ResendRing
    ) {
        let start = chain == nil ? ring.key(atOrBefore: newest.first) : newest.first
        if let start, ring.byteCount(from: start) <= catchUpByteCount {
            live = Lane(chain: chain, next: newest.first, end: .max)
            if chain == nil { Self.remove(from: start, &missing) }
            return
        }
        if let key = ring.key(atOrBefore: newest.last), key > newest.first,
            ring.byteCount(from: key) <= catchUpByteCount
        {
            live = Lane(chain: nil, next: key, end: .max)
            backlog = [Lane(chain: chain, next: newest.first, end: key)]
            return
        }
        backlog = [Lane(chain: chain, next: newest.first, end: newest.last + 1)]
    }

    /// What a chain that begins before them sends anyway.
    private static func remove(from sequence: UInt64, _ ranges: inout [SequenceRange]) {
        while let last = ranges.popLast() {
            if last.last < sequence { return ranges.append(last) }
            if last.first < sequence {
                return ranges.append(SequenceRange(last.first, sequence - 1))
            }
        }
    }

    // MARK: New frames

    /// Whether the next frame should be a key frame, so that the present can begin with it.
    func wantsKey(_ ring: ResendRing) -> Bool {
        guard let live else { return true }
        if live.chain == nil, live.next < ring.next {
            return ring.key(atOrBefore: live.next) == nil && ring.key(atOrAfter: live.next) == nil
        }
        return isBehind(live, ring)
    }

    /// The newest frame was just appended to the ring.
    mutating func appended(_ sequence: UInt64, isKey: Bool, ring: ResendRing) {
        if let lane = live {
            guard isKey, lane.next < sequence, isBehind(lane, ring) else { return }
            backlog.append(Lane(chain: lane.chain, next: lane.next, end: sequence))
            live = Lane(chain: nil, next: sequence, end: .max)
        } else if isKey {
            live = Lane(chain: nil, next: sequence, end: .max)
        } else if let last = backlog.last, last.end == sequence {
            backlog[backlog.count - 1].end = sequence + 1
        } else {
            backlog.append(Lane(chain: nil, next: sequence, end: sequence + 1))
        }
    }

    /// The connection takes less than is made: the present would come later and later.
    private func isBehind(_ lane: Lane, _ ring: ResendRing) -> Bool {
        lane.next + 1 < ring.next && backlog.count < Self.backlogLaneMax
            && ring.byteCount(from: lane.next) > catchUpByteCount
    }

    // MARK: Sending

    var hasBacklog: Bool { !backlog.isEmpty }

    /// Appends the records of one declaration of loss.
    ///
    /// - Returns: the frames it settles, `nil` when there is none to send.
    mutating func takeGap(into output: inout [UInt8]) -> SequenceRange? {
        guard !gaps.isEmpty else { return nil }
        let gap = gaps.removeFirst()
        Record(type: .gap, payload: gap.encode()).encode(into: &output)
        return gap
    }

    /// Appends the records of the live lane's next frame; returns its number, `nil` when it is
    /// caught up.
    mutating func takeLive(_ ring: ResendRing, into output: inout [UInt8]) -> UInt64? {
        guard var lane = live else { return nil }
        defer { live = lane }
        return take(from: &lane, ring, into: &output)
    }

    /// Appends the records of the oldest backlog lane's next frame; returns its number, `nil` when
    /// there is no backlog.
    mutating func takeBacklog(_ ring: ResendRing, into output: inout [UInt8]) -> UInt64? {
        while var lane = backlog.first {
            let sequence = take(from: &lane, ring, into: &output)
            if lane.next < lane.end {
                backlog[0] = lane
            } else {
                backlog.removeFirst()
                if live == nil, lane.end == ring.next {
                    // Caught up before a key frame was made: the rest simply follows.
                    live = Lane(chain: lane.chain, next: lane.next, end: .max)
                }
            }
            if sequence != nil || lane.next < lane.end { return sequence }
        }
        return nil
    }

    private mutating func take(
        from lane: inout Lane, _ ring: ResendRing, into output: inout [UInt8]
    ) -> UInt64? {
        while lane.next < min(lane.end, ring.next) {
            guard let entry = ring.entry(lane.next) else {
                lose(&lane, before: ring.frame(atOrAfter: lane.next), ring)
                continue
            }
            guard isSendable(lane.next, ring) else {
                lose(&lane, before: ring.key(atOrAfter: lane.next + 1) ?? ring.next, ring)
                continue
            }
            if let chain = lane.chain, open.contains(chain), !entry.restartsDictionary {
                select(chain, into: &output)
                output.append(contentsOf: ring.records(of: lane.next))
                lane.next += 1
                return lane.next - 1
            }
            if let key = ring.key(atOrBefore: lane.next), isSendable(key, ring) {
                begin(&lane, at: key, ring, into: &output)
                return key
            }
            guard let key = ring.key(atOrAfter: lane.next), isSendable(key, ring) else {
                // The live lane waits for a key frame, which `wantsKey` asks for.
                if lane.end == .max { return nil }
                lose(&lane, before: lane.end, ring)
                continue
            }
            lose(&lane, before: key, ring)
        }
        return nil
    }

    /// Whether the receiver takes a record of that size.
    private func isSendable(_ sequence: UInt64, _ ring: ResendRing) -> Bool {
        ring.entry(sequence).map { Int($0.frameByteCount) <= recordByteCountMax } ?? false
    }

    private mutating func begin(
        _ lane: inout Lane, at key: UInt64, _ ring: ResendRing, into output: inout [UInt8]
    ) {
        // A backlog of many chains must not push the present out of the receiver's few.
        if let present = live?.chain, open.contains(present) { select(present, into: &output) }
        ChainSelection(id: key, begins: true).encode(into: &output)
        note(key)
        ring.dictionary(at: key).encode(into: &output)
        output.append(contentsOf: ring.records(of: key, withSubjects: false))
        lane.chain = key
        lane.next = key + 1
    }

    private mutating func select(_ chain: ChainID, into output: inout [UInt8]) {
        if hasSelected, open.last == chain { return }
        ChainSelection(id: chain, begins: false).encode(into: &output)
        note(chain)
    }

    private mutating func note(_ chain: ChainID) {
        open.removeAll { $0 == chain }
        if open.count == ChainSelection.openMax { open.removeFirst() }
        open.append(chain)
        hasSelected = true
    }

    /// Passes over frames that this receiver can never decode, and numbers without one.
    private mutating func lose(_ lane: inout Lane, before sequence: UInt64, _ ring: ResendRing) {
        let end = min(sequence, lane.end)
        precondition(end > lane.next, "lane at \(lane.next) loses nothing before \(end)")
        gaps += ring.voids.missing(in: SequenceRange(lane.next, end - 1))
        lane.next = end
        lane.chain = nil
    }
}
