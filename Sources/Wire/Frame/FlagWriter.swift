/// Writes which columns of a group of subjects changed, for `FlagReader`.
struct FlagWriter {
    private var group: GroupState
    private let words: UnsafeMutablePointer<ChangeScan.Word>
    private let rows: UnsafeMutablePointer<LiveRow>
    private let range: Range<Int>

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

    private mutating func writeAll(_ writer: inout BitWriter) {
        var silent = SilentCursor(rows: rows, words: words, range: range)
        ExponentialGolomb.write(
            UInt64(silent.left), GroupState.silentCountParameter, &writer)
        silent.announce(&group, &writer)
        for index in range {
            let row = rows[index]
            for word in 0..<row.wordCount {
                let scanned = words[row.firstWord &+ word]
                if scanned.active != 0 {
                    Self.gather(scanned.flags, over: scanned.active, &writer)
                }
                var exceptions = scanned.silentExceptions
                while exceptions != 0 {
                    exceptions &= exceptions &- 1
                    silent.announce(&group, &writer)
                }
            }
        }
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
                ExponentialGolomb.write(distance, group.silent.parameter, &writer)
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
