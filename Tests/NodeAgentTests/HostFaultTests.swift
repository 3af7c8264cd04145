import Foundation
import Testing
import Wire

@testable import NodeAgent

/// Every call of the operating system fails once, in every way: the sampler goes on, says why, and
/// has everything again after a while.
@Suite(.enabled(if: !FixtureTree.all.isEmpty, "no captured trees"))
struct HostFaultTests {
    /// Each call with every errno, not a third of the calls with one in turn: `make test-faults`.
    private static let isExhaustive =
        ProcessInfo.processInfo.environment["HEAPWIRE_ALL_FAULTS"] != nil

    private struct Outcome {
        var values: [SampledValues.Key: Int64] = [:]
        var notices: [String] = []
        var callCount = 0
        var failureCount: Int64 = 0
        var couldStart = true
    }

    /// Samples while the `number`-th call fails; `nil` for none.
    ///
    /// Steps before and after the minute in which everything is looked at anew; then another minute
    /// without faults.
    private func sample(
        _ tree: SmallTree, failing number: Int?, with code: Int32
    ) throws -> Outcome {
        var outcome = Outcome()
        let files = HostFiles()
        var calls = 0
        var isFaulty = true
        files.fault = { _ in
            guard isFaulty else { return nil }
            defer { calls += 1 }
            return calls == number ? code : nil
        }
        let encoder = FrameEncoder()
        do {
            let sampler = try tree.sampler(files: files)
            for (index, wait) in [0, 1, 1, 61, 1, 61, 1, 1].enumerated() {
                isFaulty = index < 5
                tree.advance(milliseconds: Int64(wait) * 1_000)
                _ = sampler.step(into: encoder)
                outcome.notices += files.takeNotices()
            }
            #expect(sampler.refusedCount == 0)
            // A disk whose name could not be read when it was first seen keeps its number.
            outcome.values = SampledValues(sampler, encoder).values.filter {
                !$0.key.subject.contains("| disk ")
            }
        } catch is KernelFileError {
            outcome.couldStart = false
        }
        outcome.callCount = calls
        outcome.failureCount = files.failureCount
        return outcome
    }

    @Test(arguments: [1, 2])
    func whicheverCallFailsEverythingIsThereAgainAfterAMinute(_ version: Int) throws {
        let tree = try SmallTree(version: version)
        let sound = try sample(tree, failing: nil, with: 0)
        #expect(sound.values.count > 150)
        #expect(sound.failureCount == 0, "\(sound.notices)")
        #expect(sound.callCount > 300)
        var startFailures = 0
        let codes = [EIO, ENOENT, EACCES, EMFILE]
        for (index, code) in codes.enumerated() {
            for number in 0..<sound.callCount
            where Self.isExhaustive || number % 12 == (3 * index + version) % 12 {
                let outcome = try sample(tree, failing: number, with: code)
                let what = "v\(version), call \(number), errno \(code)"
                guard outcome.couldStart else {
                    startFailures += 1
                    continue
                }
                for (key, value) in outcome.values where sound.values[key] != value {
                    Issue.record("\(what): \(key) is \(value), not \(sound.values[key] ?? -1)")
                }
                let absent = Set(sound.values.keys).subtracting(outcome.values.keys)
                // The node's own files are opened at the start: what is absent or denied then stays so.
                let isLasting = code == ENOENT || code == EACCES
                let unexpected = absent.filter { !(isLasting && Self.isOfNode($0)) }
                #expect(
                    unexpected.isEmpty, "\(what): \(unexpected.sorted().prefix(5)) are missing")
                #expect(Set(outcome.notices).count == outcome.notices.count, "\(what): said twice")
                #expect(outcome.notices.count <= 2, "\(what): \(outcome.notices)")
                if code == ENOENT { #expect(outcome.failureCount == 0, "\(what): absence counted") }
            }
        }
        // Without /proc/stat there is no node to speak of.
        #expect(startFailures <= 8, "\(startFailures)")
    }

    private static func isOfNode(_ key: SampledValues.Key) -> Bool {
        !key.subject.hasPrefix("container") && !key.subject.hasPrefix("pod")
            && !key.subject.hasPrefix("system")
    }

    /// A file that cannot be read any more has no metrics after three attempts, and has them again
    /// ten seconds after it can.
    @Test(arguments: [EIO, EACCES, ENOMEM])
    func aFileThatFailsForAWhileIsAbsentForThatWhile(_ code: Int32) throws {
        let tree = try SmallTree(version: 2)
        let path = try tree.container() + "/memory.current"
        let key = SampledValues.Key(
            subject: "container \(SmallTree.podUID) "
                + "92068f05ef629d16fb52e4f5c6cbb29c9056917ba5dc0347b9534dc54d1eb80d",
            metric: "memory/usage")
        let files = HostFiles()
        var isBroken = false
        files.fault = { call in
            guard isBroken else { return nil }
            switch call {
            case .open(let name): return name == path ? code : nil
            case .read(let descriptor):
                var bytes = [CChar](repeating: 0, count: 4_096)
                let length = readlink("/proc/self/fd/\(descriptor)", &bytes, bytes.count - 1)
                let name = String(
                    decoding: bytes.prefix(max(0, length)).map(UInt8.init(bitPattern:)),
                    as: UTF8.self)
                return name.hasSuffix(path) ? code : nil
            default: return nil
            }
        }
        let (sampler, encoder) = (try tree.sampler(files: files), FrameEncoder())
        func step(_ count: Int) {
            for _ in 0..<count {
                tree.advance(milliseconds: 1_000)
                _ = sampler.step(into: encoder)
            }
        }
        step(20)
        let sound = SampledValues(sampler, encoder).values
        #expect(sound[key] != nil)
        isBroken = true
        step(8)
        #expect(SampledValues(sampler, encoder).values[key] == nil)
        step(30)
        let notices = files.takeNotices()
        #expect(notices.count { $0.contains("memory.current") } == 1, "\(notices)")
        isBroken = false
        step(62)
        #expect(SampledValues(sampler, encoder).values == sound)
    }
}
