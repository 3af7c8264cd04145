import TestSupport
import Testing

@testable import Wire

@Suite struct ByteQueueTests {
    /// Runs random appends and removals against an array of the same bytes.
    @Test(arguments: [UInt64(1), 2, 3, 4, 5], [false, true])
    func behavesAsAnArrayWithALimit(seed: UInt64, pooled: Bool) {
        var random = SeededRandom(seed: seed)
        let pool = BlockPool(blockByteCount: 256, keptCountMax: 2)
        var queue = ByteQueue(byteCountMax: 1_000, pool: pooled ? pool : nil)
        var model: [UInt8] = []
        var refusals = 0
        for step in 0..<5_000 {
            switch random.next() % 5 {
            case 0, 1:
                let bytes = (0..<Int(random.next() % 300)).map { _ in UInt8(random.next() & 255) }
                let fits = model.count + bytes.count <= 1_000
                let taken = queue.append(bytes)
                #expect(taken == fits)
                if fits { model += bytes } else { refusals += 1 }
            case 2:
                let fits = model.count < 1_000
                let taken = queue.append(UInt8(step & 255))
                #expect(taken == fits)
                if fits { model.append(UInt8(step & 255)) }
            case 3:
                let count = Int(random.next() % UInt64(model.count + 1))
                queue.consume(count)
                model.removeFirst(count)
            default:
                queue.releaseWhenEmpty()
            }
            let (count, isEmpty, bytes) = (queue.count, queue.isEmpty, Array(queue.readable))
            #expect(count == model.count)
            #expect(isEmpty == model.isEmpty)
            #expect(bytes == model)
        }
        #expect(refusals > 100)
    }

    @Test func roomNeverPassesTheLimit() throws {
        var queue = ByteQueue(byteCountMax: 100, pool: BlockPool(blockByteCount: 4_096))
        var rooms: [Int?] = [queue.room(forAtLeast: 1)?.count]
        queue.commit(60)
        rooms.append(queue.room(forAtLeast: 40)?.count)
        rooms.append(queue.room(forAtLeast: 41)?.count)
        queue.consume(10)
        rooms.append(queue.room(forAtLeast: 50)?.count)
        #expect(rooms == [100, 40, nil, 50])
    }
}
