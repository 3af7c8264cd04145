import Synchronization
import TestSupport
import Testing

@testable import Aggregator

@Suite struct WaitingRoomTests {
    /// Against a list: whoever has waited longest goes when there are too many, and nobody else.
    @Test func theLongestWaitingGoes() {
        var random = SeededRandom(seed: 5)
        let room = WaitingRoom(countMax: 20)
        let sentAway = Mutex<[Int]>([])
        var (waiting, expected): ([(name: Int, number: UInt64)], [Int]) = ([], [])
        for name in 0..<5_000 {
            if !waiting.isEmpty, UInt8.random(in: 0..<8, using: &random) < 3 {
                let index = Int.random(in: 0..<waiting.count, using: &random)
                room.leave(waiting.remove(at: index).number)
            }
            let number = room.enter { sentAway.withLock { $0.append(name) } }
            waiting.append((name, number))
            if waiting.count > 20 {
                let gone = waiting.removeFirst()
                expected.append(gone.name)
                // Its connection closes a little later.
                if Bool.random(using: &random) { room.leave(gone.number) }
            }
            #expect(room.count == waiting.count)
            #expect(sentAway.withLock { $0 } == expected)
        }
        #expect(expected.count > 100)
        for (_, number) in waiting { room.leave(number) }
        #expect(room.count == 0)
    }
}
