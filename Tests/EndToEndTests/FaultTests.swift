import Foundation
import TestSupport
import Testing

/// One agent delivers to an undisturbed aggregator and, at the same time, to others over connections
/// that are cut, stalled, silenced, doubled, corrupted, throttled and refused, to one that is stopped
/// and to one that is killed. At the end all hold the same samples.
@Suite(.serialized) struct FaultTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test(.timeLimit(.minutes(3))) func everyFaultEndsWithExactlyTheSamplesThatWereTaken() throws {
        let reference = try TestAggregator("reference", in: folder.url)
        let faults = ["cut", "stall", "silent", "duplicate", "corrupt", "slow", "refuse"]
        var disturbed: [TestAggregator] = []
        var proxies: [FaultProxy] = []
        for (index, fault) in faults.enumerated() {
            let aggregator = try TestAggregator(fault, in: folder.url)
            disturbed.append(aggregator)
            proxies.append(
                try FaultProxy(fault, target: aggregator.ingest, seed: 40 + index))
        }
        let stopped = try TestAggregator("stopped", in: folder.url)
        let killed = try TestAggregator("killed", in: folder.url)
        let agent = try RunningProgram(
            "heapwire-agent",
            (proxies.map(\.port) + [reference.ingest, stopped.ingest, killed.ingest])
                .map { "--aggregator=127.0.0.1:\($0)" }
                + ["--node-name=here", "--resolution=250ms"], in: folder.url)

        Thread.sleep(forTimeInterval: 5)
        stopped.program.signal(SIGSTOP)
        Thread.sleep(forTimeInterval: 5)
        killed.program.stop(SIGKILL)
        Thread.sleep(forTimeInterval: 3)
        try killed.startAgain()
        Thread.sleep(forTimeInterval: 5)
        stopped.program.signal(SIGCONT)
        Thread.sleep(forTimeInterval: 12)
        for proxy in proxies { try proxy.calm() }

        let others = disturbed + [stopped, killed]
        try waitUntilNearlyEqual(reference, others)
        let status = agent.stop()
        #expect(status == 0, "\(agent.output)")
        let samples = try reference.own("heapwire_samples_total")
        #expect(samples > 100 * 100, "hardly anything was sampled")
        let expected = try reference.everything(node: "here")
        #expect(expected.count > 20)
        // 30 s of undisturbed cycles: the reference itself has no hole.
        let usage = try #require(expected["/metrics/memory/usage"])
        #expect(usage.count >= 30)
        #expect(try seconds(usage).adjacent { $1 - $0 }.allSatisfy { $0 == 1 }, "\(usage)")
        for other in others {
            #expect(try other.own("heapwire_samples_total") == samples, "\(other.name)")
            #expect(try other.own("heapwire_gap_frames_total") == 0, "\(other.name)")
            let held = try other.everything(node: "here")
            for (path, points) in expected where held[path] != points {
                Issue.record("\(other.name): \(path) is \(held[path] ?? []), not \(points)")
                break
            }
            #expect(held.count == expected.count, "\(other.name)")
        }
        for proxy in proxies {
            #expect(try proxy.stop() > 0, "\(proxy.fault) did no harm")
        }
        for aggregator in others + [reference] { #expect(aggregator.program.stop() == 0) }
    }

    /// The aggregator is not there yet; the agent is restarted; all its frames arrive in the end, of
    /// both processes. The aggregator's name stands for addresses at which nobody listens, too.
    @Test(.timeLimit(.minutes(1))) func aSpoolKeepsFramesAcrossARestartOfTheAgent() throws {
        let aggregator = try TestAggregator("late", in: folder.url)
        aggregator.program.stop(SIGKILL)
        let spool = folder.url.appendingPathComponent("spool")
        try FileManager.default.createDirectory(at: spool, withIntermediateDirectories: true)
        func startAgent() throws -> RunningProgram {
            try RunningProgram(
                "heapwire-agent",
                [
                    "--aggregator=localhost:\(aggregator.ingest)", "--node-name=here",
                    "--resolution=500ms", "--spool-dir=\(spool.path)",
                ], in: folder.url)
        }
        let start = Date()
        let first = try startAgent()
        Thread.sleep(forTimeInterval: 4)
        let refused = try RunningProgram(
            "heapwire-agent", ["--aggregator=localhost:1", "--spool-dir=\(spool.path)"],
            in: folder.url)
        _ = try refused.wait(for: /is in use by another agent/)
        #expect(refused.stop() == 2)
        #expect(first.stop() == 0, "\(first.output)")
        let second = try startAgent()
        Thread.sleep(forTimeInterval: 3)
        try aggregator.startAgain()
        _ = try second.wait(for: /delivering to aggregator/)
        Thread.sleep(forTimeInterval: 6)
        #expect(second.stop() == 0, "\(second.output)")
        #expect(try aggregator.own("heapwire_gap_frames_total") == 0)
        let held = try aggregator.everything(node: "here")
        let times = try seconds(try #require(held["/metrics/memory/usage"]))
        #expect(try #require(times.first) - start.timeIntervalSince1970 < 1.5, "\(times)")
        // At the restart one step can be missing, nowhere else.
        let distances = times.adjacent { $1 - $0 }
        #expect(distances.filter { $0 != 1 }.count <= 1, "\(times)")
        #expect(distances.allSatisfy { $0 <= 2 }, "\(times)")
        #expect(times.count >= 11)
        #expect(aggregator.program.stop() == 0)
    }

    /// ```
    /// aggregator  up ──── killed ─────────────────────── up ────────────────────
    /// agent       samples, acknowledged │ samples │ kill -9 │ dead │ samples again
    /// ```
    /// What was taken before the kill arrives, each once; the time in which the agent was dead is a gap.
    @Test(.timeLimit(.minutes(2))) func aKillOfTheAgentLosesNothingThatItHadSampled() throws {
        let (aggregator, reference) = (
            try TestAggregator("away", in: folder.url),
            try TestAggregator("reference", in: folder.url)
        )
        let spool = folder.url.appendingPathComponent("spool")
        try FileManager.default.createDirectory(at: spool, withIntermediateDirectories: true)
        func startAgent() throws -> RunningProgram {
            try RunningProgram(
                "heapwire-agent",
                [aggregator, reference].map { "--aggregator=127.0.0.1:\($0.ingest)" }
                    + ["--node-name=here", "--resolution=250ms", "--spool-dir=\(spool.path)"],
                in: folder.url)
        }
        let agent = try startAgent()
        try waitUntil { try reference.own("heapwire_ingest_frames_total") >= 8 }
        aggregator.program.stop(SIGKILL)
        let away = try reference.own("heapwire_ingest_frames_total")
        try waitUntil { try reference.own("heapwire_ingest_frames_total") >= away + 12 }
        agent.stop(SIGKILL)
        // The reference was never away: it holds what was taken, and nobody was told of a loss.
        let before = try #require(try reference.everything(node: "here")["/metrics/memory/usage"])
        #expect(before.count >= 4)
        Thread.sleep(forTimeInterval: 4)
        try aggregator.startAgain()
        let second = try startAgent()
        _ = try second.wait(for: /frames of the last process are there/)
        let frames = try reference.own("heapwire_ingest_frames_total")
        try waitUntil { try reference.own("heapwire_ingest_frames_total") >= frames + 12 }
        try waitUntil {
            try aggregator.own("heapwire_samples_total") >= reference.own("heapwire_samples_total")
        }
        #expect(second.stop() == 0, "\(second.output)")
        #expect(
            try aggregator.own("heapwire_samples_total") == reference.own("heapwire_samples_total"))
        for other in [aggregator, reference] {
            #expect(try other.own("heapwire_gap_frames_total") == 0, "\(other.name)")
        }
        let (held, expected) = (
            try aggregator.everything(node: "here"), try reference.everything(node: "here")
        )
        #expect(held.count == expected.count && held.count > 10)
        for (path, points) in expected where held[path] != points {
            Issue.record("\(path) is \(held[path] ?? []), not \(points)")
        }
        let usage = try #require(held["/metrics/memory/usage"])
        #expect(Array(usage.prefix(before.count)) == before, "\(usage)")
        let distances = try seconds(usage).adjacent { $1 - $0 }
        #expect(distances.filter { $0 > 1 }.count == 1, "one gap: \(usage)")
        #expect(try #require(distances.max()) >= 4, "\(usage)")
        for other in [aggregator, reference] { #expect(other.program.stop() == 0) }
    }

    /// Asks until something holds, a minute at most.
    private func waitUntil(_ holds: () throws -> Bool) throws {
        let deadline = Date().addingTimeInterval(60)
        while try !holds() {
            guard Date() < deadline else {
                throw RunningProgram.Failure(description: "nothing came of it in a minute")
            }
            Thread.sleep(forTimeInterval: 0.1)
        }
    }

    /// The timestamps of points, seconds since the epoch.
    private func seconds(_ points: [String]) throws -> [Double] {
        try points.map { point in
            let text = String(point.prefix { $0 != " " })
            return try #require(ISO8601DateFormatter().date(from: text)).timeIntervalSince1970
        }
    }

    /// Waits until the others are at most a frame behind.
    private func waitUntilNearlyEqual(
        _ reference: TestAggregator, _ others: [TestAggregator]
    ) throws {
        let deadline = Date().addingTimeInterval(60)
        var behind: [String] = ["nobody was asked"]
        while !behind.isEmpty, Date() < deadline {
            Thread.sleep(forTimeInterval: 1)
            let samples = try reference.own("heapwire_samples_total")
            behind = try others.filter {
                try $0.own("heapwire_samples_total") < samples * 99 / 100
            }.map(\.name)
        }
        #expect(behind.isEmpty, "still behind: \(behind)")
    }
}

extension Array {
    /// What each element and the one after it come to.
    fileprivate func adjacent<Result>(_ body: (Element, Element) -> Result) -> [Result] {
        zip(self, dropFirst()).map { body($0, $1) }
    }
}
