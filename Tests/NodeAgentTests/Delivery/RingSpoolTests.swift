import Foundation
import TestSupport
import Testing
import Wire

@testable import NodeAgent

@Suite struct RingSpoolTests {
    private static let runID = (0..<16).map { UInt8($0) }

    /// An outbox with frames of which some are acknowledged, and its ring full or not.
    private func filled(ringBytes: Int) throws -> TestOutbox {
        let test = TestOutbox(ringBytes: ringBytes, keys: .init(frames: 50, framesWhileAway: 20))
        test.connect()
        try test.take(30)
        _ = try test.sent()
        test.acknowledge(1, 25)
        test.disconnect()
        try test.take(400)
        return test
    }

    @Test(arguments: [4_096, 1 << 20]) func whatWasInTheRingIsInTheNextProcess(
        ringBytes: Int
    ) throws {
        let test = try filled(ringBytes: ringBytes)
        let bytes = RingSpool.encode(test.outbox, Self.runID, names: ["a:1"])
        let restored = try RingSpool.decode(bytes, capacity: ringBytes)
        #expect(restored.runID == Self.runID)
        #expect(restored.acknowledged["a:1"] == test.state().acknowledged)
        let (old, new) = (test.outbox.ring, restored.ring)
        #expect(new.oldest == old.oldest && new.next == old.next)
        for sequence in old.oldest..<old.next {
            #expect(Array(new.records(of: sequence)) == Array(old.records(of: sequence)))
            let (one, other) = (
                try #require(new.entry(sequence)), try #require(old.entry(sequence))
            )
            #expect(one.isKey == other.isKey && one.step == other.step)
        }
        let key = try #require(old.key(atOrAfter: old.oldest))
        var (one, other): ([UInt8], [UInt8]) = ([], [])
        new.dictionary(at: key).encode(into: &one)
        old.dictionary(at: key).encode(into: &other)
        #expect(one == other)
    }

    @Test func aSmallerRingKeepsTheNewest() throws {
        let test = try filled(ringBytes: 1 << 20)
        let bytes = RingSpool.encode(test.outbox, Self.runID, names: ["a:1"])
        let restored = try RingSpool.decode(bytes, capacity: 2_048)
        #expect(restored.ring.next == test.outbox.ring.next)
        #expect(restored.ring.oldest > test.outbox.ring.oldest)
        #expect(try #require(restored.ring.entry(restored.ring.oldest)).isKey)
    }

    @Test func theRunGoesOnWithANewDictionaryAndANewChain() throws {
        let test = try filled(ringBytes: 1 << 20)
        let bytes = RingSpool.encode(test.outbox, Self.runID, names: ["a:1"])
        let restored = try RingSpool.decode(bytes, capacity: 1 << 20)
        var settings = DeliverySettings()
        settings.backlogIntervalNanoseconds = 0
        var delivery = DeliveryState(settings: settings, seed: 1, now: 0)
        delivery.restore(
            acknowledged: restored.acknowledged["a:1"] ?? SequenceSet(),
            oldest: restored.ring.oldest)
        let outbox = Outbox(ring: restored.ring, deliveries: [delivery])
        // The new process finds other subjects.
        let changes: [SubjectChange] = [
            .schema(0, Schema([SchemaField(.memoryUsage), SchemaField(.cpuUsage)])),
            .add(0, 0, Subject(kind: .node)), .add(1, 0, Subject(kind: .container, parent: 0)),
        ]
        for change in changes { try outbox.encoder.apply(change) }
        #expect(outbox.append(step: 1, readDelay: 0, changes: changes) == 431)
        let entry = try #require(outbox.ring.entry(431))
        #expect(entry.isKey && entry.restartsDictionary)
        var expected = DictionarySnapshot()
        for change in changes { expected.apply(change) }
        var (one, other): ([UInt8], [UInt8]) = ([], [])
        outbox.ring.dictionary(at: 431).encode(into: &one)
        expected.encode(into: &other)
        #expect(one == other)
    }

    @Test func everyCutAndEveryFlippedBitIsNoticed() throws {
        let test = TestOutbox()
        try test.take(3)
        let bytes = RingSpool.encode(test.outbox, Self.runID, names: ["a:1"])
        func isBelieved(_ bytes: [UInt8]) -> Bool {
            do {
                _ = try RingSpool.decode(bytes, capacity: 2_048)
                return true
            } catch {
                return false
            }
        }
        #expect(isBelieved(bytes))
        for length in 0..<bytes.count { #expect(!isBelieved(Array(bytes.prefix(length)))) }
        for bit in 0..<bytes.count * 8 {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(!isBelieved(flipped), "bit \(bit)")
        }
        // With a checksum that fits, nonsense is refused or read, but never traps.
        var random = SplitMix64(seed: 3)
        var refused = 0
        for _ in 0..<3_000 {
            var changed = Array(bytes.dropLast(4))
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                changed[Int.random(in: 4..<changed.count, using: &random)] = .random(
                    in: .min ... .max, using: &random)
            }
            let sum = changed.withUnsafeBytes { CRC32C.checksum($0) }
            for shift: UInt32 in [0, 8, 16, 24] {
                changed.append(UInt8(truncatingIfNeeded: sum >> shift))
            }
            if !isBelieved(changed) { refused += 1 }
        }
        #expect(refused > 100 && refused < 3_000)
    }

    @Test func aDirectoryBelongsToOneAgentAndItsFileIsTakenOnce() throws {
        let folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("spool-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let test = try filled(ringBytes: 4_096)
        do {
            let spool = try RingSpool.open(directory: folder.path)
            #expect(throws: RingSpoolError.inUse(directory: folder.path)) {
                _ = try RingSpool.open(directory: folder.path)
            }
            #expect(spool.take(capacity: 4_096) == nil)
            spool.save(test.outbox, Self.runID, names: ["a:1"])
        }
        let spool = try RingSpool.open(directory: folder.path)
        #expect(spool.take(capacity: 4_096)?.ring.next == test.outbox.ring.next)
        #expect(spool.take(capacity: 4_096) == nil, "a crash would number frames twice")
        #expect(throws: RingSpoolError.cannotWrite(directory: "/nowhere", errno: ENOENT)) {
            _ = try RingSpool.open(directory: "/nowhere")
        }
    }
}
