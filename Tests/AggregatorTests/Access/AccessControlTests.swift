import Foundation
import Synchronization
import TestSupport
import Testing
import Wire
import WireTLS

@testable import Aggregator

/// Who may ask, with real certificates and curl over TLS, and an apiserver that a test plays.
@Suite struct AccessControlTests {
    private let certificates: TestCertificates
    private let apiserver: ReviewingAPIServer

    init() throws {
        certificates = try TestCertificates()
        apiserver = try ReviewingAPIServer()
    }

    private func file(_ name: String) throws -> AuthorityFile {
        try AuthorityFile(certificates.folder.appendingPathComponent(name).path)
    }

    private func jsonText(_ name: String) throws -> String {
        let text = String(decoding: try certificates.bytes(name), as: UTF8.self)
        return "\"" + text.replacingOccurrences(of: "\n", with: "\\n") + "\""
    }

    private let closed = ["/metrics", "/api/v1/model/nodes/", "/apis", "/", "/nothing", "/livez/x"]

    @Test func nobodyGetsMoreThanHealth() throws {
        let guarded = try GuardedServer(certificates) { access, _ in
            access.apiserver = try apiserver.access
        }
        for path in ["/healthz", "/livez", "/readyz", "/healthz/healthz", "/livez?verbose"] {
            #expect(try guarded.curl(path).status == 200, "\(path)")
        }
        for path in closed + ["/%68ealthz", "//healthz", "/healthz/", "/healthz/../metrics"] {
            let answer = try guarded.curl(path, "--path-as-is")
            #expect(answer.status == 401 && answer.body == "Unauthorized", "\(path)")
        }
        let status = try guarded.curl("/apis/metrics.k8s.io/v1beta1/nodes", "-i")
        #expect(status.status == 401 && status.body.contains("\"reason\":\"Unauthorized\""))
        #expect(status.body.contains("WWW-Authenticate: Bearer"))
        // Fields of the front proxy are worth nothing without its certificate, other methods neither.
        for options in [
            ["-H", "X-Remote-User: admin", "-H", "X-Remote-Group: system:masters"],
            ["-u", "admin:admin"], ["-X", "POST"], ["-H", "Authorization: Bearer"],
        ] {
            let answer = try guarded.curl("/metrics", options[0], options[1])
            #expect(answer.status == 401, "\(options)")
        }
        #expect(apiserver.requests.isEmpty)
        #expect(guarded.access.counters[.unauthenticated] > 10)
    }

    @Test func aTokenIsReviewedOnceAndItsRightsAreAskedFor() throws {
        apiserver.rules.withLock { rules in
            rules.users = [
                "t-alice": #"{"username":"alice","uid":"7","groups":["ops"],"extra":{"k":["v"]}}"#
            ]
            rules.grants = [
                [#""user":"alice""#, #""groups":["ops"]"#, #""k":["v"]"#, #""path":"/metrics""#],
                [
                    #""resource":"pods""#, #""verb":"list""#, #""namespace":"team-a""#,
                    #""group":"metrics.k8s.io""#,
                ],
            ]
        }
        let guarded = try GuardedServer(certificates) { access, _ in
            access.apiserver = try apiserver.access
        }
        let token = "Authorization: Bearer t-alice"
        for _ in 0..<3 {
            let answer = try guarded.curl("/metrics", "-H", token)
            #expect(answer.status == 200 && answer.body == "you asked /metrics")
        }
        let base = "/apis/metrics.k8s.io/v1beta1/namespaces"
        #expect(try guarded.curl("\(base)/team-a/pods", "-H", token).status == 200)
        let refused = try guarded.curl("\(base)/team-b/pods", "-H", token)
        #expect(refused.status == 403)
        #expect(
            refused.body.contains(
                #"User \"alice\" cannot list resource \"pods\" in API group \"metrics.k8s.io\" in the namespace \"team-b\""#
            ))
        #expect(try guarded.curl("/api/v1/model/nodes", "-H", token).status == 403)
        let stranger = try guarded.curl("/metrics", "-H", "Authorization: Bearer t-mallory")
        #expect(stranger.status == 401)
        _ = try guarded.curl("/metrics", "-H", "Authorization: Bearer t-mallory")
        #expect(apiserver.requests(to: "tokenreviews").count == 2)
        #expect(apiserver.requests(to: #""path":"/metrics""#).count == 1)
        // Two tokens in one request could be seen differently by two readers.
        let two = try guarded.curl("/metrics", "-H", token, "-H", "Authorization: Bearer other")
        #expect(two.status == 401)
    }

    @Test func eachUserHasAShareOfItsOwnBehindOneAddress() throws {
        apiserver.rules.withLock { rules in
            rules.users = [
                "t-alice": #"{"username":"alice"}"#, "t-bob": #"{"username":"bob"}"#,
            ]
            rules.grants = [[#""user":"alice""#], [#""user":"bob""#]]
        }
        let admission = RequestAdmission(clientCountMax: 1, streamCountMax: 4)
        let (entered, gate) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        let route: AccessControl.Route = { request in
            let isHeld = request.rawPath == "/hold"
            return admission.admit(
                request,
                .onWorker { _ in
                    if isHeld {
                        entered.signal()
                        gate.wait()
                    }
                    return .text(.ok, "done")
                })
        }
        nonisolated(unsafe) let guarded = try GuardedServer(certificates, route: route) {
            access, _ in access.apiserver = try apiserver.access
        }
        @Sendable func ask(_ path: String, _ token: String) -> (status: Int, body: String) {
            do {
                return try guarded.curl(path, "-i", "-H", "Authorization: Bearer \(token)")
            } catch { return (0, "\(error)") }
        }
        let held = Mutex(0)
        Thread.detachNewThread {
            let status = ask("/hold", "t-alice").status
            held.withLock { $0 = status }
        }
        #expect(entered.wait(timeout: .now() + 60) == .success)
        let refused = ask("/x", "t-alice")
        #expect(refused.status == 429 && refused.body.contains("Retry-After: 1"))
        #expect(
            refused.body.contains("requests of this user")
                && refused.body.contains("--api-max-requests-per-client"))
        #expect(ask("/x", "t-bob").status == 200)
        gate.signal()
        #expect(eventually { held.withLock { $0 } == 200 })
        #expect(eventually { ask("/x", "t-alice").status == 200 })
    }

    @Test func whoMayHaveAllOfTheModelIsAskedOnce() throws {
        apiserver.rules.withLock { rules in
            rules.users = ["t": #"{"username":"bob"}"#]
            rules.grants = [[#""path":"/heapwire/api/v1/model/*""#]]
        }
        let guarded = try GuardedServer(certificates) { access, _ in
            access.apiserver = try apiserver.access
        }
        for number in 0..<5 {
            let path = "/api/v1/model/nodes/n\(number)/metrics"
            #expect(try guarded.curl(path, "-H", "Authorization: Bearer t").status == 200)
        }
        #expect(apiserver.requests(to: "subjectaccessreviews").count == 1)
    }

    @Test func aCertificateOfTheClientAuthorityMayAskWhatHeapsterAllowed() throws {
        for (allowed, expected) in [([], 200), (["alice"], 200), (["bob"], 403)]
            as [([String], Int)]
        {
            let guarded = try GuardedServer(certificates) { access, _ in
                access.clientAuthorities = try file("ca.pem")
                access.allowedUsers = Set(allowed)
            }
            let answer = try guarded.curl("/api/v1/model/nodes/", as: "client")
            #expect(answer.status == expected, "\(allowed)")
            if expected == 403 { #expect(answer.body == "Forbidden") }
            #expect(try guarded.curl("/api/v1/model/nodes/").status == 401)
        }
        // Of another authority, expired, or a server's: nobody.
        try certificates.signClient("stranger", subject: "/CN=alice", authority: "other")
        try certificates.signClient("past", subject: "/CN=alice", days: 0)
        let guarded = try GuardedServer(certificates) { access, _ in
            access.clientAuthorities = try file("ca.pem")
        }
        Thread.sleep(forTimeInterval: 1.1)
        for name in ["stranger", "past"] {
            #expect(try guarded.curl("/metrics", as: name).status == 401, "\(name)")
        }
        #expect(try guarded.curl("/healthz", as: "stranger").status == 200)
    }

    @Test func onlyTheFrontProxySpeaksForOthers() throws {
        try certificates.signClient("proxy", subject: "/CN=front-proxy-client", authority: "other")
        try certificates.signClient("impostor", subject: "/CN=impostor", authority: "other")
        apiserver.rules.withLock {
            $0.grants = [
                [
                    #""user":"carol""#, #""groups":["dev","system:authenticated"]"#,
                    #""scopes/x":["a","b"]"#,
                ]
            ]
        }
        let fields = [
            "X-Remote-User: carol", "X-Remote-Group: dev", "X-Remote-Group: system:authenticated",
            "X-Remote-Extra-Scopes%2fx: a", "X-Remote-Extra-Scopes%2Fx: b",
        ]
        let guarded = try GuardedServer(certificates) { access, _ in
            access.apiserver = try apiserver.access
            access.clientAuthorities = try file("ca.pem")
            access.frontProxy = AccessConfiguration.FrontProxyFiles(
                authorities: try file("other.pem"), allowedNames: ["front-proxy-client"])
        }
        #expect(try guarded.curl("/metrics", as: "proxy", fields).status == 200)
        #expect(
            try guarded.curl("/metrics", as: "proxy", ["X-Remote-User: dave"]).status == 403)
        // The proxy for nobody, its authority's other certificate, another authority's.
        #expect(try guarded.curl("/metrics", as: "proxy").status == 401)
        #expect(try guarded.curl("/metrics", as: "impostor", fields).status == 401)
        #expect(try guarded.curl("/metrics", as: "client", fields).status == 200)
        let users = apiserver.requests(to: "subjectaccessreviews")
        #expect(users.filter { $0.contains("carol") }.count == 1)
        #expect(!users.contains { $0.contains("alice") })
        let masters = ["X-Remote-User: root", "X-Remote-Group: system:masters"]
        apiserver.rules.withLock { $0.isBroken = true }
        #expect(try guarded.curl("/metrics", as: "proxy", masters).status == 200)
        #expect(try guarded.curl("/metrics", as: "impostor", masters).status == 401)
    }

    /// A real apiserver fetches `/openapi/v2` as `system:aggregator` without any group.
    @Test func whomTheProxyNamesIsAuthenticatedUnlessItIsSaidOtherwise() throws {
        try certificates.signClient("proxy", subject: "/CN=front-proxy-client", authority: "other")
        apiserver.rules.withLock {
            $0.grants = [
                [#""user":"system:aggregator""#, #""groups":["system:authenticated"]"#],
                [#""user":"erin""#, #""groups":["dev","system:authenticated"]"#],
            ]
        }
        let guarded = try GuardedServer(certificates) { access, _ in
            access.apiserver = try apiserver.access
            access.frontProxy = AccessConfiguration.FrontProxyFiles(
                authorities: try file("other.pem"), allowedNames: ["front-proxy-client"])
        }
        func status(_ user: String, _ groups: String...) throws -> Int {
            let fields = ["X-Remote-User: \(user)"] + groups.map { "X-Remote-Group: \($0)" }
            return try guarded.curl("/metrics", as: "proxy", fields).status
        }
        #expect(try status("system:aggregator") == 200)
        #expect(try status("erin", "dev") == 200)
        #expect(try status("system:anonymous") == 403)
        #expect(try status("mallory", "system:unauthenticated") == 403)
        let questions = apiserver.requests(to: "subjectaccessreviews")
        for user in ["system:anonymous", "mallory"] {
            let asked = questions.filter { $0.contains("\"user\":\"\(user)\"") }
            #expect(!asked.isEmpty && asked.allSatisfy { !$0.contains("system:authenticated") })
        }
    }

    @Test func theClustersOwnAuthoritiesComeFromItsConfigMap() throws {
        try certificates.signClient("proxy", subject: "/CN=front-proxy-client", authority: "other")
        let (ca, other) = (try jsonText("ca.pem"), try jsonText("other.pem"))
        apiserver.rules.withLock {
            $0.authentication =
                "{\"client-ca-file\":\(ca),\"requestheader-client-ca-file\":\(other),"
                + #""requestheader-allowed-names":"[\"front-proxy-client\"]","#
                + #""requestheader-username-headers":"[\"X-User\"]"}"#
            $0.grants = [
                [#""user":"carol""#], [#""user":"alice""#, #""ops","dev","system:authenticated""#],
            ]
        }
        let guarded = try GuardedServer(certificates) { access, _ in
            access.apiserver = try apiserver.access
        }
        #expect(try guarded.curl("/metrics", as: "proxy", ["X-User: carol"]).status == 200)
        #expect(try guarded.curl("/metrics", as: "proxy", ["X-Remote-User: carol"]).status == 401)
        // A user's certificate counts as its user, whatever fields come with it.
        #expect(try guarded.curl("/metrics", as: "client", ["X-User: carol"]).status == 200)
        #expect(apiserver.requests(to: #""user":"alice""#).count == 1)
        #expect(apiserver.requests(to: "configmaps").count == 1)
    }

    @Test func anApiserverThatFailsIsNotAYes() throws {
        apiserver.rules.withLock {
            $0.isBroken = true
            $0.users = ["t": #"{"username":"bob"}"#]
            $0.grants = [[]]
        }
        let guarded = try GuardedServer(certificates) { access, _ in
            access.apiserver = try apiserver.access
            access.clientAuthorities = try file("ca.pem")
        }
        let answer = try guarded.curl("/metrics", "-i", "-H", "Authorization: Bearer t")
        #expect(answer.status == 503 && answer.body.contains("Retry-After: 1"))
        // Who need not be asked about is served; and the apiserver is not asked again at once.
        #expect(try guarded.curl("/metrics", as: "client").status == 200)
        apiserver.rules.withLock { $0.isBroken = false }
        Thread.sleep(forTimeInterval: 1.1)
        #expect(try guarded.curl("/metrics", "-H", "Authorization: Bearer t").status == 200)
    }

    @Test func aHandshakeThatDoesNotGoOnIsEnded() throws {
        let guarded = try GuardedServer(certificates, headTimeout: .milliseconds(300)) {
            access, _ in access.clientAuthorities = try file("ca.pem")
        }
        let silent = try TestClient(guarded.server.address)
        #expect(try silent.readToEnd().isEmpty)
        let plain = try TestClient(guarded.server.address)
        plain.send("GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n")
        #expect(try !plain.readToEnd().contains("200"))
        #expect(eventually { guarded.server.counters.snapshot.failedHandshakes == 2 })
        let old = try guarded.curl("/healthz", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0")
        #expect(old.status == 0)
        #expect(try guarded.curl("/healthz", "--tls-max", "1.2").status == 200)
        #expect(eventually { guarded.server.counters.snapshot.openConnections == 0 })
    }

    // MARK: Renewal

    @Test func theServersCertificateIsReplacedWhileItServes() throws {
        let certificates = try TestCertificates()
        try certificates.signServer("renewed", subject: "/CN=renewed")
        let guarded = try GuardedServer(certificates) { access, _ in access.isOpen = true }
        func subject() throws -> String {
            let port = guarded.server.address.port
            let result = try run([
                "sh", "-c",
                "openssl s_client -connect 127.0.0.1:\(port) </dev/null 2>/dev/null"
                    + " | openssl x509 -noout -subject",
            ])
            return String(decoding: result.output, as: UTF8.self)
        }
        func put(_ bytes: [UInt8], _ name: String) throws {
            try Data(bytes).write(to: certificates.folder.appendingPathComponent(name))
        }
        #expect(try subject().contains("the-server"))
        // Half written: what was good stays in use.
        try put([0x2D], "server.pem")
        usleep(1_100_000)
        #expect(try subject().contains("the-server"))
        try put(try certificates.bytes("renewed.key"), "server.key")
        try put(try certificates.bytes("renewed.pem"), "server.pem")
        var last = ""
        for _ in 0..<600 where !last.contains("renewed") {
            usleep(100_000)
            last = try subject()
        }
        #expect(last.contains("renewed"))
        #expect(try guarded.curl("/healthz").status == 200)
    }
}
