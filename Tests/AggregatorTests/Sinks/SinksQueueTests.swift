import Glibc
import TestSupport
import Testing

@testable import Aggregator

struct SinksQueueTests {
    private static let limits = SinkQueue.Limits(
        byteCountMax: 1 << 20, memoryByteCountMax: 300, segmentByteCountMax: 200)

    private static func request(_ number: Int, byteCount: Int = 40) -> SinkRequest {
        var body = Array("request \(number) ".utf8)
        while body.count < byteCount {
            body.append(UInt8(truncatingIfNeeded: number &* 31 &+ body.count))
        }
        return SinkRequest(cycle: Int64(number) * 1_000, pointCount: number + 1, body: body)
    }

    private static func open(
        _ files: FaultyFiles?, order: DeliveryOrder = .oldestFirst,
        limits: SinkQueue.Limits = limits
    ) throws -> SinkQueue {
        try SinkQueue(limits: limits, order: order, files: files)
    }

    private static func lease(_ queue: inout SinkQueue) throws -> SinkQueue.Lease {
        let lease = queue.lease()
        return try #require(lease)
    }

    private static func drain(_ queue: inout SinkQueue) -> [SinkRequest] {
        var requests: [SinkRequest] = []
        while let lease = queue.lease() {
            requests.append(lease.request)
            queue.accept(lease.id)
        }
        return requests
    }

    @Test(arguments: [true, false])
    func oldestFirstKeepsTheOrder(onDisk: Bool) throws {
        var queue = try Self.open(onDisk ? FaultyFiles() : nil)
        let requests = (0..<6).map { Self.request($0) }
        for request in requests { queue.append(request) }
        let expected = onDisk ? requests : Array(requests.suffix(4))
        let drained = Self.drain(&queue)
        #expect(drained == expected)
        // In memory only, 300 bytes hold four records of 64.
        #expect(queue.counters.droppedRequests == (onDisk ? 0 : 2))
        #expect(queue.isEmpty && queue.byteCount == 0)
    }

    @Test func freshestFirstSendsTheNewestAndThenTheBacklog() throws {
        var queue = try Self.open(FaultyFiles(), order: .freshestFirst)
        for number in 0..<20 { queue.append(Self.request(number)) }
        let first = try Self.lease(&queue)
        #expect(first.request == Self.request(19))
        queue.append(Self.request(20))
        queue.release(first.id)
        let rest = Self.drain(&queue)
        #expect(rest == (0...20).reversed().map { Self.request($0) })
    }

    @Test func aLeasedRequestIsNobodyElses() throws {
        var queue = try Self.open(FaultyFiles())
        queue.append(Self.request(0))
        queue.append(Self.request(1))
        let a = try Self.lease(&queue)
        let b = try Self.lease(&queue)
        #expect(a.request != b.request)
        let none = queue.lease()
        #expect(none == nil)
        queue.release(b.id)
        queue.release(a.id)
        let drained = Self.drain(&queue)
        #expect(drained == [Self.request(0), Self.request(1)])
    }

    @Test func whatIsLeftOfARequestReplacesIt() throws {
        let files = FaultyFiles()
        var queue = try Self.open(files)
        queue.append(Self.request(0))
        let lease = try Self.lease(&queue)
        let rest = SinkRequest(cycle: 0, pointCount: 1, body: [1, 2, 3])
        queue.release(lease.id, remaining: rest)
        let again = queue.lease()
        #expect(again?.request == rest)
        // A crash sends the whole again.
        var reopened = try Self.open(FaultyFiles(files.contents))
        let drained = Self.drain(&reopened)
        #expect(drained == [Self.request(0)])
    }

    @Test func aFullQueueDropsTheOldestAndCounts() throws {
        var limits = Self.limits
        limits.byteCountMax = 64 * 5
        var queue = try Self.open(FaultyFiles(), limits: limits)
        for number in 0..<9 { queue.append(Self.request(number)) }
        #expect(queue.byteCount <= limits.byteCountMax)
        let kept = Self.drain(&queue)
        #expect(kept.last == Self.request(8))
        #expect(kept.count + queue.counters.droppedRequests == 9)
        #expect(
            queue.counters.droppedPoints
                == (0..<queue.counters.droppedRequests).reduce(0) { $0 + $1 + 1 })
    }

    @Test func nothingIsLeftOnDiskWhenAllIsDone() throws {
        let files = FaultyFiles()
        var queue = try Self.open(files)
        for number in 0..<30 { queue.append(Self.request(number)) }
        _ = Self.drain(&queue)
        #expect(files.contents.isEmpty)
    }

    /// Appends and accepts in a fixed pattern until the files die.
    private func run(
        _ files: FaultyFiles, order: DeliveryOrder
    ) throws -> (safe: Set<Int>, doubtful: Set<Int>) {
        var queue = try Self.open(files, order: order)
        var safe = Set<Int>()
        for number in 0..<24 {
            queue.append(Self.request(number))
            if files.isDead { return (safe, [number]) }
            safe.insert(number)
            // Two out of three are delivered at once, others later.
            if number % 3 != 0, let lease = queue.lease() {
                let delivered = Int(lease.request.cycle / 1_000)
                queue.accept(lease.id)
                safe.remove(delivered)
                if files.isDead { return (safe, [delivered]) }
            }
        }
        return (safe, [])
    }

    /// The process dies at every change of a file, after every number of bytes of that change. What was
    /// appended and not delivered is there afterwards, whole; at most the request at which it died
    /// may be missing (never safely in) or there (sent once more).
    @Test(arguments: [DeliveryOrder.oldestFirst, .freshestFirst])
    func aCrashAtAnyByteLosesNothingAndRepeatsOneAtMost(order: DeliveryOrder) throws {
        let untouched = FaultyFiles()
        _ = try run(untouched, order: order)
        var crashes = 0
        for change in 0..<untouched.changeCount {
            for torn in 0...64 {
                let files = FaultyFiles()
                files.fault = .dies
                files.faultAt = change
                files.tornByteCount = torn
                let (safe, doubtful) = try run(files, order: order)
                #expect(files.isDead)
                crashes += 1
                var reopened = try Self.open(FaultyFiles(files.contents), order: order)
                let found = Self.drain(&reopened)
                let numbers = found.map { Int($0.cycle / 1_000) }
                #expect(Set(numbers).count == numbers.count)
                #expect(Set(numbers).isSuperset(of: safe), "lost at change \(change), byte \(torn)")
                #expect(Set(numbers).subtracting(safe).isSubset(of: doubtful))
                #expect(found.allSatisfy { $0 == Self.request(Int($0.cycle / 1_000)) })
            }
        }
        #expect(crashes > 2_000)
    }

    /// Every change fails once in turn, after some bytes, and things go on.
    @Test(arguments: [0, 1, 23, 24, 25, 63], [1, 2, 40])
    func aFullDiskLosesNothingThatFitsInMemory(torn: Int, failures: Int) throws {
        var limits = Self.limits
        limits.memoryByteCountMax = 1 << 20
        for change in 0..<60 {
            let files = FaultyFiles()
            files.fault = .fails(errno: ENOSPC)
            files.faultAt = change
            files.faultCount = failures
            files.tornByteCount = torn
            var queue = try Self.open(files, limits: limits)
            var delivered: [Int] = []
            for number in 0..<24 {
                queue.append(Self.request(number))
                if number % 3 != 0, let lease = queue.lease() {
                    delivered.append(Int(lease.request.cycle / 1_000))
                    queue.accept(lease.id)
                }
            }
            delivered += Self.drain(&queue).map { Int($0.cycle / 1_000) }
            #expect(delivered == Array(0..<24))
            #expect(queue.counters.fileErrors > 0 || files.changeCount <= change)
            #expect(queue.counters.droppedRequests == 0)
        }
    }

    @Test func everyFlippedBitOfASegmentCostsOneRecordAtMost() throws {
        let files = FaultyFiles()
        var limits = Self.limits
        limits.segmentByteCountMax = 1 << 20
        var queue = try Self.open(files, limits: limits)
        for number in 0..<4 { queue.append(Self.request(number)) }
        let name = try #require(files.contents.keys.first)
        let whole = try #require(files.contents[name])
        for bit in 0..<(whole.count * 8) {
            var damaged = whole
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            var reopened = try Self.open(FaultyFiles([name: damaged]), limits: limits)
            let found = Self.drain(&reopened)
            let lost = bit / 8 / 64
            #expect(found == (0..<4).filter { $0 != lost }.map { Self.request($0) }, "bit \(bit)")
            #expect(reopened.counters.damagedRecords == 1)
        }
    }

    @Test func randomBytesInTheDirectoryAreSurvived() throws {
        var random = SeededRandom(seed: 0x5EED)
        for _ in 0..<300 {
            let bytes = (0..<Int(random.next() % 300)).map { _ in
                UInt8(truncatingIfNeeded: random.next())
            }
            let notes = (0..<Int(random.next() % 30)).map { _ in
                UInt8(truncatingIfNeeded: random.next())
            }
            var record: [UInt8] = bytes
            QueueRecord.encode(Self.request(7), into: &record)
            let files = FaultyFiles([
                "0000000000000001.queue": record + bytes, "0000000000000001.done": notes,
                "0000000000000009.done": notes, "lost+found": [], "x.queue": bytes,
            ])
            var queue = try Self.open(files)
            let drained = Self.drain(&queue)
            #expect(drained == [Self.request(7)])
        }
    }

    @Test func realFilesInADirectoryDoTheSame() throws {
        let directory = "/tmp/heapwire-queue-test-\(getpid())/a/b"
        let files = try DirectoryFiles(directory: directory)
        var queue = try SinkQueue(limits: Self.limits, order: .oldestFirst, files: files)
        for number in 0..<20 { queue.append(Self.request(number)) }
        queue.synchronize()
        for _ in 0..<7 {
            let lease = try Self.lease(&queue)
            queue.accept(lease.id)
        }
        var reopened = try SinkQueue(
            limits: Self.limits, order: .oldestFirst, files: DirectoryFiles(directory: directory))
        let drained = Self.drain(&reopened)
        #expect(drained == (7..<20).map { Self.request($0) })
        #expect(try files.list() == [])
        #expect(reopened.counters.fileErrors == 0)
        rmdir(directory)
    }
}
