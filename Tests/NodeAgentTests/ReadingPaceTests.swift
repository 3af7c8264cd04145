import TestSupport
import Testing

@testable import NodeAgent

@Suite struct ReadingPaceTests {
    private func expect(
        _ value: Bool, _ wanted: Bool, location: SourceLocation = #_sourceLocation
    ) {
        #expect(value == wanted, sourceLocation: location)
    }

    @Test func threeSlowReadingsInARowHalveThePaceAndEveryFurtherOneHalvesItAgain() {
        var pace = ReadingPace()
        expect(pace.took(isSlow: true), false)
        expect(pace.took(isSlow: true), false)
        #expect(pace.period == 1)
        expect(pace.took(isSlow: true), true)
        for period in [2, 4, 8, 16, 32, 64, 64, 64] {
            #expect(pace.period == period)
            // So many steps are passed over before the next reading.
            for _ in 1..<period { expect(pace.skips(), true) }
            expect(pace.skips(), false)
            expect(pace.took(isSlow: true), false)
        }
        for period in [32, 16, 8, 4, 2, 1] {
            expect(pace.took(isSlow: false), false)
            #expect(pace.period == period)
        }
        #expect(!pace.isReduced)
        expect(pace.skips(), false)
    }

    @Test func oneSlowReadingBetweenQuickOnesChangesNothing() {
        var pace = ReadingPace()
        for step in 0..<100 { expect(pace.took(isSlow: step % 3 != 0), false) }
        #expect(pace.period == 1)
    }

    @Test func aMedianIsLearntWhateverTheOutliers() {
        var random = SeededRandom(seed: 7)
        var times = ReadingTimes(kinds: 2)
        for _ in 0..<5_000 {
            let isOutlier = Int.random(in: 0..<10, using: &random) == 0
            _ = times.learn(
                1, isOutlier ? 90_000_000 : Int64.random(in: 8_000..<12_000, using: &random))
        }
        #expect((8_000...13_000).contains(times.median(1)), "\(times.median(1))")
        #expect(times.median(0) == 0)
    }

    @Test func slowIsTenTimesTheMedianAndNeverUnderHalfAMillisecond() {
        var times = ReadingTimes(kinds: 1)
        for _ in 0..<1_000 { _ = times.learn(0, 10_000) }
        let quick = times.learn(0, 499_999)
        #expect(!quick)
        for _ in 0..<1_000 { _ = times.learn(0, 100_000) }
        let median = times.median(0)
        let under = times.learn(0, median * 9)
        #expect(!under)
        let over = times.learn(0, times.median(0) * 11)
        #expect(over)
    }
}
