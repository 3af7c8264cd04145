import Testing
import Wire

/// Against a plain set of numbers.
@Suite struct SequenceSetTests {
    @Test(arguments: 0..<40) func everyOperationDoesWhatASetOfNumbersDoes(seed: Int) {
        var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1
        func next(_ bound: UInt64) -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (state >> 33) % bound
        }
        var set = SequenceSet()
        var model = Set<UInt64>()
        for _ in 0..<400 {
            let first = next(60)
            let range = SequenceRange(first, first + next(8))
            let numbers = Set(range.first...range.last)
            if next(3) == 0 {
                #expect(set.remove(range) == UInt64(model.intersection(numbers).count))
                model.subtract(numbers)
            } else {
                #expect(set.insert(range) == UInt64(numbers.subtracting(model).count))
                model.formUnion(numbers)
            }
            let listed = set.ranges.flatMap { Array($0.first...$0.last) }
            #expect(listed == model.sorted())
            #expect(set.count == UInt64(model.count))
            for (one, other) in zip(set.ranges, set.ranges.dropFirst()) {
                #expect(one.last + 1 < other.first, "ranges touch: \(set.ranges)")
            }
            let probe = next(70)
            #expect(set.contains(probe) == model.contains(probe))
            #expect(set.firstMissing(from: probe) == (probe...200).first { !model.contains($0) })
            let window = SequenceRange(probe, probe + next(20))
            let missing = set.missing(in: window).flatMap { Array($0.first...$0.last) }
            #expect(missing == (window.first...window.last).filter { !model.contains($0) })
        }
        var other = SequenceSet()
        other.insert(SequenceRange(100, 110))
        other.formUnion(set)
        #expect(other.count == set.count + 11)
    }

    @Test func theEndsOfTheNumbersAreNoSpecialCase() {
        var set = SequenceSet()
        #expect(set.insert(SequenceRange(0, 0)) == 1)
        #expect(set.insert(SequenceRange(.max - 1, .max)) == 2)
        #expect(set.insert(SequenceRange(1, 1)) == 1)
        #expect(set.ranges == [SequenceRange(0, 1), SequenceRange(.max - 1, .max)])
        #expect(set.contains(.max))
        set.insert(SequenceRange(.max, .max))
        set.remove(from: 1)
        #expect(set.ranges == [SequenceRange(0, 0)])
        #expect(set.missing(in: SequenceRange(0, .max)) == [SequenceRange(1, .max)])
    }
}
