/// Reads which columns of a group of subjects changed.
struct FlagReader {
    private var group: GroupState
    private let isTurning: Bool
    /// Columns before the next silent one that changed.
    private var toSilent = Int.max
    private var silentLeft = 0

    /// Reads the flags of a group's live subjects into the state.
    ///
    /// - Returns: whether any column changed.
    /// - Throws: `malformed`.
    static func read(
        _ rows: Range<Int>, _ state: borrowing FrameState, _ shared: inout BitReader
    ) throws(WireError) -> Bool {
        // Copies can stay in registers.
        let group = state.groups.base + Int(state.live.base[rows.lowerBound].group)
        var flags = FlagReader(group: group.pointee, isTurning: state.isTurning)
        var reader = shared
        let isAny = try flags.readAll(rows, state, &reader)
        shared = reader
        group.pointee = flags.group
        return isAny
    }

    private init(group: GroupState, isTurning: Bool) {
        self.group = group
        self.isTurning = isTurning
    }

    @inline(__always)
    private mutating func readAll(
        _ range: Range<Int>, _ state: borrowing FrameState, _ reader: inout BitReader
    ) throws(WireError) -> Bool {
        let rows = state.live.base
        let flags = state.flags.base
        silentLeft = Int(
            truncatingIfNeeded: try distance(GroupState.silentCountParameter, &reader))
        if silentLeft > 0 {
            let silent = try distance(group.silent.parameter, &reader)
            group.learnSilent(silent)
            toSilent = Int(truncatingIfNeeded: silent)
        }
        var all: UInt64 = 0
        for index in range {
            if rows[index].isFresh { state.copyModelFlags(to: rows[index]) }
            var flagged: UInt64 = 0
            var width = rows[index].count
            let firstWord = rows[index].firstWord
            for word in firstWord..<firstWord &+ rows[index].wordCount {
                flagged |= try read(&flags[word], width: min(width, 64), &reader)
                width &-= 64
            }
            rows[index].isFlagged = flagged != 0
            all |= flagged
        }
        guard silentLeft == 0 else {
            throw .malformed(what: "change flags", offset: reader.byteOffset)
        }
        return all != 0
    }

    /// Reads one word, and returns it.
    @inline(__always)
    private mutating func read(
        _ word: inout ChangeFlags, width: Int, _ reader: inout BitReader
    ) throws(WireError) -> UInt64 {
        let active = word.active
        var flags = active == 0 ? 0 : Self.spread(over: active, &reader)
        while toSilent < width {
            let bit: UInt64 = 1 &<< UInt64(truncatingIfNeeded: toSilent)
            guard bit & active == 0 else {
                throw .malformed(what: "change flags", offset: reader.byteOffset)
            }
            flags |= bit
            silentLeft &-= 1
            if silentLeft == 0 {
                toSilent = Int.max
            } else {
                let silent = try distance(group.silent.parameter, &reader)
                group.learnSilent(silent)
                toSilent &+= 1 &+ Int(truncatingIfNeeded: silent)
            }
        }
        if toSilent != Int.max { toSilent &-= width }
        word.take(flags, turning: isTurning)
        return flags
    }

    /// A bit of the payload for each one of the mask.
    @inline(__always)
    static func spread(over mask: UInt64, _ reader: inout BitReader) -> UInt64 {
        let count = mask.nonzeroBitCount
        if count <= 56 { return spread(reader.bits(count), over: mask) }
        // By value, so that the reader can stay in registers.
        let long = readLong(count, reader)
        reader = long.reader
        return spread(long.bits, over: mask)
    }

    @inline(never)
    private static func readLong(
        _ count: Int, _ start: BitReader
    ) -> (bits: UInt64, reader: BitReader) {
        var reader = start
        return (reader.longBits(count), reader)
    }

    /// The lowest bits to where the mask has ones, in order.
    @inline(__always)
    private static func spread(_ bits: UInt64, over mask: UInt64) -> UInt64 {
        var bits = bits
        var rest = mask
        var flags: UInt64 = 0
        while bits != 0 {
            // By fours, because the end cannot be foreseen; beyond it there are no ones.
            for _ in 0..<4 {
                let bit = rest & (0 &- rest)
                rest ^= bit
                flags |= bit & (0 &- (bits & 1))
                bits &>>= 1
            }
        }
        return flags
    }

    @inline(__always)
    private func distance(
        _ parameter: Int, _ reader: inout BitReader
    ) throws(WireError) -> UInt64 {
        guard let distance = ExponentialGolomb.read(parameter, &reader) else {
            throw .malformed(what: "change flags", offset: reader.byteOffset)
        }
        return distance
    }
}
