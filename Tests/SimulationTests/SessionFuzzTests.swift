import Foundation
import Testing

@testable import NodeAgent

/// The session fuzzer's inputs to begin with, whole, cut and changed, in every test run.
@Suite struct SessionFuzzTests {
    private static let corpus = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fuzz/Session/corpus")

    private static func run(_ bytes: [UInt8]) -> SessionFuzzInput.Tally {
        bytes.withUnsafeBytes { SessionFuzzInput.run($0) }
    }

    @Test func everyKeptInputEndsWithWhatWasTaken() throws {
        let files = try FileManager.default
            .contentsOfDirectory(at: Self.corpus, includingPropertiesForKeys: nil)
        #expect(files.count > 50)
        var (held, refusals, forged) = (0, 0, 0)
        for file in files.sorted(by: { $0.path < $1.path }) {
            let bytes = [UInt8](try Data(contentsOf: file))
            #expect(bytes.count <= 4_096, "what is kept is small: it is in the repository")
            let tally = Self.run(bytes)
            #expect(tally.connections > 0, "\(file.lastPathComponent)")
            held += tally.held
            refusals += tally.refusals
            forged += tally.isForged ? 1 : 0
        }
        // Else the kept inputs do not reach what they are kept for.
        #expect(held > 100 && refusals > 10 && forged > 10)
    }

    @Test func wellFormedInputsAndCutOnesDoToo() {
        var (held, refusals) = (0, 0)
        for seed in SessionFuzzSeeds.make(count: 60) {
            let tally = Self.run(seed)
            #expect(tally == Self.run(seed), "the same input ends in the same way")
            held += tally.held
            refusals += tally.refusals
            _ = Self.run(Array(seed.prefix(seed.count / 2)))
        }
        #expect(held > 300 && refusals > 10, "\(held), \(refusals)")
    }

    @Test(arguments: 0..<8) func changedInputsDoToo(part: Int) {
        var random = SplitMix64(seed: UInt64(part))
        for var input in SessionFuzzSeeds.make(count: 40) {
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let index = Int.random(in: input.indices, using: &random)
                switch UInt8.random(in: 0..<3, using: &random) {
                case 0: input[index] = .random(in: .min ... .max, using: &random)
                case 1: input.insert(.random(in: .min ... .max, using: &random), at: index)
                default: input += input[index...].prefix(20)
                }
            }
            #expect(Self.run(input).connections > 0)
        }
    }
}
