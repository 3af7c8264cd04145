import TestSupport
import Testing

@testable import Wire

@Suite struct FrameRoundTripTests {
    @Test func everyValueOfEverySubjectArrivesWhateverItDoes() throws {
        for seed in 1...9 as ClosedRange<UInt64> {
            try roundTrip(seed: seed, churn: seed % 3 == 0 ? 4 : 30)
        }
    }

    private func roundTrip(seed: UInt64, churn: Int) throws {
        var world = FrameWorld(seed: seed)
        let encoder = FrameEncoder()
        let decoder = FrameDecoder()
        for frame in 0..<120 {
            let changes = (frame == 0 ? world.schemaChanges : []) + world.churn(oneIn: churn)
            let received = try throughCodec(changes)
            #expect(received == changes)
            for change in changes { try encoder.apply(change) }
            for change in received { try decoder.apply(change) }
            world.advance()
            world.fill(encoder)
            let header = world.nextHeader(isKey: frame == 0 || world.random.chance(40))
            let bytes = encoder.encode(header)
            #expect(try decoder.decode(bytes) == header, "seed \(seed) frame \(frame)")
            try #require(decoder.rows == world.values, "seed \(seed) frame \(frame)")
        }
    }

    @Test func aKeyFrameNeedsTheDictionaryButNoEarlierFrame() throws {
        var world = FrameWorld(seed: 7)
        let encoder = FrameEncoder()
        for change in world.schemaChanges + world.churn(oneIn: 2) { try encoder.apply(change) }
        for frame in 0..<20 {
            world.advance()
            world.fill(encoder)
            let header = world.nextHeader(isKey: frame % 5 == 0)
            let bytes = encoder.encode(header)
            guard header.isKey else { continue }
            let decoder = FrameDecoder()
            for change in world.schemaChanges { try decoder.apply(change) }
            for (slot, entry) in world.subjects {
                try decoder.apply(.add(slot, entry.schema, entry.subject))
            }
            try decoder.decode(bytes)
            #expect(decoder.rows == world.values)
        }
    }

    @Test func aCopyDecodesOnItsOwn() throws {
        var world = FrameWorld(seed: 11)
        let encoder = FrameEncoder()
        let decoder = FrameDecoder()
        for change in world.schemaChanges + world.churn(oneIn: 2) {
            try encoder.apply(change)
            try decoder.apply(change)
        }
        var copies: [FrameDecoder] = []
        for frame in 0..<30 {
            world.advance()
            world.fill(encoder)
            let bytes = encoder.encode(world.nextHeader(isKey: frame == 0))
            try decoder.decode(bytes)
            for copy in copies { try copy.decode(bytes) }
            copies.append(FrameDecoder(copying: decoder))
            for copy in copies { #expect(copy.rows == world.values) }
        }
    }

    @Test func headersCanBeReadWithoutTheValues() throws {
        var world = FrameWorld(seed: 3)
        let encoder = FrameEncoder()
        for change in world.schemaChanges + world.churn(oneIn: 2) { try encoder.apply(change) }
        var context: FrameHeader.Context?
        for frame in 0..<100 {
            let header = world.nextHeader(isKey: frame == 0 || world.random.chance(9))
            let bytes = encoder.encode(header)
            let (read, next) = try withBytes(bytes) { raw throws(WireError) in
                try FrameHeader.peek(raw, after: context)
            }
            #expect(read == header)
            #expect(bytes.withUnsafeBytes { FrameHeader.isKey($0) } == header.isKey)
            context = next
        }
    }

    @Test func aFrameThatDoesNotFollowIsRefusedUntilAKeyFrame() throws {
        var world = FrameWorld(seed: 5)
        let encoder = FrameEncoder()
        let decoder = FrameDecoder()
        for change in world.schemaChanges + world.churn(oneIn: 2) {
            try encoder.apply(change)
            try decoder.apply(change)
        }
        try decoder.decode(encoder.encode(world.nextHeader(isKey: true)))
        _ = encoder.encode(world.nextHeader(isKey: false))
        let lost = encoder.encode(world.nextHeader(isKey: false))
        #expect(throws: WireError.self) { try decoder.decode(lost) }
        #expect(decoder.isStale)
        #expect(decoder.rows.isEmpty)
        #expect(throws: WireError.self) {
            try decoder.decode(encoder.encode(world.nextHeader(isKey: false)))
        }
        world.advance()
        world.fill(encoder)
        try decoder.decode(encoder.encode(world.nextHeader(isKey: true)))
        #expect(decoder.rows == world.values)
    }

    /// A peer with an older catalogue meets metrics, counters and predictions that it does not know;
    /// a peer with a newer one meets a schema without them.
    @Test func peersOfDifferentCataloguesUnderstandEachOther() throws {
        let newer = Schema(
            [
                SchemaField(.cpuUsage, granularity: 1_000),
                SchemaField(metric: 65_000, granularity: 4_096, isCounter: true),
                SchemaField(metric: 65_001),
            ], predictions: [Prediction(column: 2, .sum([.init(column: 1, weight: 3)]))])
        let older = Schema([SchemaField(metric: 10)], predictions: [])
        let encoder = FrameEncoder()
        let decoder = FrameDecoder()
        let changes: [SubjectChange] = [
            .schema(0, newer), .schema(9, older), .add(0, 0, Subject(kind: .node)),
            .add(
                1, 9,
                Subject(
                    kind: .container, parent: 0,
                    attributes: [Subject.Attribute(rawValue: 250): "unknown"])),
        ]
        for change in changes { try encoder.apply(change) }
        for change in try throughCodec(changes) { try decoder.apply(change) }
        for frame in 1...5 as ClosedRange<Int64> {
            let rows: [Slot: [Int64]] = [
                0: [frame * 1_000, frame * 4_096 * 7, frame * 21 + 5], 1: [frame],
            ]
            for (slot, row) in rows {
                for column in row.indices { encoder.row(of: slot)[column] = row[column] }
            }
            let header = FrameHeader(
                sequence: UInt64(frame), stepMilliseconds: frame, readDelayMilliseconds: 0,
                isKey: frame == 1)
            try decoder.decode(encoder.encode(header))
            #expect(decoder.rows == rows)
            #expect(decoder.layout.schema(of: 0) == newer)
        }
    }

    @Test func aQuietFrameIsAFewBytesWhateverTheNumberOfColumns() throws {
        let encoder = FrameEncoder()
        let schema = Schema((0..<40).map { SchemaField(metric: $0) }, predictions: [])
        try encoder.apply(.schema(0, schema))
        for slot in 0..<200 as Range<Slot> {
            try encoder.apply(.add(slot, 0, Subject(kind: .container)))
        }
        var last: [UInt8] = []
        for sequence in 1...40 as ClosedRange<UInt64> {
            last = encoder.encode(
                FrameHeader(
                    sequence: sequence, stepMilliseconds: Int64(sequence) * 1_000,
                    readDelayMilliseconds: 0, isKey: sequence == 1))
        }
        // 25 groups: a bit for "none changed" each and their lengths.
        #expect(last.count <= 3 + 25)
    }

    @Test func bitsComeBackAsTheyWereWritten() {
        var random = SeededRandom(seed: 1)
        for _ in 0..<50 {
            var writer = BitWriter()
            var expected: [(UInt64, Int)] = []
            for _ in 0..<random.below(400) {
                let count = random.below(65)
                let bits = count == 64 ? random.next() : random.next() & (1 << UInt64(count) - 1)
                expected.append((bits, count))
                writer.appendLong(bits, count: count)
            }
            var bytes: [UInt8] = []
            writer.finish(into: &bytes)
            bytes.withUnsafeBytes { raw in
                var reader = BitReader(raw, byteOffset: 0)
                for (bits, count) in expected { #expect(reader.longBits(count) == bits) }
                #expect(reader.isAtEnd)
            }
        }
    }

    @Test func everyNumberHasAGolombCodeOrDoesNotFit() {
        var random = SeededRandom(seed: 2)
        for _ in 0..<20_000 {
            let z = random.next() >> UInt64(random.below(64))
            let k = random.below(ExponentialGolomb.parameterMax + 1)
            guard ExponentialGolomb.fits(z, k) else {
                #expect(z >> UInt64(k) >= 1 << 18)
                continue
            }
            var writer = BitWriter()
            ExponentialGolomb.write(z, k, &writer)
            var bytes: [UInt8] = []
            writer.finish(into: &bytes)
            bytes.withUnsafeBytes { raw in
                var reader = BitReader(raw, byteOffset: 0)
                #expect(ExponentialGolomb.read(k, &reader) == z)
                #expect(reader.isAtEnd)
            }
        }
    }
}
