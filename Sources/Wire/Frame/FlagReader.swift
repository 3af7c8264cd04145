/// Reads which columns of a group of subjects changed.
struct FlagReader {
    private var group: GroupState
    private let isTurning: Bool
    /// Steady columns before the next exception; -1 when that was not read yet.
    private var toSteady = -1
    private var steadyDistance: UInt64 = 0
    /// Columns before the next silent one that changed.
    private var toSilent = Int.max
    private var silentLeft = 0

    /// Reads the flags of a group's live subjects into the state.
    ///
    /// - Returns: how many columns changed.
    /// - Throws: `malformed`.
    static func read(
        _ rows: Range<Int>, _ state: borrowing FrameState, _ shared: inout BitReader
    ) throws(WireError) -> Int {
        // Copies can stay in registers.
        let group = state.groups.base + Int(state.live.base[rows.lowerBound].group)
        var flags = FlagReader(group: group.pointee, isTurning: state.isTurning)
        var reader = shared
        let total = try flags.readAll(rows, state, &reader)
        shared = reader
        group.pointee = flags.group
        return total
    }

    private init(group: GroupState, isTurning: Bool) {
        self.group = group
        self.isTurning = isTurning
    }

    @inline(__always)
    private mutating func readAll(
        _ range: Range<Int>, _ state: borrowing FrameState, _ reader: inout BitReader
    ) throws(WireError) -> Int {
        let rows = state.live.base
        let flags = state.flags.base
        silentLeft = Int(
            truncatingIfNeeded: try distance(GroupState.silentCountParameter, &reader))
        if silentLeft > 0 {
            let silent = try distance(group.silentParameter, &reader)
            group.learnSilent(silent)
            toSilent = Int(truncatingIfNeeded: silent)
        }
        var total = 0
        for index in range {
            if rows[index].isFresh { state.copyModelFlags(to: rows[index]) }
            var flagged = 0
            var width = rows[index].count
            let firstWord = rows[index].firstWord
            for word in firstWord..<firstWord &+ rows[index].wordCount {
                flagged &+= try read(&flags[word], width: min(width, 64), &reader)
                width &-= 64
            }
            rows[index].flagged = UInt16(truncatingIfNeeded: flagged)
            total &+= flagged
        }
        guard silentLeft == 0 else {
            throw .malformed(what: "change flags", offset: reader.byteOffset)
        }
        return total
    }

    /// Reads one word, and counts its ones.
    @inline(__always)
    private mutating func read(
        _ word: inout ChangeFlags, width: Int, _ reader: inout BitReader
    ) throws(WireError) -> Int {
        // A subject that has been idle for long has nothing but silent columns.
        if word.isIdle, toSilent >= width {
            if toSilent != Int.max { toSilent &-= width }
            return 0
        }
        let steady = word.steady
        let wavering = word.wavering
        var flags = word.expected
        if steady != 0 { flags ^= try steadyExceptions(steady, &reader) }
        if wavering != 0 { flags |= Self.spread(over: wavering, &reader) }
        while toSilent < width {
            let bit: UInt64 = 1 &<< UInt64(truncatingIfNeeded: toSilent)
            guard bit & (steady | wavering) == 0 else {
                throw .malformed(what: "change flags", offset: reader.byteOffset)
            }
            flags |= bit
            silentLeft &-= 1
            if silentLeft == 0 {
                toSilent = Int.max
            } else {
                let silent = try distance(group.silentParameter, &reader)
                group.learnSilent(silent)
                toSilent &+= 1 &+ Int(truncatingIfNeeded: silent)
            }
        }
        if toSilent != Int.max { toSilent &-= width }
        word.take(flags, turning: isTurning)
        return flags == 0 ? 0 : flags.nonzeroBitCount
    }

    private mutating func steadyExceptions(
        _ steady: UInt64, _ reader: inout BitReader
    ) throws(WireError) -> UInt64 {
        if toSteady < 0 { try readSteady(&reader) }
        var count = steady.nonzeroBitCount
        var rest = steady
        var exceptions: UInt64 = 0
        while toSteady < count {
            count &-= toSteady &+ 1
            for _ in 0..<toSteady { rest &= rest &- 1 }
            let bit = rest & (0 &- rest)
            rest ^= bit
            exceptions |= bit
            group.learnSteady(steadyDistance)
            try readSteady(&reader)
        }
        toSteady &-= count
        return exceptions
    }

    private mutating func readSteady(_ reader: inout BitReader) throws(WireError) {
        steadyDistance = try distance(group.steadyParameter, &reader)
        toSteady = Int(truncatingIfNeeded: steadyDistance)
    }

    /// A bit of the payload for each one of the mask.
    @inline(__always)
    static func spread(over mask: UInt64, _ reader: inout BitReader) -> UInt64 {
        var bits = reader.longBits(mask.nonzeroBitCount)
        var rest = mask
        var flags: UInt64 = 0
        while bits != 0 {
            let bit = rest & (0 &- rest)
            rest ^= bit
            flags |= bit & (0 &- (bits & 1))
            bits &>>= 1
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
