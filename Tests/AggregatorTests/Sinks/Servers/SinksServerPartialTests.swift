import Foundation
import Testing
import Wire

@testable import Aggregator

/// Requests of which a backend takes only a part: what it refused is set aside alone, what it could not do now
/// is sent again alone, and all else is there.
@Suite(.serialized)
struct SinksServerPartialTests {
    /// Sends one batch with the queue on disk. Returns the sink's status and the bodies in its dead-letter file.
    private func send(
        _ flag: String, _ batch: RecordedBatch
    ) throws -> (status: SinkStatus, letters: String) {
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let separator = flag.contains("?") ? "&" : "?"
        let set = try SinkRun.make("\(flag)\(separator)name=s", dataDirectory: folder.path)
        set.offer(batch)
        set.stop(timeoutMilliseconds: 60_000)
        let file = folder.appendingPathComponent("sinks/s/refused")
        let exists = FileManager.default.fileExists(atPath: file.path)
        let letters = exists ? try String(contentsOf: file, encoding: .utf8) : ""
        #expect(set.statuses[0].queuedRequests == 0, "\(set.statuses)")
        return (set.statuses[0], letters)
    }

    /// With a database of the sink's own, and what somebody else wrote into it.
    private func influx(_ statements: [String], _ lines: [String] = []) throws -> BackendServer {
        let server = try SinksServerTests.influx()
        for text in statements {
            _ = try server.http(.post, "/query?q=\(URLText.encode(text))")
        }
        for line in lines {
            let answer = try server.http(.post, "/write?db=k8s", body: line)
            #expect(answer.status == 204, "\(answer.excerpt)")
        }
        return server
    }

    private func isCounted(
        _ server: BackendServer, _ field: String, _ measurement: String, _ count: Int
    ) throws -> Bool {
        try SinksServerTests.influxNumber(
            server,
            "SELECT COUNT(\"\(field)\") FROM \"\(measurement)\" WHERE type = 'pod_container'")
            == count
    }

    private static let database = "CREATE DATABASE k8s WITH NAME \"default\""

    @Test(.enabled(if: BackendServer.has("influxd")), arguments: [false, true])
    func influxDBsTypeConflictCostsOneMeasurement(isCompressed: Bool) throws {
        let server = try influx([Self.database], ["memory/usage,x=y value=\"text\""])
        let (status, letters) = try send(
            "influxdb:http://127.0.0.1:\(server.port)?gzip=\(isCompressed)",
            SinkRun.batch(SinkRun.cycles(1)[0]))
        #expect(status.refusedRequests == 1 && status.refusedPoints == 5, "\(status)")
        #expect(status.deliveredPoints == 20 && status.retriedRequests == 0, "\(status)")
        let lines = letters.split(separator: "\n")
        #expect(lines[0].contains("5 points: HTTP 400 partial write: field type conflict"))
        #expect(lines.dropFirst().count == 5, "\(letters)")
        #expect(lines.dropFirst().allSatisfy { $0.hasPrefix("memory/usage,") }, "\(letters)")
        #expect(try isCounted(server, "value", "cpu/usage_rate", 5))
        #expect(try isCounted(server, "value", "memory/usage", 0))
    }

    /// With fields, a line has all metrics of a family: only the field in conflict is refused.
    @Test(.enabled(if: BackendServer.has("influxd")))
    func influxDBsConflictsCostFieldsNotLines() throws {
        let server = try influx(
            [Self.database],
            ["cpu,x=y usage=\"text\"", "memory,x=y usage=true", "filesystem,x=y usage=2.5"])
        let (status, letters) = try send(
            "influxdb:http://127.0.0.1:\(server.port)?withfields=true",
            SinkRun.batch(SinkRun.cycles(1)[0]))
        #expect(status.refusedPoints == 15 && status.deliveredPoints == 10, "\(status)")
        let refused = letters.split(separator: "\n").dropFirst()
        #expect(refused.count == 15, "\(letters)")
        for family in ["cpu", "memory", "filesystem"] {
            let own = refused.filter { $0.hasPrefix("\(family),") }
            #expect(own.count == 5 && own.allSatisfy { $0.contains(" usage=") }, "\(letters)")
        }
        #expect(!letters.contains("usage_rate=") && !letters.contains("page_faults_rate="))
        #expect(try isCounted(server, "usage_rate", "cpu", 5))
        #expect(try isCounted(server, "page_faults_rate", "memory", 5))
    }

    @Test(.enabled(if: BackendServer.has("influxd")), arguments: [false, true])
    func whatIsOlderThanInfluxDBsPolicyIsSetAside(withFields: Bool) throws {
        let server = try influx(
            ["CREATE DATABASE k8s WITH DURATION 1h NAME \"default\""])
        let flag = "influxdb:http://127.0.0.1:\(server.port)?withfields=\(withFields)"
        let now = SinkRun.cycles(1)[0]
        let (status, letters) = try send(flag, SinkRun.batch(now - 86_400_000 * 2))
        #expect(status.refusedPoints == 25 && status.deliveredPoints == 0, "\(status)")
        #expect(letters.contains("points beyond retention policy"), "\(letters.prefix(300))")
        #expect(letters.split(separator: "\n").count - 1 == (withFields ? 15 : 25))
        #expect(try send(flag, SinkRun.batch(now)).status.deliveredPoints == 25)
    }

    /// A limit on tags' values names nothing that can be looked up: a few lines are searched for.
    @Test(.enabled(if: BackendServer.has("influxd")))
    func linesThatInfluxDBDoesNotNameAreFound() throws {
        let server = try SinksServerTests.influx(data: "max-values-per-tag = 9")
        let cycle = SinkRun.cycles(1)[0]
        let flag = "influxdb:http://127.0.0.1:\(server.port)?metrics=cpu/usage_rate"
        // The limit counts what is there before a request.
        #expect(try send(flag, SinkRun.batch(cycle - 10_000, pods: 9)).status.deliveredPoints == 9)
        let (status, letters) = try send(flag, SinkRun.batch(cycle, pods: 10))
        #expect(status.refusedPoints == 1 && status.deliveredPoints == 9, "\(status) \(letters)")
        let refused = letters.split(separator: "\n").dropFirst()
        #expect(
            refused.count == 1 && refused.first?.contains("pod_name=web-9") == true, "\(letters)")
        #expect(try isCounted(server, "value", "cpu/usage_rate", 18))
    }

    // MARK: Points told apart

    /// Of 25 points five were refused and five taken at the third time; the recorder's lines.
    private func expectToldApart(
        _ status: SinkStatus, _ server: BackendServer
    ) throws -> [[String: Any]] {
        #expect(status.refusedPoints == 5 && status.deliveredPoints == 20, "\(status)")
        #expect(status.retriedRequests == 2, "\(status)")
        let lines = try SinkPrograms.objects(server.output)
        #expect(lines.allSatisfy { $0["violation"] == nil }, "\(server.output)")
        #expect(lines.compactMap { $0["points"] as? Int } == [25, 5, 5], "\(server.output)")
        return lines
    }

    // MARK: OpenTSDB

    private func openTSDB(_ options: [String]) throws -> BackendServer {
        try SinkPrograms.server("recorder.py", ["opentsdb"] + options)
    }

    @Test(.enabled(if: SinkPrograms.arePresent))
    func openTSDBsPointsAreToldApart() throws {
        let server = try openTSDB(["refuse=memory_usage_gauge", "throttle=cpu_usage_rate_gauge,2"])
        let (status, letters) = try send(
            "opentsdb:http://127.0.0.1:\(server.port)?sync=true",
            SinkRun.batch(SinkRun.cycles(1)[0]))
        let lines = try expectToldApart(status, server)
        #expect(lines.last?["stored"] as? Int == 20)
        let letter = try #require(letters.split(separator: "\n").last)
        let refused = try #require(
            try JSONSerialization.jsonObject(with: Data(letter.utf8)) as? [[String: Any]])
        #expect(
            refused.compactMap { $0["metric"] as? String }
                == .init(repeating: "memory_usage_gauge", count: 5))
        #expect(letters.contains("Unknown metric"))
    }

    /// A server that only counts: all is set aside, and counted as it says.
    @Test(.enabled(if: SinkPrograms.arePresent))
    func openTSDBThatOnlyCountsIsBelieved() throws {
        let server = try openTSDB(["refuse=memory_usage_gauge", "summary=1"])
        let (status, _) = try send(
            "opentsdb:http://127.0.0.1:\(server.port)", SinkRun.batch(SinkRun.cycles(1)[0]))
        #expect(status.refusedPoints == 5 && status.deliveredPoints == 20, "\(status)")
    }

    // MARK: Cloud Monitoring

    @Test(.enabled(if: SinkPrograms.arePresent))
    func cloudMonitoringsSeriesAreToldApart() throws {
        // 14 is UNAVAILABLE, 3 INVALID_ARGUMENT.
        let server = try SinkPrograms.server(
            "recorder.py",
            [
                "monitoring", "project=p-1", "fail=/cpu/usage_rate,14,2",
                "failtoo=/memory/usage,3,9",
            ])
        let (status, letters) = try send(
            "gcm:?project=p-1&api=http://127.0.0.1:\(server.port)&metadata=127.0.0.1:\(server.port)",
            SinkRun.batch(SinkRun.cycles(1)[0]))
        let lines = try expectToldApart(status, server)
        #expect(lines.last?["written"] as? Int == 20, "\(server.output)")
        #expect(letters.contains("no /memory/usage today"), "\(letters.prefix(600))")
        let letter = try #require(letters.split(separator: "\n").last)
        let object = try JSONSerialization.jsonObject(with: Data(letter.utf8)) as? [String: Any]
        #expect((object?["timeSeries"] as? [Any])?.count == 5)
    }
}
