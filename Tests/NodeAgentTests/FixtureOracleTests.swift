import Foundation
import Testing
import Wire

@testable import NodeAgent

/// Every value of the captured trees against `fixture_oracle.py`, which reads the same files by
/// other means.
@Suite struct FixtureOracleTests {
    /// What the trees cannot show: filesystems are asked of this machine, the agent is this process.
    private static let groups: SampleGroups = .all.subtracting([.filesystem, .volumes, .agent])

    @Test(arguments: FixtureTree.all)
    func everyValueIsWhatAnIndependentReaderFinds(_ tree: FixtureTree) throws {
        let (sampler, encoder) = try Sampler.sampling(tree, groups: Self.groups)
        let sampled = SampledValues(sampler, encoder)
        let expected = try Self.oracle(tree)
        #expect(expected.values.count > 1_000)
        for (key, value) in expected.values.sorted(by: { $0.key < $1.key }) {
            #expect(sampled.values[key] == value, "\(tree): \(key)")
        }
        let unexpected = Set(sampled.values.keys).subtracting(expected.values.keys)
        #expect(unexpected.isEmpty, "\(tree): \(unexpected.sorted())")
        for (subject, start) in expected.starts {
            #expect(
                sampled.subjects[subject]?.startTimeMilliseconds == start, "\(tree): \(subject)")
        }
        #expect(sampler.files.failureCount == 0)
    }

    @Test(arguments: FixtureTree.all)
    func aSecondStepReadsTheSameFromKeptDescriptors(_ tree: FixtureTree) throws {
        let (sampler, encoder) = try Sampler.sampling(tree, groups: Self.groups)
        let first = SampledValues(sampler, encoder)
        for _ in 0..<5 {
            #expect(sampler.step(into: encoder).isEmpty)
            #expect(SampledValues(sampler, encoder).values == first.values)
        }
    }

    /// A descriptor limit far below what is wanted costs time, not values.
    @Test(arguments: FixtureTree.all)
    func valuesAreTheSameWithoutKeptDescriptors(_ tree: FixtureTree) throws {
        let (usual, usualEncoder) = try Sampler.sampling(tree, groups: Self.groups)
        let expected = SampledValues(usual, usualEncoder).values
        var configuration = usual.configuration
        configuration.groups.subtract([.hugetlb, .hugetlbUnused])
        let sampler = try Sampler(configuration, files: HostFiles(keptLimit: 20))
        let encoder = FrameEncoder()
        for _ in 0..<3 { _ = sampler.step(into: encoder) }
        for (key, value) in SampledValues(sampler, encoder).values {
            #expect(value == expected[key], "\(tree): \(key)")
        }
        #expect(sampler.files.keptCount == 20)
    }

    private struct Expected {
        var values: [SampledValues.Key: Int64] = [:]
        var starts: [String: Int64] = [:]
    }

    private static func oracle(_ tree: FixtureTree) throws -> Expected {
        let script = packageRoot + "/Tests/NodeAgentTests/fixture_oracle.py"
        let output = try run("/usr/bin/env", ["python3", script, tree.path])
        var expected = Expected()
        for line in output.split(separator: "\n") {
            let parts = line.split(separator: "\t")
            let value = try #require(Int64(parts[2]))
            if parts[1] == "start" {
                expected.starts[String(parts[0])] = value
            } else {
                let key = SampledValues.Key(subject: String(parts[0]), metric: String(parts[1]))
                expected.values[key] = value
            }
        }
        return expected
    }
}
