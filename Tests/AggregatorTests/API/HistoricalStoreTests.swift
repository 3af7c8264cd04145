import Foundation
import Glibc
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// The historical API over real stores that our own sinks filled. What was sent is the oracle.
@Suite(.serialized) struct HistoricalStoreTests {
    private static let kinds: [Entity] = [
        .cluster, .namespace("default"), .node("node-a"),
        .systemContainer(node: "node-a", name: "kubelet"),
        .pod(namespace: "default", name: "web-0"), .pod(namespace: "default", name: "web-1"),
        .container(namespace: "default", pod: "web-0", name: "app"),
        .container(namespace: "default", pod: "web-1", name: "it's \"1\""),
        .workload(Workload(kind: "Deployment", namespace: "default", name: "web")),
    ]

    private static func value(
        _ metric: String, _ place: Int, _ cycle: Int64
    ) -> MetricValue {
        let step = cycle / 10_000 % 1_000
        switch metric {
        // VictoriaMetrics keeps 15 digits or so.
        case "cpu/usage": return .integer(cycle % 1_000_000 * 1_000 + Int64(place))
        case "cpu/usage_rate": return .integer((step * 7 + Int64(place)) % 997)
        case "memory/usage": return .integer(1 << 30 + Int64(place) * 4_096 + step)
        case "memory/page_faults_rate": return .float(Double(step) / 8 + Double(place))
        default: return .integer(4_096 + Int64(place) + step)
        }
    }

    private static let metrics = [
        "cpu/usage", "cpu/usage_rate", "memory/usage", "memory/page_faults_rate",
    ]

    private static func batch(_ cycle: Int64) -> RecordedBatch {
        let sets = kinds.enumerated().map { place, entity in
            let stored = StoredEntity(entity)
            var set = MetricSet()
            set.kind = stored.kind
            set.labels = [Label(key: "type", value: stored.kind.rawValue)]
            set.labels += stored.labels.map { Label(key: $0.key, value: $0.value) }
            if stored.kind == .pod || stored.kind == .container {
                set.labels.append(Label(key: "pod_id", value: "uid-\(place)"))
            }
            set.labels.sort { $0.key < $1.key }
            set.values = metrics.compactMap { name in
                Catalog.metric(named: name).map {
                    MetricSample(.catalogue($0.id), value(name, place, cycle))
                }
            }
            set.labeledValues = ["/", "logs"].enumerated().map { number, label in
                LabeledSample(
                    metric: .catalogue(.filesystemUsage),
                    labels: [Label(key: "resource_id", value: label)],
                    value: value("filesystem/usage", place * 10 + number, cycle))
            }
            return set
        }
        return RecordedBatch(timestamp: cycle, sets: sets)
    }

    private static func fill(_ flag: String, _ cycles: [Int64]) throws {
        let set = try SinkRun.make(flag)
        for cycle in cycles {
            set.offer(batch(cycle))
            usleep(2_000)
        }
        set.stop(timeoutMilliseconds: 20_000)
        let status = set.statuses[0]
        #expect(status.queuedRequests == 0 && status.refusedRequests == 0, "\(status)")
    }

    /// What was sent, as a source of its own.
    private struct Sent: HistoricalSource {
        let cycles: [Int64]

        func series(_ question: HistoricalQuestion) throws(HistoricalFailure) -> [[SeriesPoint]] {
            question.entities.map { entity in
                guard let place = place(of: entity) else { return [] }
                var number = place
                switch question.labels["resource_id"] {
                case nil:
                    guard metrics.contains(question.metric) else { return [] }
                case "/"?: number = place * 10
                case .some: number = place * 10 + 1
                }
                return cycles.filter { $0 >= question.start && $0 <= question.end }.map {
                    SeriesPoint(cycle: $0, value: value(question.metric, number, $0))
                }
            }
        }

        private func place(of entity: Entity) -> Int? {
            switch entity {
            case .pod(unknownNamespace, let uid): Int(uid.dropFirst(4))
            case .container(unknownNamespace, let uid, _): Int(uid.dropFirst(4))
            default: kinds.firstIndex(of: entity)
            }
        }

        func metricNames(of entity: Entity) -> [String] { metrics.sorted() }
        func nodes() -> [String] { ["node-a"] }
        func systemContainers(of node: String) -> [String] { ["kubelet"] }
        func namespaces() -> [String] { ["default"] }
        func pods(in namespace: String) -> [String] { ["web-0", "web-1"] }
        func containers(namespace: String, pod: String) -> [String] {
            pod == "web-0" ? ["app"] : ["it's \"1\""]
        }
    }

    private func answer(_ source: any HistoricalSource, _ target: String) throws -> String {
        var router = Router()
        HistoricalAPI(source: source, pointCountMax: 40).register(in: &router)
        let request = try get("/api/v1/historical" + target)
        guard case .handler(let handler) = router.route(request),
            case .onWorker(let work) = handler(request)
        else { return "no route" }
        let response = work(request)
        guard case .bytes(let body) = response.body else { return "no body" }
        return "\(response.status.code) \(String(decoding: body, as: UTF8.self))"
    }

    /// Every path with the same answer as of what was sent.
    private func compare(_ source: any HistoricalSource, _ cycles: [Int64]) throws {
        let sent = Sent(cycles: cycles)
        func time(_ place: Int) -> String {
            var writer = JSONWriter()
            writer.time(milliseconds: cycles[place])
            return String(decoding: writer.bytes, as: UTF8.self).filter { $0 != "\"" }
        }
        let (start, end) = ("start=\(time(1))", "end=\(time(cycles.count - 2))")
        let odd = "it%27s%20%221%22"
        var targets = [
            "/metrics", "/nodes", "/nodes/node-a/metrics", "/nodes/node-a/freecontainers",
            "/namespaces", "/namespaces/default/pods", "/namespaces/default/pods/web-0/containers",
            "/namespaces/default/pods/web-1/containers",
            "/namespaces/default/pods/web-0/containers/app/metrics",
            "/nodes/node-a/metrics/filesystem/usage?\(start)&labels=resource_id:/",
            "/namespaces/default/pods/web-0/metrics/filesystem/usage?\(start)&labels=resource_id:logs",
        ]
        for place in [
            "", "/nodes/node-a", "/nodes/node-a/freecontainers/kubelet", "/namespaces/default",
            "/namespaces/default/pods/web-1", "/namespaces/default/pods/web-0/containers/app",
            "/namespaces/default/pods/web-1/containers/\(odd)",
            "/namespaces/default/workloads/deployment/web",
            "/namespaces/default/pod-list/web-0,web-1", "/pod-id/uid-4",
            "/pod-id/uid-6/containers/app", "/pod-id-list/uid-5,uid-4",
        ] {
            for metric in Self.metrics {
                targets.append("\(place)/metrics/\(metric)?\(start)&\(end)")
            }
            let all = "average,max,min,median,count,50-perc,95-perc,99-perc"
            targets.append("\(place)/metrics-aggregated/\(all)/cpu/usage_rate?\(start)&\(end)")
            targets.append("\(place)/metrics-aggregated/max,count/memory/usage?\(start)&bucket=20s")
        }
        for target in targets {
            let wanted = try answer(sent, target)
            #expect(wanted.hasPrefix("200"))
            let found = try answer(source, target)
            #expect(found == wanted, "\(target): \(found) not \(wanted)")
        }
        for (target, words) in [
            ("/metrics/nodata?\(start)", "404 No results for metric \"nodata\""),
            ("/metrics/filesystem/usage?\(start)", "404 No results"),
            (
                "/namespaces/default/pods/nobody/metrics/cpu/usage?\(start)",
                "404 No results for metric \"cpu/usage\" describing \"(pod)[ns:default/pod:nobody]\""
            ),
            (
                "/pod-id-list/uid-4,uid-5,uid-4,uid-5,uid-4/metrics/cpu/usage?\(start)",
                "400 this question reads"
            ),
        ] {
            let text = try answer(source, target)
            #expect(text.hasPrefix(words), "\(target): \(text)")
        }
    }

    @Test(.enabled(if: BackendServer.has("influxd")), arguments: [false, true])
    func influxDBAnswersWhatTheSinkSent(withFields: Bool) throws {
        let server = try SinksServerTests.influx()
        let cycles = SinkRun.cycles(12)
        let flag =
            "influxdb:http://127.0.0.1:\(server.port)?withfields=\(withFields)&labels=*,pod_id"
            + "&cluster_name=c1"
        try Self.fill(flag, cycles)
        // Another cluster in the same database.
        try Self.fill(flag.replacing("cluster_name=c1", with: "cluster_name=c2"), [cycles[3] + 1])
        try compare(try HistoricalSourceFlag.source(flag), cycles)
    }

    @Test(.enabled(if: BackendServer.has("prometheus")))
    func prometheusAnswersWhatTheSinkSent() throws {
        let path = try #require(BackendServer.find("prometheus"))
        let server = try BackendServer(path) {
            try StoreArguments.prometheus(in: $0, port: $1)
        }
        #expect(
            try SinkRun.wait(seconds: 60) {
                try server.http(.get, "/-/ready").status == 200
            })
        let cycles = SinkRun.cycles(12)
        try Self.fill(
            "remotewrite:http://127.0.0.1:\(server.port)?cluster_name=c1&order=oldest", cycles)
        try compare(
            try HistoricalSourceFlag.source(
                "prometheus:http://127.0.0.1:\(server.port)?cluster_name=c1"), cycles)
    }

    @Test(.enabled(if: BackendServer.has("victoria-metrics")))
    func victoriaMetricsAnswersWhatTheSinkSent() throws {
        let path = try #require(BackendServer.find("victoria-metrics"))
        let server = try BackendServer(path) { folder, port in
            [
                "-storageDataPath=\(folder.path)/data", "-httpListenAddr=127.0.0.1:\(port)",
                "-retentionPeriod=100y", "-search.latencyOffset=0s",
                "-memory.allowedBytes=256MB",
            ]
        }
        let cycles = SinkRun.cycles(12)
        try Self.fill(
            "remotewrite:http://127.0.0.1:\(server.port)?cluster_name=c1&order=oldest", cycles)
        _ = try server.http(.get, "/internal/force_flush")
        try compare(
            try HistoricalSourceFlag.source(
                "prometheus:http://127.0.0.1:\(server.port)?cluster_name=c1"), cycles)
    }

    // MARK: A store that is not well

    @Test func whatTheStoreSaysIsPassedOn() throws {
        let server = try SinkBackendServer([
            .status(
                200,
                body: "{\"results\":[{\"statement_id\":0,\"error\":\"database not found: k8s\"}]}"),
            .status(401, body: "{\"error\":\"authorization failed\"}"),
            .status(200, body: "<html>"),
            .status(503, body: "busy"), .cut("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"),
            .status(200, body: "{\"results\":[]}"),
        ])
        defer { server.stop() }
        let source = try HistoricalSourceFlag.source(
            "influxdb:http://127.0.0.1:\(server.port)?user=u&pw=very-secret")
        for words in [
            "database not found: k8s", "authorization failed", "cannot be read",
            "answered 503 busy",
            "closed the connection", "answered 200",
        ] {
            let text = try answer(source, "/metrics/cpu/usage?start=2026-01-01T00:00:00Z")
            #expect(
                text.hasPrefix("500 cannot read the history: ") && text.contains(words), "\(text)")
            #expect(!text.contains("very-secret"))
        }
        #expect(server.requests.count == 6)
    }

    @Test(arguments: [
        ("nope:http://h", "there is no sink \"nope\"; there are influxdb, prometheus"),
        ("prometheus:", "write the server's address"),
        ("prometheus:ftp://h", "ftp is not http or https"),
        ("prometheus:http://h?databas=x", "no option \"databas\""),
        ("influxdb:http://h?token=t&org=o&bucket=b", "InfluxQL"),
        ("influxdb:http://h?withfields=maybe", "true or false"),
    ])
    func flagsThatAreWrong(text: String, words: String) {
        do {
            _ = try HistoricalSourceFlag.source(text)
            Issue.record("taken: \(text)")
        } catch {
            #expect("\(error)".contains(words), "\(error)")
        }
    }
}
