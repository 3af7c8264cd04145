import Testing

@testable import NodeAgent

@Suite struct BackOffTests {
    @Test func theWindowDoublesUpToTheLimitAndEveryPartOfItIsUsed() {
        var longest = [UInt64](repeating: 0, count: 12)
        var shortest = [UInt64](repeating: .max, count: 12)
        for seed in 0..<400 {
            var backOff = BackOff(seed: UInt64(seed))
            for attempt in 0..<12 {
                let wait = backOff.next()
                #expect(wait <= min(backOff.limit, backOff.base << UInt64(attempt)))
                #expect(wait >= BackOff.shortest)
                longest[attempt] = max(longest[attempt], wait)
                shortest[attempt] = min(shortest[attempt], wait)
            }
        }
        for attempt in 0..<12 {
            let window = min(BackOff(seed: 0).limit, BackOff(seed: 0).base << UInt64(attempt))
            #expect(longest[attempt] > window / 10 * 9, "attempt \(attempt)")
            #expect(
                shortest[attempt] < max(window / 10, BackOff.shortest + 1), "attempt \(attempt)")
        }
    }

    @Test func whatTheOtherEndAsksForIsWaitedAtLeast() {
        var backOff = BackOff(seed: 1)
        for _ in 0..<20 {
            let wait = backOff.next(atLeast: 30_000_000_000)
            #expect(wait >= 30_000_000_000 && wait <= 35_000_000_000)
        }
        #expect(backOff.attempts == 20)
        backOff.reset()
        #expect(backOff.next() <= backOff.base)
    }
}
