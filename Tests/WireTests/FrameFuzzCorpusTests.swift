import Foundation
import FrameFuzzing
import Testing
import Wire

/// The fuzzer's kept inputs, and the well-formed ones that they were made from, in every test run.
@Suite struct FrameFuzzCorpusTests {
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fuzz/Frame/corpus")

    private static func files() throws -> [URL] {
        try FileManager.default
            .contentsOfDirectory(at: corpus, includingPropertiesForKeys: [.fileSizeKey])
            .sorted { $0.path < $1.path }
    }

    private static func run(_ bytes: [UInt8]) -> FrameFuzzInput.Tally {
        bytes.withUnsafeBytes { FrameFuzzInput.run($0) }
    }

    @Test func everyKeptInputIsDecidedTheSameWayTwice() throws {
        var total = FrameFuzzInput.Tally()
        for file in try Self.files() {
            let bytes = [UInt8](try Data(contentsOf: file))
            let tally = Self.run(bytes)
            #expect(tally == Self.run(bytes), "\(file.lastPathComponent)")
            let decided = [tally.states, tally.dictionaries, tally.frames]
                .reduce(0) { $0 + $1.accepted + $1.refused }
            #expect(decided == Self.partCount(bytes), "\(file.lastPathComponent)")
            total += tally
        }
        // Else the kept inputs do not reach what they are kept for.
        #expect(total.states.accepted > 10)
        #expect(total.dictionaries.accepted > 10 && total.changes.accepted > 100)
        #expect(total.frames.accepted > 100 && total.frames.refused > 0)
        #expect(total.continuations > 10)
    }

    @Test func cutAndFlippedInputsAreDecidedToo() throws {
        var total = FrameFuzzInput.Tally()
        for (index, file) in try Self.files().enumerated() {
            let bytes = [UInt8](try Data(contentsOf: file))
            guard bytes.count > 1 else { continue }
            total += Self.run(Array(bytes[..<(bytes.count / 2)]))
            for round in 0..<4 {
                let bit = 8 + (index * 7_919 + round * 104_729) % ((bytes.count - 1) * 8)
                var flipped = bytes
                flipped[bit / 8] ^= 1 << UInt8(bit % 8)
                total += Self.run(flipped)
            }
        }
        #expect(total.states.refused > 0 && total.dictionaries.refused > 0)
        #expect(total.changes.refused > 0 && total.frames.refused > 0)
    }

    /// What is kept is small: it is in the repository.
    @Test func theKeptInputsAreSmall() throws {
        let sizes = try Self.files().map {
            try $0.resourceValues(forKeys: [.fileSizeKey]).fileSize ?? 0
        }
        #expect(sizes.count > 100)
        #expect(sizes.reduce(0, +) < 300_000)
    }

    @Test func everythingThatTheEncoderMadeIsAccepted() throws {
        var total = FrameFuzzInput.Tally()
        for input in try FrameFuzzSeeds.make(count: 120) {
            let tally = Self.run(input)
            let refused = [tally.states, tally.dictionaries, tally.changes, tally.frames]
                .map(\.refused)
            #expect(refused == [0, 0, 0, 0])
            total += tally
        }
        #expect(total.states.accepted >= 120 && total.frames.accepted > 1_000)
        #expect(total.changes.accepted > 1_000 && total.continuations > 200)
    }

    /// What an input consists of, counted by its lengths alone: a state and payloads.
    private static func partCount(_ bytes: [UInt8]) -> Int {
        guard let first = bytes.first else { return 0 }
        var offset = 1
        var count = 0
        func skip() {
            let length = Int(bytes[offset]) | Int(bytes[offset + 1]) << 8
            offset = min(offset + 2 + length, bytes.count)
            count += 1
        }
        if first & 1 != 0 {
            guard bytes.count >= 3 else { return 0 }
            skip()
            // Nothing follows a state that is refused.
            if run(Array(bytes[..<offset])).states.accepted == 0 { return count }
        }
        while bytes.count - offset >= 3 {
            offset += 1
            skip()
        }
        return count
    }
}
