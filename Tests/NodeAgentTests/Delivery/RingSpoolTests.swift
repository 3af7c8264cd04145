import Foundation
import TestSupport
import Testing
import Wire

@testable import NodeAgent

/// An outbox whose frames go to a spool, and the process that comes after.
private struct Spooled {
    static let runID = (0..<16).map { UInt8($0) }
    let files: MemorySpoolFiles
    let test: TestOutbox
    let spool: RingSpool

    init(
        ringBytes: Int = 64 << 10, waitingBytes: Int = 1 << 20,
        files: MemorySpoolFiles = MemorySpoolFiles(),
        keys: Outbox.KeySpacing = .init(frames: 50, framesWhileAway: 20)
    ) throws {
        self.files = files
        test = TestOutbox(ringBytes: ringBytes, keys: keys)
        spool = RingSpool(
            files: files, capacity: test.outbox.ring.capacity, waitingByteCountMax: waitingBytes)
        #expect(try spool.take(random: 0) == nil)
        try spool.start(runID: Self.runID, names: ["a:1"], isThreaded: false)
    }

    /// - Parameter drainEvery: frames from one run of the writer to the next.
    func take(_ count: Int, drainEvery: Int = 1) throws {
        for number in 0..<count {
            try test.take()
            spool.keepNewest(of: test.outbox)
            if number % drainEvery == 0 { spool.drain() }
        }
    }

    func takeBack(
        _ left: [String: [UInt8]]? = nil, capacity: Int? = nil, random: UInt32 = 7
    ) throws -> SpoolReader.Restored? {
        let capacity = capacity ?? test.outbox.ring.capacity
        let spool = RingSpool(files: MemorySpoolFiles(left ?? files.files), capacity: capacity)
        return try spool.take(random: random)
    }

    /// All frames of a restored ring are what they were.
    func check(_ restored: ResendRing, _ frames: ClosedRange<UInt64>) throws {
        let old = test.outbox.ring
        for sequence in frames {
            let (one, other) = (
                try #require(restored.entry(sequence)), try #require(old.entry(sequence))
            )
            #expect(one.isKey == other.isKey && one.step == other.step)
            #expect(
                Array(restored.records(of: sequence, withSubjects: false))
                    == Array(old.records(of: sequence, withSubjects: false)))
        }
        for sequence in [frames.lowerBound, frames.upperBound] {
            var (one, other): ([UInt8], [UInt8]) = ([], [])
            restored.dictionary(at: sequence).encode(into: &one)
            old.dictionary(at: sequence).encode(into: &other)
            #expect(one == other)
        }
    }
}

@Suite struct RingSpoolTests {
    @Test(arguments: [8_192, 1 << 20]) func whatWasInTheRingIsInTheNextProcess(
        ringBytes: Int
    ) throws {
        let spooled = try Spooled(ringBytes: ringBytes)
        let test = spooled.test
        test.connect()
        try spooled.take(30)
        _ = try test.sent()
        test.acknowledge(1, 25)
        test.disconnect()
        try spooled.take(900, drainEvery: 7)
        spooled.spool.finish(test.outbox, isThreaded: false)
        let restored = try #require(try spooled.takeBack(capacity: 2 << 20))
        #expect(restored.runID == Spooled.runID)
        #expect(restored.acknowledged["a:1"] == test.state().acknowledged)
        #expect(restored.ring.next == 931, "nothing was skipped")
        #expect(restored.ring.oldest <= test.outbox.ring.oldest)
        try spooled.check(restored.ring, test.outbox.ring.oldest...930)
        #expect(spooled.files.files["end"] != nil)
    }

    @Test func aKillLosesWhatWasNotHandedOverAndGivesNoNumberTwice() throws {
        let spooled = try Spooled()
        try spooled.take(77)
        try spooled.test.take(3)
        let restored = try #require(try spooled.takeBack(random: 5))
        try spooled.check(restored.ring, 1...77)
        #expect(restored.ring.next == 78 + 1 << 32 + 5)
        #expect(restored.ring.frameCount == 77)
        #expect(restored.ring.entry(78) == nil && restored.ring.voids.contains(78))
        #expect(restored.ring.voids.count == 1 << 32 + 5)
    }

    @Test func aCutAtEveryByteLeavesTheFramesBeforeIt() throws {
        let spooled = try Spooled()
        try spooled.take(8)
        let (name, bytes) = try #require(spooled.files.files.first)
        var ends: [Int] = []
        for length in 0...bytes.count {
            guard let restored = try spooled.takeBack([name: Array(bytes.prefix(length))]) else {
                #expect(ends.isEmpty)
                continue
            }
            let count = restored.ring.frameCount
            if count > ends.count { ends.append(length) }
            #expect(count == ends.count)
            try spooled.check(restored.ring, 1...UInt64(count))
        }
        #expect(ends.count == 8 && ends.last == bytes.count)
    }

    @Test func everyFlippedBitIsNoticedAndWhatComesBeforeIsUsed() throws {
        let spooled = try Spooled()
        try spooled.take(4)
        let (name, bytes) = try #require(spooled.files.files.first)
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            let restored = try spooled.takeBack([name: flipped])
            let count = UInt64(restored?.ring.frameCount ?? 0)
            // The high bits of a record's flags mean nothing on these records.
            if let restored, count > 0 { try spooled.check(restored.ring, 1...count) }
            #expect(count < 4, "bit \(bit)")
        }
    }

    /// With checksums that fit, nonsense is refused or read, but never traps.
    @Test func nonsenseWithRightChecksumsDoesNotTrap() throws {
        let spooled = try Spooled()
        try spooled.take(5)
        let (name, bytes) = try #require(spooled.files.files.first)
        var random = SplitMix64(seed: 11)
        let headEnd = try bytes.withUnsafeBytes { raw in
            var reader = ByteReader(raw)
            _ = try SpoolHead(magic: SpoolHead.segmentMagic, &reader)
            return reader.offset
        }
        var refused = 0
        for _ in 0..<3_000 {
            var segment = Array(bytes[..<headEnd])
            if Bool.random(using: &random) {
                let length = headEnd - 9
                for _ in 0..<2 {
                    segment[9 + Int.random(in: 0..<length, using: &random)] = .random(
                        in: .min ... .max, using: &random)
                }
                let sum = segment[9...].withUnsafeBytes { CRC32C.checksum($0) }
                for byte in 0..<4 {
                    segment[5 + byte] = UInt8(truncatingIfNeeded: sum >> (8 * UInt32(byte)))
                }
            }
            for record in TestOutbox.records(Array(bytes[headEnd...])) {
                var changed = record
                if !changed.payload.isEmpty, UInt8.random(in: 0..<4, using: &random) == 0 {
                    changed.payload[Int.random(in: changed.payload.indices, using: &random)] =
                        .random(in: .min ... .max, using: &random)
                }
                changed.encode(into: &segment)
            }
            let restored = try spooled.takeBack([name: segment])
            if restored?.ring.frameCount != 5 { refused += 1 }
        }
        #expect(refused > 100 && refused < 3_000, "\(refused)")
    }

    @Test func aDamagedSegmentLosesItsFramesAndNotThoseOfTheNext() throws {
        let spooled = try Spooled(ringBytes: 1 << 14)
        try spooled.take(300)
        var left = spooled.files.files
        let names = left.keys.sorted()
        #expect(names.count > 2)
        let middle = names[1]
        left[middle]?.removeLast(40)
        let lastOfMiddle = try #require(SpoolWriter.firstFrame(ofSegment: names[2])) - 1
        let restored = try #require(try spooled.takeBack(left, capacity: 1 << 20))
        #expect(restored.ring.entry(lastOfMiddle) == nil)
        #expect(!restored.ring.voids.contains(lastOfMiddle), "it is known to be lost")
        try spooled.check(restored.ring, lastOfMiddle + 1...300)
        #expect(restored.ring.frame(atOrAfter: lastOfMiddle) == lastOfMiddle + 1)
    }

    @Test func aSmallerRingKeepsTheNewest() throws {
        let spooled = try Spooled(ringBytes: 1 << 20)
        try spooled.take(400)
        let restored = try #require(try spooled.takeBack(capacity: 4_096))
        #expect(restored.ring.oldest > 1)
        let ring = restored.ring
        #expect(try #require(ring.entry(ring.oldest)).isKey)
        try spooled.check(ring, ring.oldest...400)
    }

    @Test func theDirectoryIsBoundedByTheRing() throws {
        for ringBytes in [16 << 10, 256 << 10] {
            let spooled = try Spooled(
                ringBytes: ringBytes, keys: .init(frames: 300, framesWhileAway: 60))
            try spooled.take(5_000)
            let peak = spooled.files.state.withLock { $0.peakByteCount }
            let ring = spooled.test.outbox.ring
            #expect(peak <= ring.capacity * 5 / 4 + 4_096, "\(peak) for \(ring.capacity)")
            let restored = try #require(try spooled.takeBack(capacity: 2 * ringBytes))
            try spooled.check(restored.ring, ring.oldest...(ring.next - 1))
        }
    }
}

/// The disk fails; the samples do not.
@Suite struct RingSpoolFaultTests {
    /// Each call in turn fails; what is on disk afterwards is right, and what is not is counted.
    @Test(arguments: [1, 5]) func everyCallCanFail(failingCalls: Int) throws {
        var number = 0
        while true {
            let files = MemorySpoolFiles()
            files.state.withLock {
                // The first call lists an empty directory, the second removes nothing.
                $0.failsAt = number + 2
                $0.failingCalls = failingCalls
            }
            let spooled = try Spooled(ringBytes: 4_096, files: files)
            try spooled.take(150, drainEvery: 3)
            spooled.spool.drain()
            let (failed, failures) = (
                files.state.withLock { $0.failedCount }, spooled.spool.counters.failures
            )
            #expect(failures == UInt64(failed))
            files.state.withLock { $0.failsAt = .max }
            try spooled.take(110)
            let ring = spooled.test.outbox.ring
            #expect(ring.next == 261, "sampling went on")
            let restored = try #require(try spooled.takeBack(capacity: 1 << 20))
            var held = 0
            for sequence in ring.oldest...260 where restored.ring.entry(sequence) != nil {
                try spooled.check(restored.ring, sequence...sequence)
                held += 1
            }
            let dropped = spooled.spool.counters.droppedFrames
            #expect(UInt64(held) + dropped >= 261 - ring.oldest, "call \(number)")
            #expect(restored.ring.entry(260) != nil, "it works again, call \(number)")
            if failed == 0 { return }
            number += 1
        }
    }

    @Test func aFullDiskIsCountedAndUsedAgainWhenThereIsRoom() throws {
        let spooled = try Spooled(ringBytes: 256 << 10)
        try spooled.take(100)
        spooled.files.state.withLock { $0.capacity = $0.byteCount + 100 }
        try spooled.take(500)
        #expect(spooled.spool.counters.droppedFrames > 400)
        #expect(spooled.spool.counters.failures > 0)
        var restored = try #require(try spooled.takeBack())
        try spooled.check(restored.ring, 1...100)
        spooled.files.state.withLock { $0.capacity = .max }
        try spooled.take(100)
        restored = try #require(try spooled.takeBack())
        let first = restored.ring.frame(atOrAfter: 200)
        #expect(first <= 680)
        try spooled.check(restored.ring, first...700)
    }

    /// The writer hangs: what waits for it is bounded.
    @Test func aDiskThatHangsTakesABoundedShareOfMemory() throws {
        let spooled = try Spooled(ringBytes: 256 << 10, waitingBytes: 16 << 10)
        for _ in 0..<2_000 {
            try spooled.test.take()
            spooled.spool.keepNewest(of: spooled.test.outbox)
        }
        #expect(spooled.spool.counters.droppedFrames > 500)
        spooled.spool.drain()
        let peak = spooled.files.state.withLock { $0.peakByteCount }
        #expect(peak <= 16 << 10, "\(peak)")
        // And after that it works again.
        try spooled.take(200)
        let restored = try #require(try spooled.takeBack())
        #expect(restored.ring.entry(2_200) != nil)
    }

    @Test func aDirectoryBelongsToOneAgentAndARealOneHoldsWhatWasKept() throws {
        let folder = try TemporaryFolder()
        let test = TestOutbox(ringBytes: 65_536)
        do {
            let spool = try RingSpool.open(directory: folder.url.path, capacity: 65_536)
            #expect(throws: RingSpoolError.inUse(directory: folder.url.path)) {
                _ = try RingSpool.open(directory: folder.url.path, capacity: 65_536)
            }
            #expect(try spool.take(random: 1) == nil)
            try spool.start(runID: Spooled.runID, names: ["a:1"])
            for _ in 0..<50 {
                try test.take()
                spool.keepNewest(of: test.outbox)
            }
            spool.finish(test.outbox)
            #expect(spool.counters == .init(droppedFrames: 0, failures: 0))
        }
        let spool = try RingSpool.open(directory: folder.url.path, capacity: 65_536)
        let restored = try #require(try spool.take(random: 1))
        #expect(restored.ring.next == 51 && restored.ring.oldest == 1)
        // The end counts once: a crash from here on would number frames twice.
        #expect(try #require(try spool.take(random: 1)).ring.next == 52 + 1 << 32)
        #expect(throws: RingSpoolError.cannotWrite(directory: "/nowhere", errno: ENOENT)) {
            _ = try RingSpool.open(directory: "/nowhere", capacity: 1)
        }
    }
}
