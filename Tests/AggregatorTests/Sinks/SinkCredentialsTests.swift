import Foundation
import Testing
import Wire

@testable import Aggregator

/// What options put around a request on the wire: who asks, and for what. And secrets, that they are
/// nowhere else.
@Suite(.serialized)
struct SinkCredentialsTests {
    struct Case: Sendable {
        /// SERVER stands for `http://127.0.0.1:PORT`.
        var flag: String
        /// In the head of the request that has the points.
        var words: [String]
        /// What a server answers in turn, the last for ever.
        var answers: [String] = ["{}"]
    }

    private static let bulk = [
        "{\"version\":{\"number\":\"8.14.0\"}}", "{}", "{\"errors\":false,\"items\":[]}",
    ]
    /// `u:hunter2`.
    private static let basic = "Authorization: Basic dTpodW50ZXIy\r\n"

    static let cases: [Case] = [
        Case(
            flag: "remotewrite:SERVER?user=u&pw=hunter2",
            words: [basic, "POST /api/v1/write HTTP/1.1\r\n", "Content-Encoding: snappy\r\n"]),
        Case(
            flag: "remotewrite:SERVER/insert/0/prometheus?token=hunter2&version=2",
            words: [
                "Authorization: Bearer hunter2\r\n", "POST /insert/0/prometheus HTTP/1.1\r\n",
                "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n",
                "X-Prometheus-Remote-Write-Version: 2.0.0\r\n",
            ]),
        Case(
            flag: "remotewrite:SERVER?header=X-Scope-OrgID:hunter2&header=B:c",
            words: ["X-Scope-OrgID: hunter2\r\n", "B: c\r\n"]),
        Case(
            flag: "otlp:SERVER?token=hunter2&header=A:b",
            words: [
                "Authorization: Bearer hunter2\r\n", "A: b\r\n", "POST /v1/metrics HTTP/1.1\r\n",
                "Content-Encoding: gzip\r\n",
            ]),
        Case(
            flag: "elasticsearch:SERVER?esUserName=u&esUserSecret=hunter2&pipeline=geo&index=i",
            words: [basic, "POST /i-20", "/_bulk?pipeline=geo HTTP/1.1\r\n"], answers: bulk),
        Case(
            flag: "opensearch:SERVER?api_key=hunter2&gzip=true",
            words: ["Authorization: ApiKey hunter2\r\n", "Content-Encoding: gzip\r\n"],
            answers: bulk),
        Case(
            flag: "influxdb:SERVER?user=u&pw=hunter2&db=d&rp=week",
            words: [basic, "POST /write?db=d&precision=ns&rp=week HTTP/1.1\r\n"]),
        Case(
            flag: "influxdb:SERVER?token=hunter2&org=o&bucket=b%20c",
            words: [
                "Authorization: Token hunter2\r\n",
                "POST /api/v2/write?org=o&bucket=b%20c&precision=ns HTTP/1.1\r\n",
            ]),
        Case(
            flag: "hawkular:SERVER?user=u&pass=hunter2&tenant=t",
            words: [basic, "Hawkular-Tenant: t\r\n", "/raw HTTP/1.1\r\n"]),
        Case(
            flag: "hawkular:SERVER?token=hunter2",
            words: ["Authorization: Bearer hunter2\r\n", "Hawkular-Tenant: heapster\r\n"]),
        Case(
            flag: "librato:?username=u&token=hunter2&api=SERVER",
            words: [basic, "POST /v1/measurements HTTP/1.1\r\n"]),
        Case(
            flag: "honeycomb:?writekey=hunter2&apihost=SERVER&dataset=d",
            words: ["X-Honeycomb-Team: hunter2\r\n", "POST /1/batch/d HTTP/1.1\r\n"],
            answers: ["[{\"status\":202},{\"status\":202},{\"status\":202}]"]),
    ]

    /// The backend says 503 first, so the request waits on the disk, where the secret must not be.
    @Test(arguments: cases.indices)
    func everyRequestSaysWhoAsks(index: Int) throws {
        let one = Self.cases[index]
        let server = try SinkBackendServer([.status(503)])
        defer { server.stop() }
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let set = try SinkRun.make(
            one.flag.replacing("SERVER", with: "http://127.0.0.1:\(server.port)"),
            dataDirectory: folder.path)
        set.offer(SinkRun.batch(SinkRun.cycles(1)[0], pods: 3))
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].retriedRequests > 0 })
        var fileCount = 0
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder.path) {
            let path = folder.appendingPathComponent(name)
            guard let data = FileManager.default.contents(atPath: path.path) else { continue }
            fileCount += 1
            #expect(data.range(of: Data("hunter2".utf8)) == nil, "\(name)")
        }
        #expect(fileCount > 0)
        #expect(!"\(set.statuses)".contains("hunter2"))
        let before = server.requests.count
        server.become(one.answers.map { .status(200, body: $0) })
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.queuedRequests == 0 && status.refusedRequests == 0, "\(status)")
        #expect(status.deliveredPoints > 0, "\(status)")
        let heads = server.requests[before...].map(\.head)
        let last = try #require(heads.last)
        for words in one.words { #expect(last.contains(words), "\(words) in \(last)") }
    }

    /// A renewed secret is used without a restart.
    @Test func aSecretsFileIsReadForEachRequest() throws {
        let server = try SinkBackendServer([.status(204)])
        defer { server.stop() }
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = folder.appendingPathComponent("token")
        try Data("first\n".utf8).write(to: file)
        let set = try SinkRun.make(
            "remotewrite:http://127.0.0.1:\(server.port)?tokenfile=\(file.path)")
        let cycles = SinkRun.cycles(2)
        set.offer(SinkRun.batch(cycles[0]))
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].deliveredRequests == 1 })
        try Data("second\n".utf8).write(to: file)
        set.offer(SinkRun.batch(cycles[1]))
        set.stop(timeoutMilliseconds: 60_000)
        let heads = server.requests.map(\.head)
        #expect(heads.count == 2)
        for (head, token) in zip(heads, ["first", "second"]) {
            #expect(head.contains("Authorization: Bearer \(token)\r\n"), "\(head)")
        }
    }

    @Test func anIntervalLeavesOutTheCyclesBetween() throws {
        let server = try SinkBackendServer([.status(204)])
        defer { server.stop() }
        let set = try SinkRun.make("opentsdb:http://127.0.0.1:\(server.port)?interval=30s")
        let cycles = SinkRun.cycles(12)
        for cycle in cycles { set.offer(SinkRun.batch(cycle), waitingUntil: .max) }
        set.stop(timeoutMilliseconds: 60_000)
        let sent = server.requests.map { String(decoding: $0.body, as: UTF8.self) }
        #expect(sent.count == 4)
        for cycle in cycles {
            let isSent = sent.contains { $0.contains("\"timestamp\":\(cycle / 1_000)") }
            #expect(isSent == (cycle % 30_000 == 0), "\(cycle)")
        }
    }

    // MARK: Options of line formats

    private func lines(_ flag: String, pods: Int = 3) throws -> [[String]] {
        let sink = try #require(try ConfiguredSink.make(flag))
        var encoder = sink.plan.encoder
        var requests: [[String]] = []
        encoder.encode(SinkRun.batch(1_795_248_080_000, pods: pods)) {
            requests.append(
                String(decoding: $0.body, as: UTF8.self).split(separator: "\n").map(String.init))
        }
        return requests
    }

    @Test func statsdsDatagramsAndLabelsAreAsAskedFor() throws {
        #expect(try lines("statsd:udp://h?numMetricsPerMsg=4").map(\.count) == [4, 4, 4, 3])
        let upper = try lines("statsd:udp://h?protocolType=influxstatsd&labelStyle=upperCamelCase")
        let own = try #require(upper.first?.first)
        #expect(own.contains(",PodName=web-0") && own.contains(",ContainerName=app"), "\(own)")
        let lower = try lines(
            "statsd:udp://h?protocolType=influxstatsd&labelStyle=lowerCamelCase"
                + "&allowedLabels=pod_name,tier&renameLabels=tier:the_tier")
        #expect(lower.first?.first?.hasPrefix("cpu/usage,podName=web-0,theTier=front_end:") == true)
    }

    @Test func wavefrontsAndRiemannsOptionsCount() throws {
        #expect(try lines("wavefront:h:1?includeContainers=false").isEmpty)
        let line = try #require(try lines("wavefront:h:1?prefix=p.&clusterName=c").first?.first)
        #expect(line.hasPrefix("p.") && line.contains("cluster=\"c\"") && !line.contains("tier="))
        let labelled = try lines("wavefront:h:1?includeLabels=true").first?.first
        #expect(labelled?.contains("tier=\"front end\"") == true, "\(labelled ?? "")")
        let sink = try #require(try ConfiguredSink.make("riemann:h?batchsize=4"))
        var encoder = sink.plan.encoder
        var counts: [Int] = []
        encoder.encode(SinkRun.batch(1_795_248_080_000, pods: 2)) { counts.append($0.pointCount) }
        #expect(counts == [4, 4, 2])
    }
}
