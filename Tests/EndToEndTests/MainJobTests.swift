import Foundation
import TestSupport
import Testing

/// Both real programs, real cgroups, real load: sample, push, aggregate, answer.
@Suite(.serialized) struct MainJobTests {
    private static let unavailable = TestCgroup.unavailable
    private let folder: TemporaryFolder
    private let api: String
    private let aggregator: RunningProgram
    private let agent: RunningProgram
    private let podUID = UUID().uuidString.lowercased()
    private let pod: TestCgroup

    init() throws {
        folder = try TemporaryFolder()
        pod = try TestCgroup("kubepods/burstable/pod\(podUID)")
        let pods = try folder.write(
            Self.podList(uid: podUID, containers: ["busy": Self.busyID, "hog": Self.hogID]),
            to: "pods.json")
        aggregator = try RunningProgram(
            "heapwire-aggregator",
            [
                "--port=0", "--ingest-port=0", "--metric-resolution=1s", "--enable-debug-handlers",
                "--pods=\(pods.path)",
                "--log-level=info",
            ], in: folder.url)
        let ports = try aggregator.wait(
            for: /API on http:\/\/127\.0\.0\.1:(\d+), agents on 127\.0\.0\.1:(\d+)/)
        api = "http://127.0.0.1:\(ports.1)/api/v1/model"
        agent = try RunningProgram(
            "heapwire-agent", ["--aggregator=127.0.0.1:\(ports.2)", "--node-name=here"],
            in: folder.url)
    }

    private static let busyID = String(repeating: "b", count: 64)
    private static let hogID = String(repeating: "a", count: 64)

    private static func podList(uid: String, containers: [String: String]) -> String {
        let names = containers.keys.sorted()
        let spec = names.map { "{\"name\":\"\($0)\",\"resources\":{}}" }.joined(separator: ",")
        let status = names.map {
            "{\"name\":\"\($0)\",\"containerID\":\"containerd://\(containers[$0] ?? "")\"}"
        }.joined(separator: ",")
        return """
            {"kind":"List","apiVersion":"v1","items":[{"kind":"Pod","apiVersion":"v1",
            "metadata":{"name":"load","namespace":"e2e","uid":"\(uid)"},
            "spec":{"nodeName":"here","containers":[\(spec)]},
            "status":{"phase":"Running","containerStatuses":[\(status)]}}]}
            """
    }

    private struct Series: Decodable {
        struct Point: Decodable {
            let timestamp: String
            let value: Int64
        }
        let metrics: [Point]
    }

    private func series(_ path: String) throws -> [Series.Point] {
        let body = try httpGet("\(api)/\(path)")
        return try JSONDecoder().decode(Series.self, from: Data(body.utf8)).metrics
    }

    private func names(_ path: String) throws -> [String] {
        try JSONDecoder().decode([String].self, from: Data(try httpGet("\(api)/\(path)").utf8))
    }

    /// Sleeps until shortly after a whole second, when the agent has sampled.
    private func nextSecond() -> Int {
        let now = Date().timeIntervalSince1970
        let next = Int(now) + 1
        Thread.sleep(until: Date(timeIntervalSince1970: Double(next) + 0.005))
        return next
    }

    private func waitUntil(
        seconds: Double, _ what: String, _ condition: () throws -> Bool
    ) throws -> Double {
        let start = Date()
        while Date().timeIntervalSince(start) < seconds {
            if try condition() { return Date().timeIntervalSince(start) }
            Thread.sleep(forTimeInterval: 0.02)
        }
        throw RunningProgram.Failure(
            description:
                "\(what) did not happen in \(seconds) s\n\(aggregator.output)\n\(agent.output)"
        )
    }

    private func stopAll() {
        #expect(agent.stop() == 0, "\(agent.output)")
        #expect(aggregator.stop() == 0, "\(aggregator.output)")
    }

    /// Nanoseconds that a process has run, the scheduler's own count.
    private func runTime(of pid: Int32) throws -> Int64 {
        let text = try String(contentsOfFile: "/proc/\(pid)/schedstat", encoding: .utf8)
        return Int64(text.split(separator: " ").first ?? "") ?? 0
    }

    @Test(.enabled(if: unavailable == nil, "real cgroups: \(unavailable ?? "")"))
    func whatTheAPISaysIsWhatTheKernelSays() throws {
        let busy = try TestCgroup("\(pod.path)/\(Self.busyID)")
        let hog = try TestCgroup("\(pod.path)/\(Self.hogID)")
        defer {
            busy.remove()
            hog.remove()
            pod.remove()
        }
        let loop = try busy.run("sh", ["-c", "while :; do :; done"])
        try hog.run(
            "python3", ["-c", "import time; held = bytearray(64 << 20); time.sleep(600)"])
        let containers = "namespaces/e2e/pods/load/containers"
        _ = try waitUntil(seconds: 10, "both containers with a rate") {
            try series("\(containers)/busy/metrics/cpu/usage_rate").count >= 1
                && series("\(containers)/hog/metrics/cpu/usage_rate").count >= 1
        }

        let first = nextSecond()
        let before = try runTime(of: loop)
        Thread.sleep(until: Date(timeIntervalSince1970: Double(first + 5) + 0.005))
        let after = try runTime(of: loop)
        Thread.sleep(forTimeInterval: 0.5)
        let range =
            "?start=\(timestamp(first + 1))&end=\(timestamp(first + 5))"
        let rates = try series("\(containers)/busy/metrics/cpu/usage_rate\(range)")
        #expect(rates.count == 5)
        let average = Double(rates.map(\.value).reduce(0, +)) / Double(max(1, rates.count))
        let expected = Double(after - before) / 5e6
        #expect(abs(average - expected) <= 0.05 * expected, "\(average), /proc says \(expected)")

        // Exact to the page, at a moment when the kernel's own files stand still.
        var matched = false
        for _ in 0..<10 where !matched {
            let early = try hog.workingSet()
            _ = nextSecond()
            Thread.sleep(forTimeInterval: 0.3)
            let late = try hog.workingSet()
            let seen = try series("\(containers)/hog/metrics/memory/working_set").last?.value
            matched = early == late && seen == late
        }
        #expect(matched, "memory/working_set is never what memory.stat says")
        #expect(try names("namespaces/e2e/pods/load/containers") == ["busy", "hog"])
        stopAll()
    }

    @Test(.enabled(if: unavailable == nil, "real cgroups: \(unavailable ?? "")"))
    func aContainerThatStartsOrEndsIsSeenWithinOneStep() throws {
        defer { pod.remove() }
        let hog = try TestCgroup("\(pod.path)/\(Self.hogID)")
        defer { hog.remove() }
        try hog.run("sleep", ["600"])
        let path = "namespaces/e2e/pods/load/containers"
        _ = try waitUntil(seconds: 10, "the first container") { try names(path).contains("hog") }
        // A step is a second; beyond it only what asking costs.
        let busy = try TestCgroup("\(pod.path)/\(Self.busyID)")
        try busy.run("sleep", ["600"])
        let seenAfter = try waitUntil(seconds: 5, "the new container") {
            try httpGet("\(api)/debug/allkeys").contains("container:busy")
        }
        #expect(seenAfter <= 1.3, "seen after \(seenAfter) s")
        busy.remove()
        let goneAfter = try waitUntil(seconds: 5, "the end of the container") {
            // It stays listed, as specified but not read: without figures of its own.
            try !isRead(container: "busy")
        }
        #expect(goneAfter <= 1.3, "gone after \(goneAfter) s")
        stopAll()
    }

    /// Whether the newest batch has figures of a container's cgroup.
    private func isRead(container: String) throws -> Bool {
        let export = try httpGet(
            api.replacingOccurrences(of: "/model", with: "/metric-export"))
        let sets = try JSONSerialization.jsonObject(with: Data(export.utf8)) as? [[String: Any]]
        return (sets ?? []).contains { set in
            (set["labels"] as? [String: String])?["container_name"] == container
                && (set["metrics"] as? [String: Any])?["memory/usage"] != nil
        }
    }

    private func timestamp(_ seconds: Int) -> String {
        ISO8601DateFormatter().string(from: Date(timeIntervalSince1970: Double(seconds)))
    }
}
