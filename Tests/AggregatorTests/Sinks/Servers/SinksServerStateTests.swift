import Foundation
import Testing
import Wire

@testable import Aggregator

/// What real servers hold beside points: databases and policies that somebody takes away, and points that are
/// written again with other values.
@Suite(.serialized)
struct SinksServerStateTests {
    private func query(_ server: BackendServer, _ text: String) throws -> String {
        let answer = try server.http(.post, "/query?q=\(URLText.encode(text))")
        #expect(answer.status == 200 && !answer.excerpt.contains("error"), "\(answer.excerpt)")
        return String(decoding: answer.body, as: UTF8.self)
    }

    /// A database that was there, another duration, and what is dropped while the sink runs.
    @Test(.enabled(if: BackendServer.has("influxd")), arguments: ["", "&retention=72h"])
    func influxDBsDatabaseAndPolicyAreMadeAndKept(retention: String) throws {
        let server = try SinksServerTests.influx()
        let cycles = SinkRun.cycles(4)
        _ = try query(server, "CREATE DATABASE k8s")
        let flag = "influxdb:http://127.0.0.1:\(server.port)?rp=month\(retention)"
        let duration = retention.isEmpty ? "0s" : "72h0m0s"
        func policies() throws -> String { try query(server, "SHOW RETENTION POLICIES ON k8s") }
        if !retention.isEmpty {
            try SinkRun.send(flag.replacing("72h", with: "48h"), cycles: [cycles[0]])
            #expect(try policies().contains("[\"month\",\"48h0m0s\""))
        }
        let set = try SinkRun.make(flag)
        set.offer(SinkRun.batch(cycles[1]))
        #expect(
            SinkRun.wait(seconds: 60) { set.statuses[0].deliveredRequests == 1 },
            "\(set.statuses)")
        #expect(try policies().contains("[\"month\",\"\(duration)\""))
        for (statement, cycle) in zip(
            ["DROP RETENTION POLICY month ON k8s", "DROP DATABASE k8s"], cycles[2...])
        {
            _ = try query(server, statement)
            let before = set.statuses[0].deliveredRequests
            set.offer(SinkRun.batch(cycle))
            #expect(
                SinkRun.wait(seconds: 60) { set.statuses[0].deliveredRequests == before + 1 },
                "\(statement): \(set.statuses)")
            #expect(try policies().contains("[\"month\",\"\(duration)\""), "\(statement)")
            let count = try SinksServerTests.influxNumber(
                server, "SELECT COUNT(value) FROM month.\"cpu/usage\" WHERE time = \(cycle)ms")
            #expect(count == 5, "\(statement)")
        }
        set.stop(timeoutMilliseconds: 60_000)
        #expect(set.statuses[0].refusedRequests == 0 && set.statuses[0].queuedRequests == 0)
    }

    /// What Heapster left behind: a policy without an end, whose shards are longer than what is to be kept now.
    @Test(.enabled(if: BackendServer.has("influxd")))
    func aPolicyWithoutAnEndGetsOne() throws {
        let server = try SinksServerTests.influx()
        _ = try query(server, "CREATE DATABASE k8s WITH NAME \"default\"")
        try SinkRun.send(
            "influxdb:http://127.0.0.1:\(server.port)?retention=48h", cycles: SinkRun.cycles(1))
        #expect(
            try query(server, "SHOW RETENTION POLICIES ON k8s")
                .contains("[\"default\",\"48h0m0s\",\"24h0m0s\",1,true]"))
    }

    /// Sends a cycle, and once more as a late node's coming has amended it.
    private func sendAmended(_ flag: String, cycle: Int64) throws {
        let set = try SinkRun.make(flag)
        set.offer(SinkRun.batch(cycle))
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].deliveredRequests == 1 })
        var amended = SinkRun.batch(cycle)
        (amended.isAmendment, amended.lateness) = (true, .outOfOrder)
        for index in amended.sets.indices {
            amended.sets[index].values[2].value = .integer(Int64(index) + 7)
        }
        set.offer(amended)
        set.stop(timeoutMilliseconds: 60_000)
        #expect(set.statuses[0].deliveredRequests == 2, "\(set.statuses)")
    }

    @Test(.enabled(if: BackendServer.has("influxd")), arguments: [false, true])
    func anAmendedCycleReplacesTheOldOneInInfluxDB(withFields: Bool) throws {
        let server = try SinksServerTests.influx()
        try sendAmended(
            "influxdb:http://127.0.0.1:\(server.port)?withfields=\(withFields)",
            cycle: SinkRun.cycles(1)[0])
        let (field, from) = withFields ? ("usage", "memory") : ("value", "memory/usage")
        func number(_ function: String) throws -> Int {
            try SinksServerTests.influxNumber(
                server, "SELECT \(function)(\"\(field)\") FROM \"\(from)\"")
        }
        #expect(try number("COUNT") == 5)
        #expect(try number("SUM") == 7 + 8 + 9 + 10 + 11)
    }

    @Test(.enabled(if: SinkPrograms.arePresent))
    func anAmendedCycleReplacesTheOldOneInOpenSearch() throws {
        let server = try SinkPrograms.openSearch()
        try sendAmended(
            "opensearch:http://127.0.0.1:\(server.port)", cycle: SinkRun.cycles(1)[0])
        let found = try server.json("/heapster-*/_search?size=100")
        let hits = try #require((found["hits"] as? [String: Any])?["hits"] as? [[String: Any]])
        #expect(hits.count == 5 * 3)
        let values = hits.compactMap { hit -> Int? in
            let source = hit["_source"] as? [String: Any]
            let metrics = source?["Metrics"] as? [String: [String: Any]]
            return metrics?["memory/usage"]?["value"] as? Int
        }
        #expect(values.sorted() == [7, 8, 9, 10, 11])
    }

    @Test(.enabled(if: CarbonServer.isThere))
    func anAmendedCycleReplacesTheOldOneInWhisper() throws {
        let server = try CarbonServer.start()
        let cycle = SinkRun.cycles(1)[0]
        try sendAmended("graphite:tcp://127.0.0.1:\(server.port)", cycle: cycle)
        let path = "kubernetes.nodes.node-a.pods.default.web-3.containers.app.memory.usage"
        let isThere = try SinkRun.wait(seconds: 60) {
            try CarbonServer.values(server, path, since: cycle) == [10]
        }
        #expect(isThere)
    }
}
