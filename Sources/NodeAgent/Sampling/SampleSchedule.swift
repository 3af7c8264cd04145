/// When to sample: at whole multiples of the resolution on the wall clock, so that all nodes' samples
/// line up and nothing drifts.
///
/// Pure: it is told both clocks and answers. States: *waiting* for a step; when the step is due it is
/// taken, and the next one is the first multiple that lies ahead. Steps in between are skipped and
/// counted, never made up for. A clock that was set, and time in suspend, show as a difference
/// between the wall clock and the monotonic clock, and the schedule starts anew from there.
struct SampleSchedule: Equatable, Sendable {
    let resolutionMilliseconds: Int64
    /// The step that is waited for, milliseconds since the epoch, a multiple of the resolution.
    private(set) var nextStepMilliseconds: Int64
    /// Steps that were due and not taken because an earlier one, or the machine, ran late.
    private(set) var skippedCount: Int64 = 0
    /// Times that the clock was set, by more than `jumpTolerance`.
    private(set) var clockJumpCount: Int64 = 0

    /// Wall clock minus monotonic clock.
    private var clockDifference: Int64
    /// What a slewed clock may drift apart between two looks.
    static let jumpTolerance: Int64 = 500

    /// Both clocks at one moment.
    struct Now: Equatable, Sendable {
        var realtimeMilliseconds: Int64
        var monotonicMilliseconds: Int64
        var difference: Int64 { realtimeMilliseconds - monotonicMilliseconds }
    }

    /// - Parameter resolution: milliseconds, above 0.
    init(resolutionMilliseconds resolution: Int64, now: Now) {
        precondition(resolution > 0, "resolution of \(resolution) ms")
        resolutionMilliseconds = resolution
        nextStepMilliseconds = Self.step(after: now.realtimeMilliseconds, resolution)
        clockDifference = now.difference
    }

    /// The first multiple after a time.
    private static func step(after time: Int64, _ resolution: Int64) -> Int64 {
        let remainder = time % resolution
        return time - (remainder < 0 ? remainder + resolution : remainder) + resolution
    }

    /// How long to wait; 0 when a step is due.
    func millisecondsToWait(_ now: Now) -> Int64 {
        if abs(now.difference - clockDifference) > Self.jumpTolerance { return 0 }
        return max(0, nextStepMilliseconds - now.realtimeMilliseconds)
    }

    /// Takes a step if one is due.
    ///
    /// - Returns: the step to sample, milliseconds since the epoch: the last multiple that has
    ///   passed. `nil` when none is due, a moment after the clock was set included.
    mutating func takeStep(_ now: Now) -> Int64? {
        let jump = now.difference - clockDifference
        clockDifference = now.difference
        if abs(jump) > Self.jumpTolerance {
            // The steps between the old time and the new one never were: they are not skipped.
            clockJumpCount += 1
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
