/// When to sample: at whole multiples of the resolution on the wall clock, so that all nodes' samples
/// line up and nothing drifts.
///
/// Pure: it is told both clocks and answers. States: *waiting* for a step; when the step is due it is
/// taken, and the next one is the first multiple that lies ahead. Steps in between are skipped and
/// counted, never made up for. A machine that slept shows as a difference between the clock that counts
/// suspend (CLOCK_BOOTTIME) and the one that does not (CLOCK_MONOTONIC), a clock that was set as a
/// difference between the wall clock and the former. After either the schedule starts anew.
struct SampleSchedule: Equatable, Sendable {
    let resolutionMilliseconds: Int64
    /// The step that is waited for, milliseconds since the epoch, a multiple of the resolution.
    private(set) var nextStepMilliseconds: Int64
    /// Steps that were due and not taken because an earlier one, or the machine, ran late.
    private(set) var skippedCount: Int64 = 0
    /// Times that the clock was set, by more than `jumpTolerance`.
    private(set) var clockJumpCount: Int64 = 0

    /// Times that the machine slept, by more than `jumpTolerance`, and for how long in all.
    private(set) var suspendCount: Int64 = 0
    private(set) var suspendedMilliseconds: Int64 = 0
    /// What `takeStep` found last, `nil` where nothing happened to the clocks.
    private(set) var lastJump: Jump?

    /// What happened to the clocks between two looks, in milliseconds.
    enum Jump: Equatable, Sendable {
        case clockSet(by: Int64)
        case slept(Int64)
    }

    private var last: Now
    /// What a slewed clock may drift apart between two looks.
    static let jumpTolerance: Int64 = 500

    /// All clocks at one moment.
    struct Now: Equatable, Sendable {
        var realtimeMilliseconds: Int64
        /// Stands still in suspend.
        var monotonicMilliseconds: Int64
        /// Goes on in suspend.
        var boottimeMilliseconds: Int64
        var asleep: Int64 { boottimeMilliseconds - monotonicMilliseconds }
        var setTo: Int64 { realtimeMilliseconds - boottimeMilliseconds }
    }

    /// - Parameter resolution: milliseconds, above 0.
    init(resolutionMilliseconds resolution: Int64, now: Now) {
        precondition(resolution > 0, "resolution of \(resolution) ms")
        resolutionMilliseconds = resolution
        nextStepMilliseconds = Self.step(after: now.realtimeMilliseconds, resolution)
        last = now
    }

    /// The first multiple after a time.
    private static func step(after time: Int64, _ resolution: Int64) -> Int64 {
        let remainder = time % resolution
        return time - (remainder < 0 ? remainder + resolution : remainder) + resolution
    }

    /// Sleep first: a clock is often set right after it.
    private func jump(to now: Now) -> Jump? {
        let slept = now.asleep - last.asleep
        if slept > Self.jumpTolerance { return .slept(slept) }
        let set = now.setTo - last.setTo
        return abs(set) > Self.jumpTolerance ? .clockSet(by: set) : nil
    }

    /// How long to wait; 0 when a step is due.
    func millisecondsToWait(_ now: Now) -> Int64 {
        if jump(to: now) != nil { return 0 }
        return max(0, nextStepMilliseconds - now.realtimeMilliseconds)
    }

    /// Takes a step if one is due.
    ///
    /// - Returns: the step to sample, milliseconds since the epoch: the last multiple that has
    ///   passed. `nil` when none is due, a moment after the clock was set included.
    mutating func takeStep(_ now: Now) -> Int64? {
        let jump = jump(to: now)
        last = now
        lastJump = jump
        if let jump {
            // The steps between the old time and the new one never were: they are not skipped.
            switch jump {
            case .clockSet: clockJumpCount += 1
            case .slept(let duration):
                suspendCount += 1
                suspendedMilliseconds += duration
            }
            nextStepMilliseconds = Self.step(
                after: now.realtimeMilliseconds, resolutionMilliseconds)
            return nil
        }
        guard now.realtimeMilliseconds >= nextStepMilliseconds else { return nil }
        let following = Self.step(after: now.realtimeMilliseconds, resolutionMilliseconds)
        let step = following - resolutionMilliseconds
        skippedCount += (step - nextStepMilliseconds) / resolutionMilliseconds
        nextStepMilliseconds = following
        return step
    }
}
