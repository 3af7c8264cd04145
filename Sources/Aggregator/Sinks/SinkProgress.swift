/// How far one sink is while its process leads: what a `SinkCursor` is made of. Pure.
///
/// What is not yet in the sink's queue is known from the feeder's cursor, what is in the queue from the
/// queue. Cycles up to `through` have left both at some time; what comes late for them afterwards is
/// named by itself, so `through` never goes back.
struct SinkProgress: Sendable {
    /// What the last leader left; `nil` for the first there is.
    private(set) var inherited: SinkCursor?
    private var through: Int64?
    private var missing = CycleRanges()
    private let resolution: Int64

    /// - Parameters:
    ///   - oldestCycle: that the model has; `nil` for none.
    ///   - queued: cycles of what is in the queue from an earlier time.
    init(
        _ inherited: SinkCursor?, oldestCycle: Int64?, queued: Set<Int64>, resolution: Int64
    ) {
        self.inherited = inherited
        self.resolution = resolution
        guard let inherited else { return }
        through = inherited.through
        missing = inherited.missing
        // Nobody who is here can make these again.
        if let oldestCycle, inherited.through + resolution < oldestCycle {
            var gap = missing.cycles(resolution: resolution, after: .min / 2)
            let first = max(
                inherited.through + resolution, oldestCycle - Self.gapCycleCountMax * resolution)
            for cycle in stride(from: first, to: oldestCycle, by: Int(resolution)) {
                gap.insert(cycle)
            }
            missing = CycleRanges(gap, resolution: resolution)
        }
        guard !missing.isEmpty else { return }
        let left = missing.cycles(resolution: resolution, after: .min / 2).subtracting(queued)
        missing = CycleRanges(left, resolution: resolution)
    }

    /// A gap is named as far as this.
    private static let gapCycleCountMax: Int64 = 100_000

    /// Whether a batch that an earlier leader may have delivered is wanted.
    func wantsRepeated(_ cycle: Int64) -> Bool {
        guard let inherited else { return true }
        return cycle > inherited.through || inherited.again.contains(cycle)
    }

    /// Whether a request from an earlier time is still to be delivered.
    static func wantsQueued(_ cycle: Int64, _ cursor: SinkCursor?) -> Bool {
        guard let cursor else { return true }
        return cycle > cursor.through || cursor.again.contains(cycle)
            || cursor.missing.contains(cycle)
    }

    /// Cycles that nobody here has.
    var missingCycleCount: Int { missing.cycles(resolution: resolution, after: .min / 2).count }

    /// - Parameters:
    ///   - feeder: what is in all queues; `nil` before anything was handed on.
    ///   - queued: cycles in this sink's queue, looked at after the feeder.
    mutating func cursor(after feeder: CycleCursor?, queued: Set<Int64>) -> SinkCursor? {
        guard let feeder else { return inherited }
        let reached = through ?? .min
        let blocked = queued.lazy.filter { $0 > reached }.min()
        let now = max(reached, min(feeder.through, blocked.map { $0 - resolution } ?? .max))
        through = now
        var again = queued.filter { $0 <= now }.union(feeder.sums.filter { $0 <= now })
        for cycles in feeder.late.values { again.formUnion(cycles.filter { $0 <= now }) }
        // Those that the cursors do not name by themselves.
        for ranges in feeder.absent.values {
            let cycles = ranges.cycles(resolution: resolution, after: .min / 2)
            again.formUnion(cycles.filter { $0 <= now })
        }
        return SinkCursor(
            through: now, again: CycleRanges(again, resolution: resolution), missing: missing)
    }
}
