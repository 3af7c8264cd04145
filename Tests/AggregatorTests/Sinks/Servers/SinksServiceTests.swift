import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Services that cannot be had here, stood in for by recorders that take only what the services'
/// documents describe (`Tests/SinkServers/*_shapes.py`).
@Suite(.serialized, .enabled(if: SinkPrograms.arePresent && BackendServer.has("openssl")))
struct SinksServiceTests {
    /// Sets of every kind, with counters that grow and children.
    private static func batch(_ cycle: Int64) -> RecordedBatch {
        let kinds: [(EntityKind, [String: String])] = [
            (.cluster, [:]),
            (.namespace, ["namespace_name": "team one", "namespace_id": "ns-uid"]),
            (.node, ["nodename": "node-a", "hostname": "node-a.local", "host_id": "42"]),
            (
                .systemContainer,
                ["nodename": "node-a", "hostname": "node-a.local", "container_name": "kubelet"]
            ),
            (.pod, pod), (.container, pod.merging(["container_name": "app"]) { $1 }),
        ]
        let sets = kinds.map { kind, labels in
            var set = MetricSet()
            set.kind = kind
            set.labels = labels.merging(["type": kind.rawValue]) { $1 }
                .map { Label(key: $0.key, value: $0.value) }.sorted { $0.key < $1.key }
            set.collectionStartTime = cycle / 3_600_000 * 3_600_000 - 3_600_000
            set.entityCreateTime = set.collectionStartTime - 60_000
            set.scrapeTime = cycle
            set.values = [
                MetricSample(.uptime, .integer(cycle - set.collectionStartTime)),
                MetricSample(.cpuUsage, .integer(cycle % 100_000_000 * 1_000)),
                MetricSample(.cpuUsageRate, .integer(250)),
                MetricSample(.cpuLimit, .integer(500)), MetricSample(.cpuRequest, .integer(100)),
                MetricSample(.memoryUsage, .integer(64 << 20)),
                MetricSample(.memoryWorkingSet, .integer(48 << 20)),
                MetricSample(.memoryLimit, .integer(128 << 20)),
                MetricSample(.memoryRequest, .integer(0)),
                MetricSample(.memoryPageFaults, .integer(1_000)),
                MetricSample(.memoryMajorPageFaults, .integer(3)),
                MetricSample(.memoryPageFaultsRate, .float(1.0 / 3)),
                MetricSample(.networkReceiveBytes, .integer(cycle / 1_000)),
                MetricSample(.networkTransmitBytes, .integer(cycle / 2_000)),
            ]
            set.labeledValues = ["/", "logs", "Volume:data \"1\""].flatMap { name in
                [(MetricID.filesystemUsage, 4_096), (.filesystemLimit, 8_192)].map {
                    LabeledSample(
                        metric: .catalogue($0.0),
                        labels: [Label(key: "resource_id", value: name)], value: .integer($0.1))
                }
            }
            return set
        }
        return RecordedBatch(timestamp: cycle, sets: sets)
    }

    private static let pod = [
        "nodename": "node-a", "hostname": "node-a.local", "host_id": "42", "pod_id": "pod-uid",
        "pod_name": "web-0", "namespace_name": "team one", "namespace_id": "ns-uid",
        "labels": "app.kubernetes.io/name:web,tier:front end",
    ]

    /// Sends three cycles; nothing may be refused. Returns the recorder's lines and the sink's status.
    @discardableResult
    private func deliver(
        _ flag: String, to server: BackendServer, cycles: [Int64] = SinkRun.cycles(3)
    ) throws -> (lines: [[String: Any]], status: SinkStatus) {
        let set = try SinkRun.make(flag)
        for cycle in cycles { set.offer(Self.batch(cycle), waitingUntil: .max) }
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        let lines = try SinkPrograms.objects(server.output)
        #expect(lines.allSatisfy { $0["violation"] == nil }, "\(server.output)")
        #expect(status.queuedRequests == 0 && status.refusedRequests == 0, "\(status)")
        return (lines, status)
    }

    private func sum(_ lines: [[String: Any]], _ name: String = "points") -> Int {
        lines.compactMap { $0[name] as? Int }.reduce(0, +)
    }

    private func recorder(_ service: String, _ options: [String]) throws -> BackendServer {
        try SinkPrograms.server(
            "recorder.py", environment: ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"],
            [service] + options)
    }

    // MARK: Protobuf

    @Test(arguments: [true, false])
    func openTelemetrysOwnMessagesReadOTLP(isCompressed: Bool) throws {
        let server = try recorder("otlp", [])
        let (lines, status) = try deliver(
            "otlp:http://127.0.0.1:\(server.port)?cluster_name=c1&gzip=\(isCompressed)", to: server)
        #expect(sum(lines) == status.deliveredPoints && status.deliveredPoints == 3 * 6 * 20)
        let names = Set(lines.flatMap { $0["names"] as? [String] ?? [] })
        for name in [
            "container.cpu.time sum s", "k8s.pod.memory.working_set gauge By",
            "k8s.node.network.io sum By", "k8s.container.cpu.limit gauge {cpu}",
        ] {
            #expect(names.contains(name), "\(name) in \(names.sorted())")
        }
        let attributes = Set(lines.flatMap { $0["attributes"] as? [String] ?? [] })
        for pair in [
            "k8s.cluster.name=c1", "k8s.namespace.name=team one", "k8s.pod.uid=pod-uid",
            "k8s.container.name=app", "k8s.pod.label.app.kubernetes.io/name=web",
        ] {
            #expect(attributes.contains(pair), "\(pair) in \(attributes.sorted())")
        }
    }

    @Test func googlesProtobufReadsRemoteWriteTwo() throws {
        let server = try recorder("remotewrite2", [])
        let (lines, status) = try deliver(
            "remotewrite:http://127.0.0.1:\(server.port)?version=2&object_labels=true", to: server)
        #expect(sum(lines) == status.deliveredPoints && status.deliveredPoints == 3 * 6 * 20)
        let names = Set(lines.flatMap { $0["names"] as? [String] ?? [] })
        #expect(names.contains("heapwire_container_cpu_usage_seconds_total counter"), "\(names)")
        #expect(names.contains("heapwire_pod_memory_working_set_bytes gauge"), "\(names)")
    }

    // MARK: Google

    /// A service account's key file, its public key beside it.
    private func serviceAccount(_ folder: URL, tokenPort: UInt16) throws -> String {
        for arguments in [
            "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out \(folder.path)/private.pem",
            "pkey -in \(folder.path)/private.pem -pubout -out \(folder.path)/public.pem",
        ] {
            _ = try SinksServerTests.output(
                "/usr/bin/openssl", arguments.split(separator: " ").map(String.init))
        }
        let pem = try String(
            contentsOf: folder.appendingPathComponent("private.pem"), encoding: .utf8)
        let file = folder.appendingPathComponent("account.json")
        try JSONSerialization.data(withJSONObject: [
            "type": "service_account", "project_id": "p-1", "private_key": pem,
            "client_email": "sink@p-1.iam", "token_uri": "http://127.0.0.1:\(tokenPort)/token",
        ]).write(to: file)
        return file.path
    }

    @Test(arguments: [
        (
            "monitoring",
            "stackdriver:?use_new_resources=true&cluster_name=c1&cluster_location=eu&zone=eu-a&"
        ),
        ("monitoring", "stackdriver:?cluster_name=c1&zone=eu-a&"), ("monitoring", "gcm:?"),
        ("monitoring", "gcm:?metrics=autoscaling&"), ("bigquery", "bigquery:?dataset=d&table=t&"),
    ])
    func googleTakesWhatAServiceAccountSends(service: String, flag: String) throws {
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let port = try LoopbackListener.freePort()
        let account = try serviceAccount(folder, tokenPort: port)
        let server = try SinkPrograms.server(
            "recorder.py", port: port,
            [
                service, "project=p-1", "account=sink@p-1.iam",
                "publickey=\(folder.path)/public.pem",
            ])
        let (lines, status) = try deliver(
            flag + "api=http://127.0.0.1:\(port)&credentials=\(account)", to: server)
        #expect(sum(lines) == status.deliveredPoints)
        #expect(status.deliveredPoints > 0 || flag.contains("autoscaling"))
        let tokens = lines.filter { $0["request"] as? String == "POST /token" }
        #expect(tokens.count == (status.deliveredPoints > 0 ? 1 : 0))
    }

    @Test func aKeyThatGoogleDoesNotKnowIsSaid() throws {
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let port = try LoopbackListener.freePort()
        let account = try serviceAccount(folder, tokenPort: port)
        _ = try SinksServerTests.output(
            "/usr/bin/openssl",
            ["genpkey", "-algorithm", "RSA", "-out", "\(folder.path)/other.pem"])
        _ = try SinksServerTests.output(
            "/usr/bin/openssl",
            [
                "pkey", "-in", "\(folder.path)/other.pem", "-pubout", "-out",
                "\(folder.path)/public.pem",
            ])
        let server = try SinkPrograms.server(
            "recorder.py", port: port,
            [
                "monitoring", "project=p-1", "account=sink@p-1.iam",
                "publickey=\(folder.path)/public.pem",
            ])
        let set = try SinkRun.make("gcm:?api=http://127.0.0.1:\(port)&credentials=\(account)")
        set.offer(Self.batch(SinkRun.cycles(1)[0]))
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].lastError != nil })
        let status = set.statuses[0]
        set.stop(timeoutMilliseconds: 100)
        #expect(status.lastError?.contains("Invalid JWT Signature") == true, "\(status)")
        #expect(status.queuedRequests > 0, "\(server.output)")
    }

    @Test func googlesMetadataServerGivesTokenAndProject() throws {
        let server = try recorder("monitoring", ["project=from-machine"])
        let (lines, status) = try deliver(
            "gcm:?api=http://127.0.0.1:\(server.port)&metadata=127.0.0.1:\(server.port)", to: server
        )
        #expect(sum(lines) == status.deliveredPoints && status.deliveredPoints > 0)
    }

    @Test func oneBadRowOfBigQueryIsSetAsideAlone() throws {
        let server = try recorder("bigquery", ["project=p-1", "badrow=2"])
        let set = try SinkRun.make(
            "bigquery:?project=p-1&api=http://127.0.0.1:\(server.port)"
                + "&metadata=127.0.0.1:\(server.port)")
        set.offer(Self.batch(SinkRun.cycles(1)[0]))
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.queuedRequests == 0 && status.refusedPoints == 1, "\(status)")
        #expect(status.lastError?.contains("no such field") == true, "\(status)")
    }

    // MARK: Others over HTTP

    @Test func honeycombTakesEveryEvent() throws {
        let server = try recorder("honeycomb", ["dataset=my data", "key=k%y"])
        let (lines, _) = try deliver(
            "honeycomb:http://127.0.0.1:\(server.port)?dataset=my%20data&writekey=k%25y", to: server
        )
        #expect(sum(lines) == 3 * 6)
    }

    /// Honeycomb answers 200 and says for each event what became of it.
    @Test func honeycombsEventsAreToldApart() throws {
        let server = try recorder(
            "honeycomb", ["dataset=d", "key=k", "statuses=202,429,400,202,500"])
        let set = try SinkRun.make("honeycomb:http://127.0.0.1:\(server.port)?dataset=d&writekey=k")
        set.offer(Self.batch(SinkRun.cycles(1)[0]))
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.queuedRequests == 0 && status.refusedPoints == 1, "\(status)")
        let counts = try SinkPrograms.objects(server.output).compactMap { $0["points"] as? Int }
        #expect(counts == [6, 2], "\(server.output)")
    }

    @Test func libratoTakesEveryMeasurement() throws {
        let server = try recorder("librato", ["user=me", "token=t"])
        let (lines, status) = try deliver(
            "librato:?api=http://127.0.0.1:\(server.port)&username=me&token=t&prefix=heapster"
                + "&tags=env&tag_env=prod", to: server)
        #expect(sum(lines) == status.deliveredPoints && status.deliveredPoints == 3 * 6 * 20)
    }

    @Test func hawkularsTenantIsALabel() throws {
        let server = try recorder("hawkular", ["tenant=team one,t1", "user=me", "password=p"])
        let (lines, status) = try deliver(
            "hawkular:http://127.0.0.1:\(server.port)?tenant=t1&labelToTenant=namespace_name&user=me&pass=p",
            to: server)
        #expect(sum(lines) == status.deliveredPoints && status.deliveredPoints == 3 * 6 * 20)
        let points = Dictionary(
            grouping: lines.filter { $0["points"] != nil }, by: { $0["tenant"] as? String ?? "" }
        ).mapValues(sumOfPoints)
        // Namespace, pod and container; cluster, node and its container.
        #expect(points == ["team one": 3 * 3 * 20, "t1": 3 * 3 * 20])
    }

    private func sumOfPoints(_ lines: [[String: Any]]) -> Int { sum(lines) }

    @Test func hawkularTakesPointsAndTagsOnce() throws {
        let server = try recorder("hawkular", ["tenant=t1", "user=me", "password=p"])
        let (lines, status) = try deliver(
            "hawkular:http://127.0.0.1:\(server.port)?tenant=t1&user=me&pass=p", to: server)
        #expect(sum(lines) == status.deliveredPoints && status.deliveredPoints == 3 * 6 * 20)
        let tagged = lines.compactMap { $0["tags"] as? String }
        #expect(tagged.count == 6 * 20 && Set(tagged).count == tagged.count)
        let ids = Set(lines.flatMap { $0["ids"] as? [String] ?? [] })
        #expect(ids == Set(tagged))
        #expect(ids.contains("app/pod-uid/memory/usage"))
    }

    @Test(arguments: ["", "&includeLabels=true"])
    func wavefrontsProxyTakesEveryLine(options: String) throws {
        let server = try SinkPrograms.server("wavefront_proxy.py")
        let (lines, status) = try deliver(
            "wavefront:127.0.0.1:\(server.port)?clusterName=c1\(options)", to: server)
        #expect(lines.count == status.deliveredPoints && lines.count == 3 * 6 * 20)
        let volume = lines.first {
            ($0["tags"] as? [String: String])?["resource_id"] == "Volume:data \"1\""
        }
        #expect(volume != nil)
    }

    // MARK: InfluxDB 2

    @Test(arguments: [
        ("", "exists=b"), ("", ""), ("&retention=30d", ""), ("&retention=30d", "exists=b"),
    ])
    func influxDB2HasItsBucket(retention: String, exists: String) throws {
        let server = try recorder(
            "influxdb2", ["token=secret", "org=o 1"] + (exists.isEmpty ? [] : [exists]))
        let (lines, status) = try deliver(
            "influxdb:http://127.0.0.1:\(server.port)?token=secret&org=o%201&bucket=b\(retention)",
            to: server)
        #expect(sum(lines) == status.deliveredPoints && status.deliveredPoints == 3 * 6 * 20)
        let changes = lines.filter { $0["rules"] != nil }
        let expected =
            exists.isEmpty ? "POST /api/v2/buckets" : "PATCH /api/v2/buckets/fedcba9876543210"
        #expect(
            changes.compactMap { $0["request"] as? String }
                == (retention.isEmpty && !exists.isEmpty ? [] : [expected]))
        if !retention.isEmpty {
            let rules = changes.first?["rules"] as? [[String: Any]]
            #expect(rules?.first?["everySeconds"] as? Int == 30 * 86_400)
        }
    }

    // MARK: Amazon

    @Test(arguments: ["es", "aoss"], ["", "session/token+="])
    func amazonsOpenSearchTakesSignedRequests(service: String, session: String) throws {
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let secret = folder.appendingPathComponent("secret")
        try Data("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY\n".utf8).write(to: secret)
        var options = [
            "access=AKIDEXAMPLE", "secret=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "region=eu-west-1", "service=\(service)",
        ]
        var flag = "&aws_region=eu-west-1&aws_service=\(service)&aws_access_key=AKIDEXAMPLE"
        if !session.isEmpty {
            options.append("token=\(session)")
            flag += "&aws_session_token=\(URLText.encode(session))"
        }
        let server = try recorder("opensearch", options)
        let (lines, _) = try deliver(
            "opensearch:http://127.0.0.1:\(server.port)?index=my%20index&pipeline=a%20b&gzip=false"
                + flag + "&aws_secret_keyfile=\(secret.path)", to: server)
        #expect(sum(lines, "documents") > 0)
    }
}
