import Foundation
import Glibc
import Testing
import Wire

@testable import Aggregator

/// Backends that go away, come back, and misbehave.
@Suite(.serialized)
struct SinksOutageTests {
    /// The backend is killed and comes back; meanwhile the aggregator's files are taken as `kill -9`
    /// would leave them, and another one goes on from there. Every point is in the backend.
    @Test(.enabled(if: BackendServer.has("influxd")))
    func anOutageOfBackendAndAggregatorLosesNoPoint() throws {
        let server = try SinksServerTests.influx()
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let flag = "influxdb:http://127.0.0.1:\(server.port)?timeout=2s"
        let cycles = SinkRun.cycles(60)

        let first = try SinkRun.make(flag, dataDirectory: "\(folder.path)/first")
        for cycle in cycles[..<20] { first.offer(SinkRun.batch(cycle), waitingUntil: .max) }
        #expect(SinkRun.wait { first.statuses[0].deliveredPoints == 500 }, "\(first.statuses)")
        // InfluxDB's own log is synchronised with every write: what it took, it has.
        server.kill()
        for cycle in cycles[20..<40] { first.offer(SinkRun.batch(cycle), waitingUntil: .max) }
        #expect(SinkRun.wait { first.statuses[0].queuedRequests >= 20 }, "\(first.statuses)")
        #expect(first.statuses[0].isFailing && first.statuses[0].lastError != nil)
        try FileManager.default.copyItem(
            atPath: "\(folder.path)/first", toPath: "\(folder.path)/second")

        let second = try SinkRun.make(flag, dataDirectory: "\(folder.path)/second")
        #expect(second.statuses[0].queuedRequests == 20)
        for cycle in cycles[40...] { second.offer(SinkRun.batch(cycle), waitingUntil: .max) }
        first.stop(timeoutMilliseconds: 0)
        try server.start()
        second.stop(timeoutMilliseconds: 60_000)
        #expect(second.statuses[0].queuedRequests == 0, "\(second.statuses)")
        for metric in ["cpu/usage", "cpu/usage_rate", "filesystem/usage", "memory/usage"] {
            let count = try SinksServerTests.influxNumber(
                server, "SELECT COUNT(value) FROM \"\(metric)\"")
            #expect(count == 60 * 5, "\(metric)")
        }
        let left = try FileManager.default.subpathsOfDirectory(atPath: "\(folder.path)/second")
        #expect(left.filter { $0.hasSuffix(".queue") || $0.hasSuffix(".done") } == [])
    }

    /// The backend is killed and restarted again and again while cycles come.
    @Test(.enabled(if: BackendServer.has("influxd")))
    func aBackendThatKeepsDyingGetsEverything() throws {
        let server = try SinksServerTests.influx()
        let set = try SinkRun.make(
            "influxdb:http://127.0.0.1:\(server.port)?timeout=1s&concurrency=2")
        let cycles = SinkRun.cycles(90)
        for (index, cycle) in cycles.enumerated() {
            if index % 30 == 10 { server.kill() }
            if index % 30 == 20 { try server.start() }
            set.offer(SinkRun.batch(cycle))
            usleep(20_000)
        }
        set.stop(timeoutMilliseconds: 60_000)
        #expect(set.statuses[0].queuedRequests == 0, "\(set.statuses)")
        let count = try SinksServerTests.influxNumber(
            server, "SELECT COUNT(value) FROM \"memory/usage\"")
        #expect(count == 90 * 5)
    }

    /// Redis, which writes every command down before it says yes, is killed and comes back; meanwhile the
    /// aggregator's files are taken over by another one. No set is missing, and what is repeated is one
    /// request at most.
    @Test(.enabled(if: BackendServer.has("redis-server")))
    func anOutageOfRedisAndAggregatorLosesNoSet() throws {
        let path = try #require(BackendServer.find("redis-server"))
        let server = try BackendServer(path) { folder, port in
            [
                "--port", "\(port)", "--bind", "127.0.0.1", "--dir", folder.path, "--save", "",
                "--appendonly", "yes", "--appendfsync", "always",
            ]
        }
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let flag = "redis:127.0.0.1:\(server.port)?key=k&length=10000&timeout=2s"
        let cycles = SinkRun.cycles(30)
        let first = try SinkRun.make(flag, dataDirectory: "\(folder.path)/first")
        for cycle in cycles[..<10] { first.offer(SinkRun.batch(cycle), waitingUntil: .max) }
        #expect(SinkRun.wait { first.statuses[0].deliveredRequests == 10 }, "\(first.statuses)")
        server.kill()
        for cycle in cycles[10..<20] { first.offer(SinkRun.batch(cycle), waitingUntil: .max) }
        #expect(SinkRun.wait { first.statuses[0].queuedRequests == 10 }, "\(first.statuses)")
        try FileManager.default.copyItem(
            atPath: "\(folder.path)/first", toPath: "\(folder.path)/second")
        first.stop(timeoutMilliseconds: 0)
        let second = try SinkRun.make(flag, dataDirectory: "\(folder.path)/second")
        for cycle in cycles[20...] { second.offer(SinkRun.batch(cycle), waitingUntil: .max) }
        #expect(SinkRun.wait { second.statuses[0].queuedRequests == 20 }, "\(second.statuses)")
        try server.start()
        second.stop(timeoutMilliseconds: 60_000)
        #expect(second.statuses[0].queuedRequests == 0, "\(second.statuses)")
        let rows = try SinksServerTests.output(
            "/usr/bin/redis-cli", ["-p", "\(server.port)", "LRANGE", "k", "0", "-1"]
        ).split(separator: "\n")
        var times: [String] = []
        for row in rows.reversed() {
            let set = try JSONSerialization.jsonObject(with: Data(row.utf8)) as? [String: Any]
            times.append(try #require(set?["timestamp"] as? String))
        }
        // In order, five sets each.
        let expected = cycles.flatMap {
            Array(repeating: RFC3339.string(milliseconds: $0), count: 5)
        }
        #expect(times == expected)
    }

    private static func deliver(
        _ script: [SinkBackendServer.Answer], cycles: Int = 1,
        waits: Bool = false, timeout: String = "30s", timeoutMilliseconds: Int64 = 60_000
    ) throws -> (SinkStatus, [SinkBackendServer.Request]) {
        let server = try SinkBackendServer(script)
        defer { server.stop() }
        let set = try SinkRun.make(
            "opentsdb:http://127.0.0.1:\(server.port)?timeout=\(timeout)")
        for cycle in SinkRun.cycles(cycles) {
            set.offer(SinkRun.batch(cycle), waitingUntil: .max)
        }
        // Stopping tries at once, whatever the back-off says.
        if waits { #expect(SinkRun.wait { set.statuses[0].queuedRequests == 0 }) }
        set.stop(timeoutMilliseconds: timeoutMilliseconds)
        return (set.statuses[0], server.requests)
    }

    @Test func failuresOfTheMomentAreTriedAgain() throws {
        let answers: [SinkBackendServer.Answer] = [
            .status(500, body: "oh"), .status(503), .status(401), .cut("HTTP/1.1 200 O"),
            .cut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), .cut(""),
            .cut("no HTTP at all\r\n\r\n"), .silence(milliseconds: 700),
            .cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ]
        for answer in answers {
            var isSilent = false
            if case .silence = answer { isSilent = true }
            let (status, requests) = try Self.deliver(
                [answer, .status(204)], timeout: isSilent ? "500ms" : "30s")
            // On a busy machine more than the silent one may be too slow for half a second.
            let isCounted = status.retriedRequests == 1 || isSilent && status.retriedRequests > 1
            #expect(isCounted && status.queuedRequests == 0, "\(answer) \(status)")
            #expect(status.deliveredPoints == 25 && status.refusedRequests == 0)
            #expect(requests.count == 2 || isSilent && requests.count > 2, "\(answer)")
            #expect(requests.allSatisfy { $0.body == requests[0].body })
            #expect(status.lastError?.isEmpty == false)
        }
    }

    @Test func retryAfterIsObeyed() throws {
        let (status, requests) = try Self.deliver(
            [.status(429, fields: "Retry-After: 2\r\n"), .status(200)], waits: true)
        #expect(status.deliveredRequests == 1)
        let waited = requests[1].time - requests[0].time
        #expect(waited >= 2_000_000_000 && waited < 60_000_000_000, "\(waited)")
    }

    @Test func aRefusedRequestIsSetAsideAndDoesNotStopTheRest() throws {
        let (status, requests) = try Self.deliver(
            [.status(204), .status(400, body: "what?"), .status(204)], cycles: 5)
        #expect(status.refusedRequests == 1 && status.refusedPoints == 25, "\(status)")
        #expect(status.deliveredRequests == 4 && requests.count == 5)
        #expect(status.lastError == "HTTP 400 what?")
    }

    @Test func shutdownKeepsItsTimeAndSaysWhatIsLeft() throws {
        let start = Clock.system.monotonicNanoseconds
        let (status, _) = try Self.deliver(
            [.silence(milliseconds: 300)], cycles: 2, timeoutMilliseconds: 1_000)
        let took = Clock.system.monotonicNanoseconds - start
        #expect(took < 30_000_000_000, "\(took)")
        #expect(status.queuedRequests == 2 && status.deliveredRequests == 0)
    }

    /// A sink whose backend says nothing at all must not slow another.
    @Test func aDeadSinkSlowsNoOther() throws {
        let dead = try SinkBackendServer([.silence(milliseconds: 5_000)])
        let alive = try SinkBackendServer([.status(204)])
        let sinks = try [dead, alive].map { server in
            try #require(
                try ConfiguredSink.make("opentsdb:http://127.0.0.1:\(server.port)?timeout=10s"))
        }
        let set = try SinkSet(sinks, dataDirectory: nil)
        try set.start()
        for cycle in SinkRun.cycles(50) { set.offer(SinkRun.batch(cycle), waitingUntil: .max) }
        #expect(
            SinkRun.wait { set.statuses[1].deliveredRequests == 50 }, "\(set.statuses)")
        #expect(set.statuses.map(\.name) == ["opentsdb", "opentsdb-2"])
        #expect(set.statuses[0].deliveredRequests == 0)
        set.stop(timeoutMilliseconds: 100)
        alive.stop()
        dead.stop()
    }
}
