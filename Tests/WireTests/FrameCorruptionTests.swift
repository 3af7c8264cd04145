import TestSupport
import Testing
import Wire

@Suite struct FrameCorruptionTests {
    /// A decoder that has taken some frames, the next frame, and what it says.
    private struct Scene {
        var world: FrameWorld
        let encoder: FrameEncoder
        let decoder: FrameDecoder
        let bytes: [UInt8]
        let recovery: [UInt8]
        let recovered: [Slot: [Int64]]

        init(seed: UInt64, isKey: Bool) throws {
            world = FrameWorld(seed: seed, schemaCount: 2, slotEnd: 4)
            encoder = FrameEncoder()
            decoder = FrameDecoder()
            for change in world.schemaChanges + world.churn(oneIn: 2) {
                try encoder.apply(change)
                try decoder.apply(change)
            }
            for frame in 0..<6 {
                world.advance()
                world.fill(encoder)
                try decoder.decode(encoder.encode(world.nextHeader(isKey: frame == 0)))
            }
            world.advance()
            world.fill(encoder)
            bytes = encoder.encode(world.nextHeader(isKey: isKey))
            world.advance()
            world.fill(encoder)
            recovery = encoder.encode(world.nextHeader(isKey: true))
            recovered = world.values
        }

        /// Decodes bytes that are not the frame. Whatever comes of it: two decoders agree on it, one
        /// that threw shows nothing, and a key frame mends it.
        func check(_ corrupt: [UInt8], _ what: String) throws {
            let one = FrameDecoder(copying: decoder)
            let other = FrameDecoder(copying: decoder)
            let outcome = Result { () throws(WireError) in try one.decode(corrupt) }
            let again = Result { () throws(WireError) in try other.decode(corrupt) }
            #expect(outcome == again, "\(what)")
            #expect(one.rows == other.rows, "\(what)")
            if case .failure = outcome {
                #expect(one.isStale && one.rows.isEmpty, "\(what)")
            } else {
                #expect(one.rows.count == one.layout.subjectCount, "\(what)")
            }
            try one.decode(recovery)
            #expect(one.rows == recovered, "\(what)")
        }
    }

    @Test func aKeyFrameOfAnotherFormatIsRefused() throws {
        let scene = try Scene(seed: 20, isKey: true)
        for format in 0..<16 as Range<UInt8> where scene.bytes[0] >> 4 != format {
            let other = [1 | format << 4] + scene.bytes.dropFirst()
            #expect(throws: WireError.malformed(what: "frame flags", offset: 0)) {
                try FrameDecoder(copying: scene.decoder).decode(other)
            }
        }
    }

    @Test func truncationAtEveryByteThrows() throws {
        for isKey in [true, false] {
            let scene = try Scene(seed: 21, isKey: isKey)
            for count in scene.bytes.indices {
                let decoder = FrameDecoder(copying: scene.decoder)
                #expect(throws: WireError.self, "\(count) bytes") {
                    try decoder.decode(Array(scene.bytes[..<count]))
                }
                try scene.check(Array(scene.bytes[..<count]), "\(count) bytes")
            }
            #expect(throws: WireError.self) { try scene.decoder.decode(scene.bytes + [0]) }
        }
    }

    @Test func everySingleBitFlipIsRefusedOrDecodedToTheSameTwice() throws {
        for isKey in [true, false] {
            let scene = try Scene(seed: 22, isKey: isKey)
            for bit in 0..<scene.bytes.count * 8 {
                var corrupt = scene.bytes
                corrupt[bit / 8] ^= 1 << UInt8(bit % 8)
                try scene.check(corrupt, "bit \(bit)")
            }
        }
    }

    @Test func randomBytesAndMutationsNeverTrap() throws {
        var random = SeededRandom(seed: 23)
        for seed in 30..<36 as Range<UInt64> {
            let scene = try Scene(seed: seed, isKey: seed % 2 == 0)
            for round in 0..<300 {
                var corrupt = scene.bytes
                if random.chance(3) {
                    corrupt = (0..<random.below(300)).map { _ in UInt8(random.below(256)) }
                    if !corrupt.isEmpty { corrupt[0] &= 3 }
                } else {
                    for _ in 0...random.below(8) {
                        corrupt[random.below(corrupt.count)] = UInt8(random.below(256))
                    }
                }
                try scene.check(corrupt, "seed \(seed) round \(round)")
            }
        }
    }

    @Test func truncatedOrFlippedDictionariesThrowOrSaySomethingElseThatIsValid() throws {
        var world = FrameWorld(seed: 40, schemaCount: 2, slotEnd: 5)
        let changes = world.schemaChanges + world.churn(oneIn: 1) + world.churn(oneIn: 2)
        var bytes: [UInt8] = []
        DictionaryCodec.encode(changes, into: &bytes)
        func decode(_ bytes: [UInt8]) -> [SubjectChange]? {
            switch Result(catching: { () throws(WireError) in
                try withBytes(bytes) { raw throws(WireError) in try DictionaryCodec.decode(raw) }
            }) {
            case .success(let changes): changes
            case .failure: nil
            }
        }
        for count in bytes.indices {
            // A cut between two changes cannot be seen here; it leaves the changes before it.
            if let some = decode(Array(bytes[..<count])) {
                #expect(some == Array(changes.prefix(some.count)) && some.count < changes.count)
            }
        }
        for bit in 0..<bytes.count * 8 {
            var corrupt = bytes
            corrupt[bit / 8] ^= 1 << UInt8(bit % 8)
            guard let other = decode(corrupt) else { continue }
            #expect(try throughCodec(other) == other, "bit \(bit)")
        }
    }
}
