import Foundation
import Glibc
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Sinks against real servers, read back through the servers' own interfaces.
@Suite(.serialized)
struct SinksServerTests {
    // MARK: InfluxDB

    static func influx(
        _ options: String = "", data: String = "", folder: URL? = nil, port: UInt16? = nil
    ) throws -> BackendServer {
        let path = try #require(BackendServer.find("influxd"))
        return try BackendServer(path, folder: folder, port: port) { folder, port in
            try StoreArguments.influxDB(in: folder, port: port, http: options, data: data)
        }
    }

    /// The single number that a query answers; 0 for no series.
    static func influxNumber(
        _ server: BackendServer, _ query: String, credentials: String = "", tls: SinkTLS? = nil
    ) throws -> Int {
        let object = try server.json(
            "/query?db=k8s&q=\(URLText.encode(query))\(credentials)", tls: tls)
        let results = try #require(object["results"] as? [[String: Any]])
        let series = results.first?["series"] as? [[String: Any]] ?? []
        return series.reduce(0) { sum, one in
            let row = (one["values"] as? [[Any]])?.first ?? []
            return sum + ((row.last as? NSNumber)?.intValue ?? 0)
        }
    }

    @Test(.enabled(if: BackendServer.has("influxd")), arguments: [false, true])
    func influxDBHasEveryPointInBothLayouts(withFields: Bool) throws {
        let server = try Self.influx()
        let cycles = SinkRun.cycles(5)
        try SinkRun.send(
            "influxdb:http://127.0.0.1:\(server.port)?withfields=\(withFields)&gzip=\(withFields)"
                + "&cluster_name=c1&retention=48h", cycles: cycles)
        let (field, from) =
            withFields
            ? ("usage_rate", "cpu") : ("value", "cpu/usage_rate")
        let count = try Self.influxNumber(server, "SELECT COUNT(\"\(field)\") FROM \"\(from)\"")
        #expect(count == 25)
        let last = try Self.influxNumber(
            server, "SELECT LAST(\"\(field)\") FROM \"\(from)\" WHERE pod_name = 'web-3'")
        #expect(last == Int(cycles[4] / 1_000 % 1_000))
        let policies = try server.http(.get, "/query?q=SHOW+RETENTION+POLICIES+ON+k8s")
        #expect(policies.excerpt.contains("[\"default\",\"48h0m0s\""), "\(policies.excerpt)")
    }

    /// What a label may hold comes back as it was, but for line ends and a backslash at the end, which
    /// would escape what follows.
    @Test(.enabled(if: BackendServer.has("influxd")))
    func labelsOfAnyTextAreInInfluxDB() throws {
        let server = try Self.influx()
        let written = [
            "plain", "a b", "a,b=c", #"in\side"#, #"before\,comma"#, #"before\ blank"#, #"two\\x"#,
            #"quote"s'"#, "ümlaut 日本", #"end\"#, #"two at the end\\"#, "line\nend", "\ttab",
            "#!$%^",
        ]
        let set = try SinkRun.make("influxdb:http://127.0.0.1:\(server.port)")
        var batch = SinkRun.batch(SinkRun.cycles(1)[0], pods: written.count)
        for (index, text) in written.enumerated() {
            batch.sets[index].setLabel(Label(key: "container_name", value: text))
        }
        set.offer(batch)
        set.stop(timeoutMilliseconds: 20_000)
        #expect(set.statuses[0].refusedRequests == 0, "\(set.statuses)")
        let query =
            "SELECT LAST(value), container_name FROM \"memory/usage\" GROUP BY container_name"
        let object = try server.json("/query?db=k8s&q=\(URLText.encode(query))")
        let results = try #require(object["results"] as? [[String: Any]])
        let series = results.first?["series"] as? [[String: Any]] ?? []
        let found = series.compactMap { ($0["tags"] as? [String: String])?["container_name"] }
        let expected = written.map { text in
            let line = String(text.map { $0 == "\n" || $0 == "\t" ? "_" : $0 })
            return line.hasSuffix("\\") ? line + "_" : line
        }
        #expect(found.sorted() == expected.sorted())
    }

    @Test(.enabled(if: BackendServer.has("influxd") && BackendServer.has("openssl")))
    func influxDBWithPasswordAndTLS() throws {
        let certificates = try TestCertificates()
        let server = try Self.influx(
            """
            auth-enabled = true
            https-enabled = true
            https-certificate = "\(certificates.folder.path)/server.pem"
            https-private-key = "\(certificates.folder.path)/server.key"
            """)
        let authority = "\(certificates.folder.path)/ca.pem"
        let tls = SinkTLS(authorityFile: authority)
        _ = try server.http(
            .post, "/query?q=CREATE+USER+root+WITH+PASSWORD+%27p%26w%27+WITH+ALL+PRIVILEGES",
            tls: tls)
        let password = server.folder.appendingPathComponent("password")
        try Data("p&w\n".utf8).write(to: password)
        try SinkRun.send(
            "influxdb:https://127.0.0.1:\(server.port)?user=root&pwfile=\(password.path)"
                + "&cacert=\(authority)", cycles: SinkRun.cycles(3))
        let count = try Self.influxNumber(
            server, "SELECT COUNT(value) FROM uptime,\"memory/usage\"",
            credentials: "&u=root&p=p%26w", tls: tls)
        #expect(count == 15)
        // A wrong password is no reason to lose anything: it can be put right.
        let set = try SinkRun.make(
            "influxdb:https://127.0.0.1:\(server.port)?pw=wrong&cacert=\(authority)")
        set.offer(SinkRun.batch(SinkRun.cycles(1)[0]))
        set.stop(timeoutMilliseconds: 500)
        #expect(set.statuses[0].queuedRequests == 1)
        #expect(set.statuses[0].lastError?.contains("401") == true)
    }

    // MARK: VictoriaMetrics

    private struct Victoria {
        let server: BackendServer
        let graphite: UInt16
        let openTSDB: UInt16

        init() throws {
            let path = try #require(BackendServer.find("victoria-metrics"))
            let graphite = try LoopbackListener.freePort()
            let openTSDB = try LoopbackListener.freePort()
            (self.graphite, self.openTSDB) = (graphite, openTSDB)
            server = try BackendServer(path) { folder, port in
                [
                    "-storageDataPath=\(folder.path)/data", "-httpListenAddr=127.0.0.1:\(port)",
                    "-graphiteListenAddr=127.0.0.1:\(graphite)",
                    "-opentsdbHTTPListenAddr=127.0.0.1:\(openTSDB)", "-retentionPeriod=100y",
                    "-search.latencyOffset=0s", "-memory.allowedBytes=256MB",
                ]
            }
        }

        /// Samples of the series that match, by series.
        func export(_ match: String) throws -> [[String: Any]] {
            _ = try server.http(.get, "/internal/force_flush")
            let response = try server.http(
                .get, "/api/v1/export?match[]=\(URLText.encode(match))")
            return try String(decoding: response.body, as: UTF8.self).split(separator: "\n").map {
                let object = try JSONSerialization.jsonObject(with: Data($0.utf8))
                return try #require(object as? [String: Any])
            }
        }

        func samples(_ match: String) throws -> Int {
            try export(match).reduce(0) { $0 + (($1["values"] as? [Any])?.count ?? 0) }
        }
    }

    @Test(.enabled(if: BackendServer.has("victoria-metrics")))
    func victoriaMetricsTakesRemoteWriteGraphiteOpenTSDBAndInflux() throws {
        let victoria = try Victoria()
        let cycles = SinkRun.cycles(4)
        let address = "127.0.0.1:\(victoria.server.port)"
        try SinkRun.send(
            "remotewrite:http://\(address)/api/v1/write?cluster_name=c1&object_labels=true",
            cycles: cycles)
        let series = try victoria.export("heapwire_container_cpu_usage_rate_cores")
        #expect(series.count == 5)
        let metric = try #require(
            series.compactMap { $0["metric"] as? [String: String] }.first {
                $0["pod"] == "web-2"
            })
        #expect(
            metric == [
                "__name__": "heapwire_container_cpu_usage_rate_cores", "cluster": "c1",
                "container": "app", "label_app": "web", "label_tier": "front end",
                "namespace": "default", "node": "node-a", "pod": "web-2", "uid": "uid-2",
            ])
        #expect(try victoria.samples("{__name__=~\"heapwire_.*\"}") == 100)

        try SinkRun.send("graphite:tcp://127.0.0.1:\(victoria.graphite)?prefix=g", cycles: cycles)
        #expect(try victoria.samples("{__name__=~\"g[.]nodes[.].*\"}") == 100)

        try SinkRun.send(
            "opentsdb:http://127.0.0.1:\(victoria.openTSDB)?cluster=c2", cycles: cycles)
        #expect(try victoria.samples("{cluster=\"c2\"}") == 100)

        try SinkRun.send("influxdb:http://\(address)?withfields=true&db=v", cycles: cycles)
        #expect(try victoria.samples("{db=\"v\"}") == 100)
    }

    // MARK: Prometheus

    @Test(.enabled(if: BackendServer.has("prometheus")))
    func prometheusTakesRemoteWriteInOrder() throws {
        let path = try #require(BackendServer.find("prometheus"))
        let server = try BackendServer(path) {
            try StoreArguments.prometheus(in: $0, port: $1)
        }
        let cycles = SinkRun.cycles(6)
        try SinkRun.send(
            "remotewrite:http://127.0.0.1:\(server.port)/api/v1/write?order=oldest", cycles: cycles)
        let query = "count_over_time(heapwire_container_memory_usage_bytes[10m])"
        let object = try server.json("/api/v1/query?query=\(URLText.encode(query))")
        let data = try #require(object["data"] as? [String: Any])
        let result = try #require(data["result"] as? [[String: Any]])
        #expect(
            result.compactMap { ($0["value"] as? [Any])?.last as? String }
                == Array(repeating: "6", count: 5))
    }

    // MARK: carbon, collectd

    @Test(.enabled(if: CarbonServer.isThere))
    func carbonWritesWhisperFiles() throws {
        let server = try CarbonServer.start()
        let cycles = SinkRun.cycles(4)
        for scheme in ["tcp", "udp"] {
            try SinkRun.send(
                "graphite:\(scheme)://127.0.0.1:\(server.port)?prefix=\(scheme)", cycles: cycles)
            let path =
                "\(scheme).nodes.node-a.pods.default.web-1.containers.app.filesystem.logs.usage"
            var found: [Double] = []
            let isThere = try SinkRun.wait(seconds: 60) {
                found = try CarbonServer.values(server, path, since: cycles[0])
                return found == [4_096, 4_096, 4_096, 4_096]
            }
            #expect(isThere, "\(scheme): \(found)\n\(server.output.suffix(2_000))")
        }
    }

    @Test(.enabled(if: BackendServer.has("collectd")))
    func collectdTakesStatsdGauges() throws {
        let path = try #require(BackendServer.find("collectd"))
        let server = try BackendServer(path, waits: false) { folder, port in
            let configuration = """
                BaseDir "\(folder.path)"
                PIDFile "\(folder.path)/pid"
                Interval 1
                LoadPlugin statsd
                LoadPlugin csv
                <Plugin statsd>
                  Host "127.0.0.1"
                  Port "\(port)"
                </Plugin>
                <Plugin csv>
                  DataDir "\(folder.path)/csv"
                </Plugin>

                """
            let file = folder.appendingPathComponent("collectd.conf")
            try Data(configuration.utf8).write(to: file)
            return ["-f", "-C", file.path]
        }
        usleep(500_000)
        let cycle = SinkRun.cycles(1)[0]
        // UDP has no yes, and the server starts when it likes: again until it is there.
        let isThere = try SinkRun.wait {
            let set = try SinkRun.make("statsd:udp://127.0.0.1:\(server.port)?prefix=hw")
            set.offer(SinkRun.batch(cycle))
            set.stop(timeoutMilliseconds: 500)
            usleep(300_000)
            let names = try Self.output(
                "/usr/bin/find", [server.folder.path, "-name", "*usage_rate*"])
            return try names.split(separator: "\n").contains { path in
                let text = try String(contentsOfFile: String(path), encoding: .utf8)
                return text.contains(",\(Double(cycle / 1_000 % 1_000))")
                    || text.contains(",\(cycle / 1_000 % 1_000).")
            }
        }
        #expect(isThere, "\(server.output)")
    }

    // MARK: Redis, Riemann, OpenSearch

    @Test(.enabled(if: BackendServer.has("redis-server")))
    func redisHasTheNewestSetsInFront() throws {
        let path = try #require(BackendServer.find("redis-server"))
        let server = try BackendServer(path) { _, port in
            [
                "--port", "\(port)", "--bind", "127.0.0.1", "--requirepass", "secret word",
                "--save", "",
            ]
        }
        let cycles = SinkRun.cycles(4)
        try SinkRun.send(
            "redis:127.0.0.1:\(server.port)?pw=secret+word&key=k&length=12&db=3", cycles: cycles)
        func redis(_ arguments: String...) throws -> String {
            try Self.output(
                "/usr/bin/redis-cli",
                ["-p", "\(server.port)", "-n", "3", "--no-auth-warning", "-a", "secret word"]
                    + arguments)
        }
        #expect(try redis("LLEN", "k") == "12\n")
        let front = try redis("LINDEX", "k", "0")
        #expect(front.contains("\"timestamp\":\"\(RFC3339.string(milliseconds: cycles[3]))\""))
        #expect(try JSONSerialization.jsonObject(with: Data(front.utf8)) is [String: Any])
    }

    @Test(.enabled(if: SinkPrograms.arePresent))
    func riemannsOwnClientLibraryReadsTheEvents() throws {
        let server = try SinkPrograms.server(
            "riemann_server.py", environment: ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"])
        try SinkRun.send(
            "riemann:127.0.0.1:\(server.port)?ttl=90&state=ok&tags=a&tags=b",
            cycles: SinkRun.cycles(3))
        let events = try SinkPrograms.objects(server.output)
        #expect(events.count == 75)
        let event = try #require(events.first { $0["service"] as? String == "memory/usage" })
        #expect(event["ttl"] as? Double == 90 && event["state"] as? String == "ok")
        #expect(event["tags"] as? [String] == ["a", "b"])
        #expect((event["metric_sint64"] as? Int ?? 0) >= 1 << 20)
        #expect((event["attributes"] as? [String: String])?["pod_name"]?.hasPrefix("web-") == true)
    }

    @Test(.enabled(if: SinkPrograms.arePresent))
    func openSearchHasEveryDocumentOnce() throws {
        let server = try SinkPrograms.openSearch()
        let flag =
            "opensearch:http://127.0.0.1:\(server.port)?cluster_name=c1&gzip=false"
        let cycles = SinkRun.cycles(3)
        // Twice: the ids make the second time replace the first.
        try SinkRun.send(flag, cycles: cycles)
        try SinkRun.send(flag, cycles: cycles)
        let index = "heapster-*"
        let object = try server.json("/\(index)/_count")
        // Of each set: cpu, memory, filesystem.
        #expect(object["count"] as? Int == 3 * 5 * 3)
        let found = try server.json(
            "/\(index)/_search?q=MetricsTags.pod_name:web-4&size=100&sort=@timestamp")
        let hits = try #require((found["hits"] as? [String: Any])?["hits"] as? [[String: Any]])
        #expect(hits.count == 9)
    }

    static func output(_ executable: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.start()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }
}
