import Testing
import Wire

@testable import NodeAgent

/// The ring against a plain list of frames.
@Suite struct ResendRingTests {
    /// A frame as the test remembers it.
    private struct Kept {
        var sequence: UInt64
        var subjects: [UInt8]
        var frame: [UInt8]
        var step: Int64
        var isKey: Bool
        var dictionary: DictionarySnapshot
    }

    @Test(arguments: 0..<9) func framesStayUntilTheyHaveToGoAndGoWithWhatNeedsThem(
        seed: Int
    ) throws {
        var random = SplitMix64(seed: UInt64(seed))
        let ring = ResendRing(capacity: [4_096, 16_384, 262_144][seed % 3])
        var kept: [Kept] = []
        var dictionary = DictionarySnapshot()
        var evictedUnsettled: UInt64 = 0
        var slots: [Slot] = []
        for number in 1...1_000 {
            var changes: [SubjectChange] = []
            if number == 1 { changes.append(.schema(0, Schema([SchemaField(.cpuUsage)]))) }
            if UInt8.random(in: 0..<8, using: &random) == 0 {
                if slots.count > 5 { changes.append(.remove(slots.removeFirst())) }
                let slot = Slot(number % 50)
                if !slots.contains(slot) {
                    slots.append(slot)
                    let subject = Subject(kind: .container, attributes: [.name: "c\(number)"])
                    changes.append(.add(slot, 0, subject))
                }
            }
            for change in changes { dictionary.apply(change) }
            var subjects: [UInt8] = []
            DictionarySnapshot.encode(changes, into: &subjects)
            let size = Int.random(in: 1...[40, 400, 3_000][Int(random.next() % 3)], using: &random)
            let frame = (0..<size).map { _ in UInt8.random(in: .min ... .max, using: &random) }
            let isKey = number == 1 || UInt8.random(in: 0..<20, using: &random) == 0
            let before = kept
            #expect(
                append(ring, subjects, frame, step: Int64(number), isKey: isKey))
            kept.append(
                Kept(
                    sequence: UInt64(number), subjects: subjects, frame: frame,
                    step: Int64(number), isKey: isKey, dictionary: dictionary))
            kept.removeAll { $0.sequence < ring.oldest }
            evictedUnsettled += try checkEviction(
                before, oldest: ring.oldest, settledEnd: ring.settledEnd)
            #expect(ring.evictedUnsettledCount == evictedUnsettled)
            #expect(ring.next == UInt64(number) + 1)
            #expect(ring.frameCount == kept.count)
            let bytes = kept.reduce(0) { $0 + $1.subjects.count + $1.frame.count }
            #expect(ring.byteCount == bytes)
            #expect(bytes <= ring.capacity)
            if UInt8.random(in: 0..<10, using: &random) == 0 {
                ring.settledEnd = UInt64.random(in: ring.settledEnd...ring.next, using: &random)
            }
            if number % 200 == 0 { try checkContents(ring, kept) }
        }
        #expect(ring.oldest > 1, "the ring never was full")
    }

    private func append(
        _ ring: ResendRing, _ subjects: [UInt8], _ frame: [UInt8], step: Int64, isKey: Bool
    ) -> Bool {
        subjects.withUnsafeBytes { subjects in
            frame.withUnsafeBytes {
                ring.append(
                    subjects: subjects, frame: $0, step: step, isKey: isKey,
                    restartsDictionary: false)
            }
        }
    }

    /// Settled frames go one at a time; when an unsettled one goes, its chain goes to its end.
    private func checkEviction(
        _ before: [Kept], oldest: UInt64, settledEnd: UInt64
    ) throws -> UInt64 {
        let gone = before.filter { $0.sequence < oldest }
        let lost = gone.filter { $0.sequence >= settledEnd }
        if !lost.isEmpty, let first = before.first(where: { $0.sequence >= oldest }) {
            #expect(first.isKey, "frame \(first.sequence) is left but cannot be decoded")
        }
        return UInt64(lost.count)
    }

    private func checkContents(_ ring: ResendRing, _ kept: [Kept]) throws {
        for frame in kept {
            let entry = try #require(ring.entry(frame.sequence))
            #expect(entry.step == frame.step)
            #expect(entry.isKey == frame.isKey)
            #expect(Array(ring.records(of: frame.sequence)) == frame.subjects + frame.frame)
            #expect(
                Array(ring.records(of: frame.sequence, withSubjects: false)) == frame.frame)
            #expect(
                ring.key(atOrBefore: frame.sequence)
                    == kept.last { $0.isKey && $0.sequence <= frame.sequence }?.sequence)
            #expect(
                ring.key(atOrAfter: frame.sequence)
                    == kept.first { $0.isKey && $0.sequence >= frame.sequence }?.sequence)
        }
        for frame in [kept.first, kept.last, kept[kept.count / 2]].compactMap({ $0 }) {
            var (actual, expected): ([UInt8], [UInt8]) = ([], [])
            ring.dictionary(at: frame.sequence).encode(into: &actual)
            frame.dictionary.encode(into: &expected)
            #expect(actual == expected)
        }
        #expect(ring.entry(ring.next) == nil)
        #expect(ring.entry(ring.oldest - 1) == nil)
    }

    @Test func whatEveryoneHasGoesByChainsWhenItIsOldButNeverTheNewest() {
        let ring = ResendRing(capacity: 65_536)
        for number in 1...30 {
            _ = append(ring, [], [1, 2, 3], step: Int64(number), isKey: number % 10 == 1)
        }
        ring.evictSettled(before: 100)
        #expect(ring.oldest == 1, "nothing is settled")
        ring.settledEnd = 16
        ring.evictSettled(before: 5)
        #expect(ring.oldest == 1, "the chain's end is not old enough")
        ring.evictSettled(before: 100)
        #expect(ring.oldest == 11, "the second chain is not settled to its end")
        ring.settledEnd = ring.next
        ring.evictSettled(before: 100)
        #expect(ring.oldest == 21)
        #expect(ring.evictedUnsettledCount == 0)
    }

    @Test func aFrameThatIsLargerThanTheRingIsLostAloneAndCounted() throws {
        let ring = ResendRing(capacity: 4_096)
        var subjects: [UInt8] = []
        let schema = Schema([SchemaField(.cpuUsage)])
        DictionarySnapshot.encode([.schema(0, schema)], into: &subjects)
        #expect(append(ring, subjects, [1], step: 1, isKey: true))
        var more: [UInt8] = []
        DictionarySnapshot.encode([.add(3, 0, Subject(kind: .container))], into: &more)
        #expect(!append(ring, more, [UInt8](repeating: 0, count: 5_000), step: 2, isKey: false))
        #expect(ring.isEmpty)
        #expect(ring.oldest == 3)
        #expect(ring.evictedUnsettledCount == 2)
        #expect(append(ring, [], [2], step: 3, isKey: true))
        // The dictionary of the lost frame holds on.
        var expected = DictionarySnapshot()
        expected.apply(.schema(0, schema))
        expected.apply(.add(3, 0, Subject(kind: .container)))
        #expect(ring.dictionary(at: 3) == expected)
    }

    @Test func memoryOfWhatIsGoneReturnsToTheKernelAndTheRestIsUntouched() throws {
        let ring = ResendRing(capacity: 1 << 20)
        let frame = [UInt8](repeating: 0xA5, count: 10_000)
        for number in 1...1_000 {
            _ = append(ring, [], frame, step: Int64(number), isKey: true)
            ring.settledEnd = ring.next
            ring.evictSettled(before: Int64(number) - 20)
            #expect(Array(ring.records(of: UInt64(number))) == frame)
            #expect(Array(ring.records(of: ring.oldest)) == frame)
        }
        #expect(ring.frameCount < 25)
    }

    /// Numbers without frames lie between; everything else is as in a ring without them.
    @Test func numbersThatArePassedOverHaveNoFrameAndCostNothing() throws {
        let ring = ResendRing(capacity: 4_096)
        let far: UInt64 = 1 << 40
        for number in 1...10 {
            _ = append(ring, [], [1], step: Int64(number), isKey: number % 5 == 1)
        }
        ring.skip(to: far, isVoid: true)
        #expect(ring.frameCount == 10 && ring.next == far)
        #expect(ring.frame(atOrAfter: 11) == far && ring.byteCount(from: 11) == 0)
        #expect(ring.key(atOrAfter: 11) == nil && ring.key(atOrBefore: far - 1) == nil)
        for number in 11...2_000 {
            #expect(append(ring, [], [2, 2], step: Int64(number), isKey: number % 5 == 1))
            if number == 1_000 { ring.skip(to: 2 * far, isVoid: false) }
        }
        #expect(ring.next == 2 * far + 1_000)
        #expect(ring.voids.ranges == [SequenceRange(11, far - 1)])
        #expect(ring.byteCount == 10 + 2 * (ring.frameCount - 10))
        #expect(ring.key(atOrAfter: far + 984) == far + 985)
        #expect(ring.key(atOrAfter: far + 989) == 2 * far)
        ring.settledEnd = ring.next
        ring.evictSettled(before: 5_000)
        #expect(try #require(ring.entry(ring.oldest)).step == 1_996)
    }

    @Test func oldChainsGoAcrossNumbersWithoutFrames() throws {
        let ring = ResendRing(capacity: 65_536)
        for number in 1...10 {
            _ = append(ring, [], [1], step: Int64(number), isKey: number % 5 == 1)
        }
        ring.skip(to: 1 << 33, isVoid: true)
        var subjects: [UInt8] = []
        DictionarySnapshot.encode(
            [.schema(0, Schema([SchemaField(.cpuUsage)])), .add(0, 0, Subject(kind: .node))],
            into: &subjects)
        for number in 11...1_500 {
            _ = append(
                ring, number == 11 ? subjects : [], [1], step: Int64(number), isKey: number == 11)
        }
        #expect(ring.dictionary(at: 10).subjectCount == 0)
        #expect(ring.dictionary(at: (1 << 33) + 1_489).subjectCount == 1)
        #expect(ring.key(atOrAfter: 7) == 1 << 33)
        #expect(ring.frameCount == 1_500)
        ring.settledEnd = ring.next
        ring.evictSettled(before: 100)
        #expect(ring.oldest == 1 << 33 && ring.frameCount == 1_490)
        #expect(Array(ring.records(of: ring.next - 1)) == [1])
        #expect(try #require(ring.entry(ring.oldest)).step == 11)
    }
}
