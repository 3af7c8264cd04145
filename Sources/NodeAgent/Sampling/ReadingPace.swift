import Wire

/// How often one file is read that takes far longer than others of its kind.
///
/// A kernel on many CPUs can take milliseconds for a `memory.stat` that takes microseconds elsewhere,
/// and holds a lock meanwhile that everybody wants. Three slow readings in a row halve the pace,
/// every further one halves it again, every quick one doubles it.
struct ReadingPace: Equatable {
    /// The file is read every `1 << level`-th step.
    private(set) var level: UInt8 = 0
    private var strikes: UInt8 = 0
    private var skipsLeft: UInt8 = 0

    static let strikeLimit: UInt8 = 3
    /// Every 64th step at the least.
    static let levelLimit: UInt8 = 6

    var isReduced: Bool { level > 0 }
    /// The file is read once in so many steps.
    var period: Int { 1 << Int(level) }

    /// Whether this step passes over the file.
    mutating func skips() -> Bool {
        guard skipsLeft > 0 else { return false }
        skipsLeft -= 1
        return true
    }

    /// Takes note of a reading.
    ///
    /// - Returns: whether the file has just become slow.
    mutating func took(isSlow: Bool) -> Bool {
        let before = level
        if isSlow {
            strikes = min(strikes + 1, Self.strikeLimit)
            if level > 0 || strikes == Self.strikeLimit { level = min(level + 1, Self.levelLimit) }
        } else {
            strikes = 0
            if level > 0 { level -= 1 }
        }
        skipsLeft = UInt8(clamping: period - 1)
        return before == 0 && level > 0
    }
}

/// How long reading takes by kind, learnt as it goes on: running medians in nanoseconds.
///
/// Each value moves its median by a sixteenth of it towards itself, so one that is far off weighs no
/// more than one that is near. Fixed size.
struct ReadingTimes {
    private var medians: [Int64]

    /// More than so many medians is slow.
    static let factor: Int64 = 10
    /// Nothing shorter is slow: a scheduler's or a hypervisor's pause is as long.
    static let slowNanoseconds: Int64 = 500_000

    init(kinds: Int) { medians = Array(repeating: 0, count: kinds) }

    func median(_ kind: Int) -> Int64 { medians[kind] }

    /// Takes note of a time.
    ///
    /// - Returns: whether it is slow for its kind.
    @inline(__always)
    mutating func learn(_ kind: Int, _ nanoseconds: Int64) -> Bool {
        let median = medians[kind]
        if median == 0 {
            medians[kind] = max(nanoseconds, 16)
            return false
        }
        let move = max(1, median / 16)
        medians[kind] = nanoseconds > median ? median + move : max(16, median - move)
        return nanoseconds > max(median * Self.factor, Self.slowNanoseconds)
    }
}
