import Synchronization
import TestSupport
import Testing

@testable import Wire

@Suite struct EventLoopTests {
    /// The oracle is a plain dictionary of deadlines, searched for its smallest.
    @Test(arguments: [UInt64(11), 12, 13])
    func timersFireInTheOrderOfTheirDeadlines(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        var heap = TimerHeap()
        var model: [Int: UInt64] = [:]
        var ids: [TimerID] = []
        nonisolated(unsafe) var fired = -1
        for number in 0..<200 { ids.append(heap.make { fired = number }) }
        var now: UInt64 = 0
        for _ in 0..<20_000 {
            let number = Int(random.next() % 200)
            switch random.next() % 4 {
            case 0, 1:
                let deadline = now + random.next() % 1_000
                heap.schedule(ids[number], deadline: deadline)
                model[number] = deadline
            case 2:
                heap.rest(ids[number])
                model[number] = nil
            default:
                now += random.next() % 20
                while let action = heap.popDue(now: now) {
                    action()
                    let expected = model.values.min()
                    #expect(model[fired] == expected && expected ?? .max <= now)
                    model[fired] = nil
                }
            }
            #expect(heap.earliestDeadline == model.values.min())
        }
    }

    @Test func aCancelledTimersNameIsNeverRightAgain() {
        var heap = TimerHeap()
        let old = heap.make {}
        heap.schedule(old, deadline: 5)
        heap.cancel(old)
        let new = heap.make {}
        #expect(old != new)
        let isOldRight = heap.schedule(old, deadline: 5)
        #expect(!isOldRight)
        heap.cancel(old)
        #expect(heap.count == 1)
        let isRestingDue = heap.popDue(now: .max) != nil
        #expect(!isRestingDue)
        let isNewRight = heap.schedule(new, deadline: 5)
        let dueEarly = heap.popDue(now: 4) != nil
        let due = heap.popDue(now: 5) != nil
        #expect(isNewRight && !dueEarly && due)
    }

    @Test func timersFollowTheClockPassedIn() throws {
        let hands = ManualClock()
        let loop = try EventLoop(clock: .manual(hands))
        nonisolated(unsafe) var count = 0
        let timer = loop.makeTimer { count += 1 }
        loop.schedule(timer, afterNanoseconds: 1_000)
        loop.turn(waitMillisecondsMax: 0)
        #expect(count == 0)
        hands.advance(nanoseconds: 1_000)
        loop.turn(waitMillisecondsMax: 0)
        loop.turn(waitMillisecondsMax: 0)
        #expect(count == 1)
        loop.cancel(timer)
    }

    @Test func postedWorkRunsInOrderOnTheLoopsThreadAndStopEnds() throws {
        let loop = try EventLoop()
        let thread = try SystemThread.start(name: "loop") { loop.run() }
        let seen = Mutex<[Int]>([])
        let posters = try (0..<4).map { poster in
            try SystemThread.start(name: "poster") {
                for number in 0..<1_000 {
                    loop.post {
                        loop.requireOwnThread()
                        seen.withLock { $0.append(poster * 1_000 + number) }
                    }
                }
            }
        }
        for poster in posters { poster.join() }
        loop.post { loop.stop() }
        thread.join()
        let all = seen.withLock { $0 }
        #expect(all.count == 4_000)
        for poster in 0..<4 {
            let own = all.filter { $0 / 1_000 == poster }
            #expect(own == (0..<1_000).map { poster * 1_000 + $0 })
        }
    }
}
