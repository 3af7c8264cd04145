/// Which directories are walked, when, and how fast. Pure but for the walks themselves; time is told.
///
/// Directories that were never walked come first, then the one whose turn is the longest overdue.
struct WalkPlan {
    /// Entries looked at in a second, on average over a slice.
    let entriesPerSecond: Int
    /// From the end of a walk to the beginning of the next one of the same directory.
    let intervalMilliseconds: Int64
    /// Work is done in slices so long, so that the budget holds over short times too.
    let sliceMilliseconds: Int64

    /// Due times by path, milliseconds of the clock that `next` is given.
    private var due: [String: Int64] = [:]
    private var current: (path: String, walk: DirectoryWalk)?

    /// - Parameter entriesPerSecond: at least 1.
    init(entriesPerSecond: Int, intervalMilliseconds: Int64) {
        precondition(entriesPerSecond > 0, "\(entriesPerSecond) entries a second")
        self.entriesPerSecond = entriesPerSecond
        self.intervalMilliseconds = intervalMilliseconds
        sliceMilliseconds = max(100, Int64((999 + entriesPerSecond) / entriesPerSecond))
    }

    /// The directories that are to be walked from now on; what is known of others is forgotten.
    mutating func set(_ paths: [String]) {
        let wanted = Set(paths)
        due = due.filter { wanted.contains($0.key) }
        for path in paths where due[path] == nil { due[path] = .min }
        if let path = current?.path, due[path] == nil { current = nil }
    }

    /// Does a slice of work.
    ///
    /// - Returns: how long to wait before the next one, and the outcomes of walks that ended.
    mutating func work(
        now: Int64
    ) -> (waitMilliseconds: Int64, outcomes: [(path: String, outcome: DirectoryWalk.Outcome)]) {
        var left = max(1, entriesPerSecond * Int(sliceMilliseconds) / 1_000)
        var outcomes: [(path: String, outcome: DirectoryWalk.Outcome)] = []
        while left > 0 {
            guard let (path, walk) = current ?? start(now) else { break }
            // Opening counts as an entry: many empty directories cost as much.
            left -= max(1, walk.advance(left))
            if let outcome = walk.outcome {
                outcomes.append((path, outcome))
                due[path] = now + intervalMilliseconds
                current = nil
            }
        }
        if left <= 0 { return (sliceMilliseconds, outcomes) }
        let next = due.values.min().map { $0 - now } ?? intervalMilliseconds
        return (min(max(next, sliceMilliseconds), 60_000), outcomes)
    }

    private mutating func start(_ now: Int64) -> (path: String, walk: DirectoryWalk)? {
        guard let next = due.min(by: { ($0.value, $0.key) < ($1.value, $1.key) }),
            next.value <= now
        else { return nil }
        let started = (path: next.key, walk: DirectoryWalk(next.key))
        current = started
        return started
    }
}
