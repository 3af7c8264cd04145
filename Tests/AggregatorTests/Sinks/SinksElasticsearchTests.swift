import Foundation
import Testing
import Wire

@testable import Aggregator

/// Elasticsearch of every version and OpenSearch, as a recorder: what is asked, in which order, and
/// what becomes of the answers.
struct SinksElasticsearchTests {
    /// Answers as a server of that version; `_bulk` as `bulk` says.
    private static func server(
        root: String, nodes: @escaping @Sendable () -> String = { "{}" },
        bulk: @escaping @Sendable (_ body: String, _ number: Int) -> (Int, String) = { body, _ in
            (200, taken(body))
        }
    ) throws -> ScriptedServer {
        let bulkCount = Counter()
        return try ScriptedServer { request, _ in
            let line = request.prefix { $0 != "\r" && $0 != "\r\n" }
            let body = request.components(separatedBy: "\r\n\r\n").dropFirst().joined(
                separator: "\r\n\r\n")
            var answer = (200, "{}")
            if line.hasPrefix("GET / ") {
                answer.1 = root
            } else if line.contains("/_nodes/http") {
                answer.1 = nodes()
            } else if line.contains("/_bulk") {
                answer = bulk(body, bulkCount.next())
            }
            return [
                .send(
                    Array(
                        "HTTP/1.1 \(answer.0) X\r\nContent-Length: \(answer.1.utf8.count)\r\n\r\n\(answer.1)"
                            .utf8))
            ]
        }
    }

    private final class Counter: @unchecked Sendable {
        private let lock = Lock()
        private var value = 0
        func next() -> Int {
            lock.withLock {
                value += 1
                return value
            }
        }
    }

    /// An answer in which every document is taken.
    private static func taken(_ body: String) -> String {
        let count = body.split(separator: "\n").count / 2
        let items = Array(repeating: "{\"index\":{\"status\":201}}", count: count)
        return "{\"errors\":false,\"items\":[\(items.joined(separator: ","))]}"
    }

    private static func root(_ number: String, distribution: String? = nil) -> String {
        let extra = distribution.map { "\"distribution\":\"\($0)\"," } ?? ""
        // A cluster may be called anything.
        return
            "{\"name\":\"n\",\"cluster_name\":\"opensearch\",\"version\":{\(extra)\"number\":\"\(number)\"}}"
    }

    private func lines(_ server: ScriptedServer) -> [String] {
        server.requests.map { request in
            request.prefix { $0 != "\r" && $0 != "\r\n" }.split(separator: " ").prefix(2)
                .joined(separator: " ")
        }
    }

    @Test(
        arguments: [
            ("5.6.16", nil), ("6.8.23", nil), ("7.0.1", nil), ("7.7.1", nil), ("7.8.0", nil),
            ("7.17.29", nil), ("8.19.7", nil), ("9.2.0", nil), ("1.3.20", "opensearch"),
            ("2.19.4", "opensearch"), ("3.3.0", "opensearch"), ("7.10.2", "opensearch"),
        ] as [(String, String?)])
    func theTemplateIsOfTheServersVersion(number: String, distribution: String?) throws {
        let server = try Self.server(root: Self.root(number, distribution: distribution))
        defer { server.stop() }
        let cycle: Int64 = 1_795_248_080_000
        try SinkRun.send(
            "elasticsearch:http://127.0.0.1:\(server.port)?index=h&pipeline=p%20q", cycles: [cycle])
        let major = Int(number.prefix { $0 != "." }) ?? 0
        let isNew = distribution != nil || major >= 8 || number == "7.8.0" || number == "7.17.29"
        let hasTypes = distribution == nil && major < 7
        #expect(
            lines(server) == [
                "GET /", "PUT /\(isNew ? "_index_template" : "_template")/heapwire-h",
                "POST /h-2026.11.21\(hasTypes ? "/doc" : "")/_bulk?pipeline=p%20q",
            ])
        let body = try #require(server.requests[1].components(separatedBy: "\r\n\r\n").last)
        let object = try JSONSerialization.jsonObject(with: Data(body.utf8))
        let template = try #require(object as? [String: Any])
        if major == 5, distribution == nil {
            #expect(template["template"] as? String == "h-*" && template["index_patterns"] == nil)
        } else {
            #expect(template["index_patterns"] as? [String] == ["h-*"])
        }
        let inner = isNew ? template["template"] as? [String: Any] : template
        let mappings = try #require(inner?["mappings"] as? [String: Any])
        let typed = hasTypes ? mappings["doc"] as? [String: Any] : mappings
        #expect((typed?["properties"] as? [String: Any])?["@timestamp"] != nil)
        #expect(typed?["dynamic_templates"] is [Any])
    }

    @Test(arguments: ["2.4.6", "7.8.1"])
    func aServerThatIsTooOldIsSaid(number: String) throws {
        let server = try Self.server(root: Self.root(number))
        defer { server.stop() }
        let set = try SinkRun.make(
            "elasticsearch:http://127.0.0.1:\(server.port)?data_stream=true")
        set.offer(SinkRun.batch(1_795_248_080_000))
        let version = number.split(separator: ".").prefix(2).joined(separator: ".")
        let isSaid = SinkRun.wait(seconds: 60) {
            set.statuses[0].lastError?.contains("Elasticsearch \(version)") == true
        }
        #expect(isSaid, "\(set.statuses[0])")
        set.stop(timeoutMilliseconds: 1)
        #expect(set.statuses[0].queuedRequests == 1 && lines(server).allSatisfy { $0 == "GET /" })
    }

    @Test func aDataStreamGetsCreatesAndAnEarlierRepetitionCounts() throws {
        let server = try Self.server(
            root: Self.root("7.17.0"),
            bulk: { body, _ in
                let count = body.split(separator: "\n").count / 2
                let items = Array(
                    repeating: "{\"create\":{\"status\":409,\"error\":{}}}", count: count)
                return (200, "{\"errors\":true,\"items\":[\(items.joined(separator: ","))]}")
            })
        defer { server.stop() }
        try SinkRun.send(
            "elasticsearch:http://127.0.0.1:\(server.port)?index=metrics-h&data_stream=true",
            cycles: [1_795_248_080_000])
        #expect(lines(server).last == "POST /metrics-h/_bulk")
        #expect(server.requests[1].contains("\"data_stream\":{}"))
        #expect(server.requests[2].contains("{\"create\":{\"_id\":\""))
    }

    /// Of 15 documents the 2nd is refused for ever and the 4th is to come again: it comes alone.
    @Test func onlyTheItemsThatFailedAreSentAgain() throws {
        let server = try Self.server(
            root: Self.root("8.1.0"),
            bulk: { body, number in
                let count = body.split(separator: "\n").count / 2
                let items = (0..<count).map { index -> String in
                    switch (number, index) {
                    case (1, 1):
                        "{\"index\":{\"status\":400,\"error\":{\"type\":\"mapper_parsing_exception\",\"reason\":\"no\"}}}"
                    case (1, 3): "{\"index\":{\"status\":429,\"error\":{\"type\":\"full\"}}}"
                    default: "{\"index\":{\"status\":200}}"
                    }
                }
                return (200, "{\"errors\":true,\"items\":[\(items.joined(separator: ","))]}")
            })
        defer { server.stop() }
        let set = try SinkRun.make("elasticsearch:http://127.0.0.1:\(server.port)")
        set.offer(SinkRun.batch(1_795_248_080_000))
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.queuedRequests == 0 && status.refusedRequests == 1, "\(status)")
        // Two of memory.
        #expect(status.refusedPoints == 2 && status.deliveredPoints == 23, "\(status)")
        let bodies = server.requests.filter { $0.contains("/_bulk") }.map {
            $0.components(separatedBy: "\r\n\r\n").last.map { $0.split(separator: "\n") } ?? []
        }
        #expect(bodies.count == 2 && bodies[0].count == 30)
        #expect(bodies.count == 2 && bodies[1] == Array(bodies[0][6..<8]))
    }

    @Test func documentsKeepTheirIdsAndDifferAmongThemselves() throws {
        func ids() throws -> [String] {
            HeapsterGolden.requests(
                SinkRun.batch(1_795_248_080_000),
                ElasticsearchEncoder(clusterName: "c", isDataStream: false)
            ).flatMap { request in
                String(decoding: request.body, as: UTF8.self).split(separator: "\n")
                    .filter { $0.hasPrefix("{\"index\"") }.map(String.init)
            }
        }
        let first = try ids()
        #expect(first.count == 15 && Set(first).count == 15)
        #expect(try ids() == first)
    }

    // MARK: Servers

    /// The server that is configured only names the others; one of those dies.
    @Test func sniffingFindsTheOthersAndGoesOnWithoutOne() throws {
        let found = try (0..<2).map { _ in try Self.server(root: Self.root("8.1.0")) }
        defer { for server in found { server.stop() } }
        let ports = found.map(\.port)
        let first = try Self.server(
            root: Self.root("8.1.0"),
            nodes: {
                "{\"nodes\":{\"a\":{\"http\":{\"publish_address\":\"127.0.0.1:\(ports[0])\"}},"
                    + "\"b\":{\"roles\":[],\"http\":{\"publish_address\":\"localhost/127.0.0.1:\(ports[1])\"}}}}"
            })
        defer { first.stop() }
        let set = try SinkRun.make("elasticsearch:http://127.0.0.1:\(first.port)?sniff=true")
        set.offer(SinkRun.batch(1_795_248_080_000))
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].deliveredRequests == 1 })
        #expect(lines(first).allSatisfy { !$0.contains("_bulk") })
        let used = found.firstIndex { !$0.requests.isEmpty } ?? 0
        found[used].stop()
        set.offer(SinkRun.batch(1_795_248_090_000))
        set.stop(timeoutMilliseconds: 60_000)
        #expect(set.statuses[0].deliveredRequests == 2, "\(set.statuses[0])")
        #expect(found[1 - used].requests.count + first.requests.count > 3)
    }

    /// Of two servers that the configuration names the first one is gone.
    @Test func aServerThatIsGoneIsLeftForTheNextOfTheList() throws {
        let gone = try Self.server(root: Self.root("8.1.0"))
        let second = try Self.server(root: Self.root("8.1.0"))
        defer { second.stop() }
        gone.stop()
        try SinkRun.send(
            "elasticsearch:?nodes=http://127.0.0.1:\(gone.port)&nodes=http://127.0.0.1:\(second.port)",
            cycles: [1_795_248_080_000])
        #expect(gone.requests.isEmpty && lines(second).last == "POST /heapster-2026.11.21/_bulk")
    }

    @Test func nodesAnswersAreReadAndMalformedOnesAreNot() {
        func read(_ text: String) -> [HostAndPort]? { NodesAnswer.addresses(in: Array(text.utf8)) }
        let text =
            "{\"_nodes\":{},\"nodes\":{\"x\":{\"http\":{\"bound_address\":[\"::\"],\"publish_address\":\"[::1]:9200\"}}}}"
        #expect(read(text) == [HostAndPort(host: "::1", port: 9_200)])
        #expect(read("{\"nodes\":{\"x\":{}}}") == [])
        #expect(read("{}") == nil && read("[]") == nil)
        #expect(read("{\"nodes\":{\"x\":{\"http\":{\"publish_address\":\"nonsense\"}}}}") == [])
        for count in 0..<text.utf8.count { #expect(read(String(text.prefix(count))) == nil) }
    }

    // MARK: Signatures

    /// From AWS's own test suite for signature version 4: get-vanilla, post-vanilla,
    /// get-vanilla-query-order-key-case.
    @Test(arguments: [
        ("GET", "/", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "GET", "/?Param2=value2&Param1=value1",
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"
        ),
    ])
    func signaturesAreAWSsOwn(method: String, target: String, signature: String) throws {
        let signer = AWSSigner(
            accessKey: "AKIDEXAMPLE",
            secretKey: .value("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"), region: "us-east-1",
            service: "service")
        let text = try signer.authorization(
            method, target,
            fields: [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")],
            bodyHash: Crypto.hexadecimal(Crypto.digest([], .sha256)), time: "20150830T123600Z")
        #expect(
            text
                == "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
                + "SignedHeaders=host;x-amz-date, Signature=\(signature)")
    }

    @Test func credentialsComeFromTheEnvironmentAsHeapsters() throws {
        func signer(_ query: String, _ environment: [String: String]) throws -> AWSSigner? {
            let uri = try SinkURI(parsing: "elasticsearch:?\(query)")
            return try AWSSigner(
                try SinkOptions(uri, known: AWSSigner.options), kind: "elasticsearch",
                environment: { environment[$0] })
        }
        #expect(try signer("", [:]) == nil)
        #expect(try signer("", ["AWS_REGION": "eu-west-1"]) == nil)
        let keys = ["AWS_ACCESS_KEY": "a", "AWS_SECRET_KEY": "s", "AWS_REGION": "r"]
        let found = try #require(try signer("", keys))
        #expect(found.accessKey == "a" && found.region == "r" && found.service == "es")
        #expect(try found.secretKey.reveal() == "s" && found.sessionToken == nil)
        #expect(throws: SinkConfigurationError.self) { try signer("aws_region=r", [:]) }
        #expect(throws: SinkConfigurationError.self) {
            try signer("", ["AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"])
        }
        #expect(throws: SinkConfigurationError.self) { try signer("aws_service=s3", keys) }
        #expect(!"\(found)".contains("\"s\""))
    }
}
