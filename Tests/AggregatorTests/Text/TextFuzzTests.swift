import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// What the fuzzer of the aggregator's readers of text found worth keeping.
@Suite struct TextFuzzTests {
    private static let corpus = Repository.root.appendingPathComponent("Tests/Fuzz/Text/corpus")

    @Test func keptInputsAreReadWithoutHarm() throws {
        let files = try FileManager.default.contentsOfDirectory(
            at: Self.corpus, includingPropertiesForKeys: nil)
        var understood: [Int: Int] = [:]
        for file in files {
            let input = Array(try Data(contentsOf: file))
            guard let first = input.first else { continue }
            if input.withUnsafeBytes(TextFuzzInput.run) {
                understood[Int(first) % TextFuzzInput.Reader.allCases.count, default: 0] += 1
            }
        }
        // Every reader has some that it takes: else the fuzzer would only have seen refusals.
        for reader in TextFuzzInput.Reader.allCases {
            #expect(understood[reader.rawValue, default: 0] > 0, "\(reader)")
        }
    }
}
