import TestSupport
import Testing
import Wire

@Suite struct DecoderStateTests {
    /// Applies what happens to a world to a decoder and to whatever else must stay equal to it.
    private struct Stage {
        var world: FrameWorld
        let encoder = FrameEncoder()
        let decoder = FrameDecoder()

        init(seed: UInt64, schemaCount: Int = 4, slotEnd: Int = 40) throws {
            world = FrameWorld(seed: seed, schemaCount: schemaCount, slotEnd: slotEnd)
            for change in world.schemaChanges { try apply(change) }
            try churn(oneIn: 2)
        }

        func apply(_ change: SubjectChange, and others: [FrameDecoder] = []) throws {
            try encoder.apply(change)
            for decoder in [decoder] + others { try decoder.apply(change) }
        }

        mutating func churn(oneIn: Int, and others: [FrameDecoder] = []) throws {
            for change in world.churn(oneIn: oneIn) { try apply(change, and: others) }
        }

        mutating func frame(isKey: Bool) -> [UInt8] {
            world.advance()
            world.fill(encoder)
            return encoder.encode(world.nextHeader(isKey: isKey))
        }
    }

    @Test(arguments: 100..<120 as Range<UInt64>)
    func aRestoredDecoderDecodesEveryFollowingFrameAsTheOriginal(seed: UInt64) throws {
        var stage = try Stage(seed: seed)
        var random = SeededRandom(seed: seed)
        var restored: [FrameDecoder] = []
        for index in 0..<120 {
            // In between a dictionary change and its frame, too.
            if random.chance(5) { try stage.churn(oneIn: 10, and: restored) }
            if index == 0 || random.chance(6) {
                let bytes = stage.decoder.state
                let copy = try FrameDecoder.restored(from: bytes)
                #expect(copy.state == bytes, "frame \(index)")
                #expect(copy.rows == stage.decoder.rows, "frame \(index)")
                #expect(copy.header == stage.decoder.header)
                #expect(copy.layout.dictionaryBytes == stage.decoder.layout.dictionaryBytes)
                restored = restored.suffix(3) + [copy]
            }
            let bytes = stage.frame(isKey: index == 0 || random.chance(40))
            try stage.decoder.decode(bytes)
            #expect(stage.decoder.rows == stage.world.values)
            for decoder in restored {
                try decoder.decode(bytes)
                #expect(decoder.rows == stage.world.values, "frame \(index)")
                #expect(decoder.state == stage.decoder.state, "frame \(index)")
            }
        }
    }

    @Test func aReaderOfOneSlotCanBeCopiedFromARestoredDecoder() throws {
        var stage = try Stage(seed: 130)
        for index in 0..<20 { try stage.decoder.decode(stage.frame(isKey: index == 0)) }
        let restored = try FrameDecoder.restored(from: stage.decoder.state)
        for slot in stage.decoder.layout.liveSlots {
            #expect(FrameDecoder(copying: restored, wanting: [slot]).row(of: slot) != nil)
        }
        let slot = try #require(stage.world.values.keys.max())
        let reader = FrameDecoder(copying: restored, wanting: [slot])
        for _ in 0..<40 {
            try reader.decode(stage.frame(isKey: false))
            #expect(reader.rows[slot] == stage.world.values[slot])
        }
    }

    @Test func aStaleDecoderComesBackStaleAndAKeyFrameMendsIt() throws {
        var stage = try Stage(seed: 131)
        let unused = try FrameDecoder.restored(from: stage.decoder.state)
        try stage.decoder.decode(stage.frame(isKey: true))
        _ = stage.frame(isKey: false)
        let late = stage.frame(isKey: false)
        #expect(throws: WireError.self) { try stage.decoder.decode(late) }
        let restored = try FrameDecoder.restored(from: stage.decoder.state)
        #expect(restored.isStale && restored.rows.isEmpty)
        #expect(restored.header == stage.decoder.header)
        try stage.churn(oneIn: 8, and: [restored, unused])
        let key = stage.frame(isKey: true)
        for decoder in [stage.decoder, restored, unused] {
            try decoder.decode(key)
            #expect(decoder.rows == stage.world.values)
        }
    }

    @Test func anEmptyDecoderComesBackEmpty() throws {
        let bytes = FrameDecoder().state
        #expect(bytes == [2, 2, 0, 0])
        #expect(try FrameDecoder.restored(from: bytes).state == bytes)
    }

    @Test func truncationAtEveryByteAndAByteTooManyThrow() throws {
        for isStale in [false, true] {
            let bytes = try Self.sample(seed: 132, isStale: isStale)
            for count in bytes.indices {
                #expect(throws: WireError.self, "\(count) bytes") {
                    try FrameDecoder.restored(from: Array(bytes[..<count]))
                }
            }
            #expect(throws: WireError.self) { try FrameDecoder.restored(from: bytes + [0]) }
        }
    }

    @Test func everySingleBitFlipIsRefusedOrIsAnotherWholeState() throws {
        for (seed, isStale) in [(133, false), (134, true)] as [(UInt64, Bool)] {
            let bytes = try Self.sample(seed: seed, isStale: isStale)
            let next = try Self.nextFrames(seed: seed)
            for bit in 0..<bytes.count * 8 {
                var corrupt = bytes
                corrupt[bit / 8] ^= 1 << UInt8(bit % 8)
                try Self.check(corrupt, next, "bit \(bit)")
            }
        }
    }

    @Test func randomBytesAndMutationsNeverTrap() throws {
        var random = SeededRandom(seed: 135)
        var accepted = 0
        for seed in 140..<146 as Range<UInt64> {
            let bytes = try Self.sample(seed: seed, isStale: false)
            let next = try Self.nextFrames(seed: seed)
            for round in 0..<400 {
                var corrupt = bytes
                if random.chance(3) {
                    corrupt = [2] + (0..<random.below(300)).map { _ in UInt8(random.below(256)) }
                } else {
                    for _ in 0...random.below(4) {
                        corrupt[random.below(corrupt.count)] = UInt8(random.below(256))
                    }
                }
                if try Self.check(corrupt, next, "seed \(seed) round \(round)") { accepted += 1 }
            }
        }
        // Else nothing but refusals was looked at.
        #expect(accepted > 20)
    }

    @Test func limitsHoldForAStateToo() throws {
        let bytes = try Self.sample(seed: 136, isStale: false)
        let decoder = try FrameDecoder.restored(from: bytes)
        func refuses(_ change: (inout WireLimits) -> Void) {
            var limits = WireLimits()
            change(&limits)
            #expect(throws: WireError.self) {
                try FrameDecoder.restored(from: bytes, limits: limits)
            }
        }
        refuses { $0.subjects = 1 }
        refuses { $0.schemas = 1 }
        refuses { $0.fieldsPerSchema = 3 }
        refuses { $0.valuesPerFrame = decoder.layout.valueCount - 1 }
        refuses { $0.dictionaryBytes = decoder.layout.dictionaryBytes - 1 }
        #expect(throws: WireError.unsupportedVersion(ours: 2, theirs: 1)) {
            try FrameDecoder.restored(from: [1] + bytes.dropFirst())
        }
    }

    /// The state of a decoder that has taken some frames, of few subjects.
    private static func sample(seed: UInt64, isStale: Bool) throws -> [UInt8] {
        let stage = try some(seed: seed)
        if isStale { #expect(throws: WireError.self) { try stage.decoder.decode([9]) } }
        return stage.decoder.state
    }

    /// What would follow such a state: the next frame, and a key frame.
    private static func nextFrames(seed: UInt64) throws -> [[UInt8]] {
        var stage = try some(seed: seed)
        return [stage.frame(isKey: false), stage.frame(isKey: true)]
    }

    private static func some(seed: UInt64) throws -> Stage {
        var stage = try Stage(seed: seed, schemaCount: 2, slotEnd: 4)
        for index in 0..<20 {
            if index == 10 { try stage.churn(oneIn: 3) }
            try stage.decoder.decode(stage.frame(isKey: index == 0))
        }
        try stage.churn(oneIn: 4)
        return stage
    }

    /// Restores bytes that are not the state. Whatever comes of it: what is accepted is a state that
    /// is written and read again the same, and whose decoders agree on what follows.
    ///
    /// - Returns: whether they were accepted.
    @discardableResult
    private static func check(
        _ corrupt: [UInt8], _ next: [[UInt8]], _ what: String
    ) throws -> Bool {
        guard
            case .success(let one) = Result(catching: { () throws(WireError) in
                try FrameDecoder.restored(from: corrupt)
            })
        else { return false }
        let again = one.state
        let other = try FrameDecoder.restored(from: again)
        #expect(other.state == again, "\(what)")
        #expect(other.rows == one.rows, "\(what)")
        #expect(one.rows.count <= one.layout.subjectCount, "\(what)")
        for frame in next {
            let outcome = Result { () throws(WireError) in try one.decode(frame) }
            let same = Result { () throws(WireError) in try other.decode(frame) }
            #expect(outcome == same, "\(what)")
            #expect(one.rows == other.rows, "\(what)")
        }
        return true
    }
}

extension FrameDecoder {
    fileprivate static func restored(
        from bytes: [UInt8], limits: WireLimits = WireLimits()
    ) throws(WireError) -> FrameDecoder {
        try withBytes(bytes) { raw throws(WireError) in
            try FrameDecoder(state: raw, limits: limits)
        }
    }

    fileprivate var state: [UInt8] {
        var bytes: [UInt8] = []
        serialize(into: &bytes)
        return bytes
    }
}
