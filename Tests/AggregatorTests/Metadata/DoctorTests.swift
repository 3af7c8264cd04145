import Foundation
import Synchronization
import Testing

@testable import Aggregator

/// What `doctor` says of an apiserver that is not quite right. The real one is examined in
/// `KubernetesTests.Access`.
@Suite(.serialized) struct DoctorTests {
    private func examine(
        _ server: String, token: String = "good", reviewsTokens: Bool = false,
        reviewsReaders: Bool = false
    ) throws -> [Finding] {
        var access = APIServerAccess(server: try HTTPURL(parsing: server))
        access.authorization = .token(token)
        let findings = Mutex<[Finding]>([])
        APIServerCheck(
            access: access,
            permissions: APIServerCheck.permissions(
                reviewsAgents: reviewsTokens, reviewsReaders: reviewsReaders)
        ) { finding in findings.withLock { $0.append(finding) } }.run()
        return findings.withLock { $0 }
    }

    @Test func aGoodApiserverIsGoodInEveryStep() throws {
        let fake = try FakeAPIServer()
        defer { fake.server.stop() }
        let findings = try examine("http://127.0.0.1:\(fake.server.port)", reviewsTokens: true)
        #expect(findings.allSatisfy { $0.outcome == .good }, "\(findings)")
        #expect(
            findings.map(\.subject) == [
                "name resolution", "TCP", "TLS", "credentials", "list nodes", "watch nodes",
                "list namespaces", "watch namespaces", "list replicasets", "watch replicasets",
                "list jobs", "watch jobs", "list pods", "watch pods", "create tokenreviews",
            ])
    }

    @Test func eachFaultIsNamedAndWhatComesBehindIsNotReached() throws {
        let unresolved = try examine("http://no-such-host.invalid:1")
        #expect(unresolved[0].outcome == .fault && unresolved[0].words.contains("DNS"))
        #expect(unresolved.dropFirst().allSatisfy { $0.outcome == .skipped })
        // A port that nothing listens on.
        let fake = try FakeAPIServer()
        let port = fake.server.port
        let wrongToken = try examine("http://127.0.0.1:\(port)", token: "bad")
        #expect(wrongToken[2].outcome == .good && wrongToken[3].outcome == .fault)
        #expect(wrongToken[3].words.contains("have not expired or been revoked"))
        // Speaks HTTP where TLS is wanted.
        let noTLS = try examine("https://127.0.0.1:\(port)")
        #expect(noTLS[1].outcome == .good && noTLS[2].outcome == .fault, "\(noTLS)")
        fake.server.stop()
        usleep(50_000)
        let refused = try examine("http://127.0.0.1:\(port)")
        #expect(refused[0].outcome == .good && refused[1].outcome == .fault)
        #expect(refused[1].words.contains("firewalls"))
    }

    @Test func aMissingPermissionIsSaidWithItsRule() throws {
        let fake = try FakeAPIServer(
            .init(denied: ["list pods", "watch jobs", "create tokenreviews"]))
        defer { fake.server.stop() }
        let findings = try examine("http://127.0.0.1:\(fake.server.port)", reviewsTokens: true)
        let bad = findings.filter { $0.outcome != .good }
        #expect(bad.map(\.outcome) == [.warning, .fault, .fault])
        #expect(
            bad.map(\.description) == [
                "warn  watch jobs: the account may not watch jobs: give its ClusterRole the rule "
                    + "{apiGroups: [\"batch\"], resources: [\"jobs\"], verbs: [\"list\", \"watch\"]}; "
                    + "without it changes are seen once a minute",
                "FAIL  list pods: the account may not list pods: give its ClusterRole the rule "
                    + "{apiGroups: [\"\"], resources: [\"pods\"], verbs: [\"list\", \"watch\"]}; "
                    + "without it pods go by their UIDs and containers by their IDs",
                "FAIL  create tokenreviews: the account may not create tokenreviews: give its "
                    + "ClusterRole the rule {apiGroups: [\"authentication.k8s.io\"], resources: "
                    + "[\"tokenreviews\"], verbs: [\"create\"]}; without it no agent is believed "
                    + "(--agent-token-review)",
            ])
    }

    @Test func readersOverTLSNeedTwoPermissionsMore() throws {
        let fake = try FakeAPIServer(.init(denied: ["create subjectaccessreviews"]))
        let findings = try examine("http://127.0.0.1:\(fake.server.port)", reviewsReaders: true)
        fake.server.stop()
        #expect(findings.count == 16)
        let fault = findings.filter { $0.outcome == .fault }
        #expect(fault.map(\.subject) == ["create subjectaccessreviews"])
        #expect(fault[0].words.contains("no reader is answered but those with a certificate"))
    }

    @Test func theCommandLineIsTheFirstThing() {
        var lines: [String] = []
        #expect(Doctor.run(["--port=x", "--bogus"], output: { lines.append($0) }) == 2)
        #expect(lines.count == 2 && lines.allSatisfy { $0.hasPrefix("FAIL  command line: ") })
        lines = []
        #expect(Doctor.run([], output: { lines.append($0) }) == 0)
        #expect(lines.contains { $0.hasPrefix("skip  source: none") })
        lines = []
        #expect(Doctor.run(["--help"], output: { lines.append($0) }) == 0)
        #expect(lines.first?.contains("exit codes") == true)
    }

    @Test func aSinkThatCannotBeReachedIsAFault() throws {
        let fake = try FakeAPIServer()
        let port = fake.server.port
        fake.server.stop()
        var lines: [String] = []
        let code = Doctor.run(
            ["--sink=influxdb:http://127.0.0.1:\(port)"], output: { lines.append($0) })
        #expect(code == 1)
        #expect(lines.contains { $0.hasPrefix("ok    resolve 127.0.0.1") }, "\(lines)")
        #expect(lines.contains { $0.hasPrefix("FAIL  connect to 127.0.0.1:\(port)") }, "\(lines)")
    }

    /// Answers of a store; what was asked is kept.
    private func examineHistory(
        _ kind: String, _ answer: String, status: Int = 200
    ) throws -> (code: Int32, line: String, requests: [String]) {
        let head = "HTTP/1.1 \(status) X\r\nContent-Length: \(answer.utf8.count)\r\n\r\n"
        let store = try ScriptedServer { _, _ in [.send(Array((head + answer).utf8))] }
        defer { store.stop() }
        var lines: [String] = []
        let code = Doctor.run(
            ["--historical-source=\(kind):http://127.0.0.1:\(store.port)"],
            output: { lines.append($0) })
        let line = lines.first { $0.contains("--historical-source") } ?? "\(lines)"
        return (code, line, store.requests)
    }

    @Test func theStoreOfHistoryIsAskedForItsNodes() throws {
        let prometheus = try examineHistory(
            "prometheus", #"{"status":"success","data":["n1","n2"]}"#)
        #expect(prometheus.code == 0)
        #expect(
            prometheus.line == "ok    --historical-source: answers, and has history of 2 nodes")
        #expect(prometheus.requests.count == 1)
        let empty = try examineHistory("prometheus", #"{"status":"success","data":[]}"#)
        #expect(empty.code == 0 && empty.line.hasPrefix("warn  --historical-source: answers, but"))
        let influx = try examineHistory(
            "influxdb",
            #"{"results":[{"statement_id":0,"series":[{"name":"uptime","columns":["key","value"],"#
                + #""values":[["nodename","n1"]]}]}]}"#)
        #expect(influx.code == 0, "\(influx)")
        #expect(influx.line == "ok    --historical-source: answers, and has history of 1 node")
        let refused = try examineHistory(
            "influxdb", #"{"error":"authorization failed"}"#, status: 401)
        #expect(refused.code == 1)
        #expect(refused.line.hasPrefix("FAIL  --historical-source: cannot read the history: "))
        #expect(refused.line.contains("authorization failed"), "\(refused.line)")
        // A port that nothing listens on any more.
        let gone = try ScriptedServer { _, _ in [] }
        let port = gone.port
        gone.stop()
        var lines: [String] = []
        let code = Doctor.run(
            ["--historical-source=prometheus:http://127.0.0.1:\(port)"],
            output: { lines.append($0) })
        #expect(code == 1)
        #expect(lines.contains { $0.hasPrefix("FAIL  --historical-source: ") }, "\(lines)")
    }
}
