import Testing

@testable import NodeAgent

@Suite struct SampleScheduleTests {
    private func now(
        _ realtime: Int64, monotonic: Int64? = nil, boottime: Int64? = nil
    ) -> SampleSchedule.Now {
        let monotonic = monotonic ?? realtime - 1_000
        return .init(
            realtimeMilliseconds: realtime, monotonicMilliseconds: monotonic,
            boottimeMilliseconds: boottime ?? monotonic)
    }

    @Test func stepsAreWholeMultiplesOfTheResolution() {
        var schedule = SampleSchedule(resolutionMilliseconds: 10_000, now: now(123_456))
        #expect(schedule.nextStepMilliseconds == 130_000)
        #expect(schedule.millisecondsToWait(now(123_456)) == 6_544)
        #expect(schedule.takeStep(now(129_999)) == nil)
        #expect(schedule.takeStep(now(130_000)) == 130_000)
        #expect(schedule.takeStep(now(130_001)) == nil)
        #expect(schedule.nextStepMilliseconds == 140_000)
    }

    @Test func aLateStepIsTakenOnceAndTheOthersAreCounted() {
        var schedule = SampleSchedule(resolutionMilliseconds: 1_000, now: now(10_500))
        #expect(schedule.takeStep(now(14_250)) == 14_000)
        #expect(schedule.skippedCount == 3)
        #expect(schedule.takeStep(now(14_300)) == nil)
        #expect(schedule.takeStep(now(15_000)) == 15_000)
        #expect(schedule.skippedCount == 3)
    }

    @Test func nothingDriftsOverADay() {
        var schedule = SampleSchedule(resolutionMilliseconds: 1_000, now: now(0))
        var time: Int64 = 0
        var lateness: Int64 = 0
        for step in 1...86_400 {
            // Every wake-up is late by 0 to 49 ms, as real ones are.
            lateness = (lateness &* 31 &+ 7) % 50
            time += schedule.millisecondsToWait(now(time)) + lateness
            #expect(schedule.takeStep(now(time)) == Int64(step) * 1_000)
        }
        #expect(schedule.skippedCount == 0)
        #expect(time < 86_400_050)
    }

    @Test func aClockThatWasSetStartsTheScheduleAnew() {
        for jump: Int64 in [3_600_000, -3_600_000, 501, -501] {
            var schedule = SampleSchedule(resolutionMilliseconds: 1_000, now: now(5_000_000))
            let after = now(5_000_500 + jump, monotonic: 4_999_500)
            #expect(schedule.millisecondsToWait(after) == 0)
            #expect(schedule.takeStep(after) == nil, "no step in the moment of the jump")
            #expect(schedule.clockJumpCount == 1)
            #expect(schedule.suspendCount == 0)
            #expect(schedule.lastJump == .clockSet(by: jump))
            #expect(schedule.skippedCount == 0)
            let step = schedule.nextStepMilliseconds
            #expect(step % 1_000 == 0 && step > after.realtimeMilliseconds)
            #expect(step - after.realtimeMilliseconds <= 1_000)
            let wait = step - after.realtimeMilliseconds
            #expect(schedule.takeStep(now(step, monotonic: 4_999_500 + wait)) == step)
        }
    }

    /// In suspend the wall clock and the boot clock go on together, the monotonic one does not.
    @Test func sleepIsToldApartFromAClockThatWasSet() {
        var schedule = SampleSchedule(resolutionMilliseconds: 1_000, now: now(5_000_000))
        let slept: Int64 = 3_600_000
        let after = now(
            5_000_500 + slept, monotonic: 4_999_500, boottime: 4_999_500 + slept)
        #expect(schedule.millisecondsToWait(after) == 0)
        #expect(schedule.takeStep(after) == nil)
        #expect(schedule.lastJump == .slept(slept))
        #expect(schedule.suspendCount == 1)
        #expect(schedule.suspendedMilliseconds == slept)
        #expect(schedule.clockJumpCount == 0)
        #expect(schedule.skippedCount == 0, "nobody could sample while the machine slept")
        let next = now(
            schedule.nextStepMilliseconds, monotonic: 5_000_000, boottime: 5_000_000 + slept)
        #expect(schedule.takeStep(next) == next.realtimeMilliseconds)
        #expect(schedule.lastJump == nil)
    }

    @Test func aSlewedClockIsNotAJump() {
        var schedule = SampleSchedule(resolutionMilliseconds: 1_000, now: now(0, monotonic: 0))
        var (realtime, monotonic): (Int64, Int64) = (0, 0)
        for step in 1...10_000 {
            // 500 ppm, the most that adjtimex slews.
            realtime += 1_000
            monotonic += step % 2 == 0 ? 1_001 : 1_000
            #expect(schedule.takeStep(now(realtime, monotonic: monotonic)) == Int64(step) * 1_000)
        }
        #expect(schedule.clockJumpCount == 0)
    }

    @Test func timesBeforeTheEpochAreMultiplesToo() {
        let schedule = SampleSchedule(resolutionMilliseconds: 1_000, now: now(-1_500))
        #expect(schedule.nextStepMilliseconds == -1_000)
    }
}
