import Foundation
import TestSupport
import Testing
import Wire

@testable import NodeAgent

/// What the agent says of itself against what the kernel says of this process.
struct AgentSelfSamplerTests {
    private static func status(_ key: String) throws -> Int64 {
        let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(key + ":") })
        return try #require(line.split { !$0.isNumber }.last.flatMap { Int64($0) }) * 1_024
    }

    /// CPU time of all threads, in nanoseconds.
    private static func cpu() -> Int64 {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) {
            $0 + Int64($1.tv_sec) * 1_000_000_000 + Int64($1.tv_usec) * 1_000
        }
    }

    @Test func costsAreThoseOfThisProcessAndTheRestIsWhatWasTold() throws {
        let tree = try SmallTree(version: 2)
        var configuration = SamplerConfiguration()
        configuration.roots = tree.roots
        configuration.groups = SmallTree.groups.union(.agent)
        configuration.watchesPods = false
        let files = HostFiles()
        let sampler = try Sampler(configuration, files: files, clock: tree.clock)
        let encoder = FrameEncoder()
        _ = sampler.step(into: encoder)
        // Reading a directory fails.
        #expect(files.line(tree.path) == nil)
        let state = AgentState(
            stepsSkipped: 3, ringBytes: 1_000, ringFrames: 7, ringFramesDropped: 2, slowFiles: 1,
            readsSkipped: 9, spoolFramesDropped: 4)
        let cpuBefore = Self.cpu()
        _ = sampler.step(into: encoder, state: state)
        let cpuAfter = Self.cpu()
        let peak = try Self.status("VmHWM")
        let sampled = SampledValues(sampler, encoder)
        let told: [String: Int64] = [
            "steps_skipped": 3, "ring_bytes": 1_000, "ring_frames": 7, "ring_frames_dropped": 2,
            "slow_files": 1, "reads_skipped": 9, "spool_frames_dropped": 4, "read_errors": 1,
            "open_files": Int64(files.keptCount),
            "subjects": Int64(sampler.registry.liveSlots.count),
            // The test's clock stands still in a step.
            "sample_time": 0,
        ]
        for (name, value) in told { #expect(sampled["agent", "agent/" + name] == value, "\(name)") }
        let used = try #require(sampled["agent", "agent/cpu_usage"])
        // getrusage scales ticks so that they add up: a tick to either side.
        let tick: Int64 = 10_000_000
        #expect(used >= cpuBefore - tick && used <= cpuAfter + tick)
        // Other tests of this process take and give back memory meanwhile; statm lags behind status by the pages
        // that a thread has not yet told of.
        let resident = try #require(sampled["agent", "agent/memory_rss"])
        #expect(resident > 1 << 20 && resident <= peak + 16 << 20, "\(resident), \(peak)")
    }
}
