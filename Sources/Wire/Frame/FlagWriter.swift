/// Writes which columns of a group of subjects changed, for `FlagReader`.
struct FlagWriter {
    private var group: GroupState
    private let words: UnsafeMutablePointer<ChangeScan.Word>
    private let rows: UnsafeMutablePointer<LiveRow>
    private let range: Range<Int>
    /// Steady columns before the next exception; -1 when that was not written yet.
    private var toSteady = -1
    private var steadyDistance: UInt64 = 0

    static func write(
        _ range: Range<Int>, _ state: borrowing FrameState, _ scan: borrowing ChangeScan,
        _ writer: inout BitWriter
    ) {
        let rows = state.live.base
        let group = state.groups.base + Int(rows[range.lowerBound].group)
        var flags = FlagWriter(
            group: group.pointee, words: scan.words.base, rows: rows, range: range)
        flags.writeAll(&writer)
        group.pointee = flags.group
    }

    private init(
        group: GroupState, words: UnsafeMutablePointer<ChangeScan.Word>,
        rows: UnsafeMutablePointer<LiveRow>, range: Range<Int>
    ) {
        self.group = group
        self.words = words
        self.rows = rows
        self.range = range
    }

    private mutating func writeAll(_ writer: inout BitWriter) {
        var silent = SilentCursor(rows: rows, words: words, range: range)
        ExponentialGolomb.write(
            UInt64(silent.left), GroupState.silentCountParameter, &writer)
        silent.announce(&group, &writer)
        for index in range {
            let row = rows[index]
            for word in 0..<row.wordCount {
                let scanned = words[row.firstWord &+ word]
                if scanned.steady != 0 {
                    writeSteady(scanned, row: index, word: word, &writer)
                }
                if scanned.wavering != 0 {
                    Self.gather(scanned.flags, over: scanned.wavering, &writer)
                }
                var exceptions = scanned.silentExceptions
                while exceptions != 0 {
                    exceptions &= exceptions &- 1
                    silent.announce(&group, &writer)
                }
            }
        }
    }

    private mutating func writeSteady(
        _ word: ChangeScan.Word, row: Int, word wordIndex: Int, _ writer: inout BitWriter
    ) {
        if toSteady < 0 { announceSteady(row, wordIndex, word.steady, &writer) }
        var count = word.steady.nonzeroBitCount
        var rest = word.steady
        while toSteady < count {
            count &-= toSteady &+ 1
            for _ in 0...toSteady { rest &= rest &- 1 }
            group.learnSteady(steadyDistance)
            announceSteady(row, wordIndex, rest, &writer)
        }
        toSteady &-= count
    }

    /// Writes how many steady columns are passed before the next exception, or that are left.
    private mutating func announceSteady(
        _ firstRow: Int, _ firstWord: Int, _ firstRest: UInt64, _ writer: inout BitWriter
    ) {
        var distance = 0
        var row = firstRow
        var word = firstWord
        var steady = firstRest
        search: while true {
            let exceptions = words[rows[row].firstWord &+ word].steadyExceptions & steady
            if exceptions != 0 {
                let before = (exceptions & (0 &- exceptions)) &- 1
                distance &+= (steady & before).nonzeroBitCount
                break
            }
            distance &+= steady.nonzeroBitCount
            repeat {
                word &+= 1
                if word >= rows[row].wordCount {
                    word = 0
                    row &+= 1
                }
                if row == range.upperBound { break search }
                steady = words[rows[row].firstWord &+ word].steady
            } while steady == 0
        }
        steadyDistance = UInt64(distance)
        toSteady = distance
        ExponentialGolomb.write(steadyDistance, group.steadyParameter, &writer)
    }

    /// The bits of a word that are in the mask, side by side.
    @inline(__always)
    static func gather(_ flags: UInt64, over mask: UInt64, _ writer: inout BitWriter) {
        var rest = mask
        var bits: UInt64 = 0
        var count: UInt64 = 0
        while rest != 0 {
            let bit = rest & (0 &- rest)
            rest ^= bit
            bits |= (flags & bit == 0 ? 0 : 1) &<< count
            count &+= 1
        }
        writer.appendLong(bits, count: Int(truncatingIfNeeded: count))
    }
}

/// Goes from one silent column that changed to the next.
private struct SilentCursor {
    /// Such columns that were not announced yet.
    private(set) var left = 0
    private let rows: UnsafeMutablePointer<LiveRow>
    private let words: UnsafeMutablePointer<ChangeScan.Word>
    private var row: Int
    private var word = 0
    /// Exceptions of the word at hand that are still to come; `nil` before the word was looked at.
    private var exceptions: UInt64?
    /// Columns between the last exception and the word at hand; may be negative within a word.
    private var columns = 0

    init(
        rows: UnsafeMutablePointer<LiveRow>, words: UnsafeMutablePointer<ChangeScan.Word>,
        range: Range<Int>
    ) {
        self.rows = rows
        self.words = words
        row = range.lowerBound
        for index in range {
            let first = rows[index].firstWord
            for word in first..<first &+ rows[index].wordCount {
                let silent = words[word].silentExceptions
                if silent != 0 { left &+= silent.nonzeroBitCount }
            }
        }
    }

    /// Writes the distance to the next one, if there is one.
    mutating func announce(_ group: inout GroupState, _ writer: inout BitWriter) {
        guard left > 0 else { return }
        left &-= 1
        while true {
            let rest = exceptions ?? words[rows[row].firstWord &+ word].silentExceptions
            if rest != 0 {
                let position = rest.trailingZeroBitCount
                let distance = UInt64(columns &+ position)
                ExponentialGolomb.write(distance, group.silentParameter, &writer)
                group.learnSilent(distance)
                exceptions = rest & (rest &- 1)
                columns = 0 &- position &- 1
                return
            }
            columns &+= min(rows[row].count &- word &* 64, 64)
            exceptions = nil
            word &+= 1
            if word >= rows[row].wordCount {
                word = 0
                row &+= 1
            }
        }
    }
}
