import Foundation
import Synchronization
import TestSupport
import Wire
import WireTLS

@testable import Aggregator

/// An apiserver that knows some tokens, grants some rights and publishes its authorities, as
/// written by who did not write the code under test's idea of it: it looks for texts in requests.
final class ReviewingAPIServer: Sendable {
    struct Rules: Sendable {
        /// Token to the `user` object of its review.
        var users: [String: String] = [:]
        /// Texts that a SubjectAccessReview's body must all have, to be granted.
        var grants: [[String]] = []
        /// `data` of the ConfigMap, as JSON; nil: 403.
        var authentication: String?
        /// Answer 500 to everything.
        var isBroken = false
    }

    /// A class, because a lock cannot be captured.
    final class RulesBox: Sendable {
        private let rules = Mutex(Rules())
        func withLock<Result: Sendable>(_ body: (inout Rules) -> Result) -> Result {
            rules.withLock { body(&$0) }
        }
    }

    let rules = RulesBox()
    private let server: Mutex<ScriptedServer?>

    init() throws {
        server = Mutex(nil)
        let made = try ScriptedServer { [rules] request, _ in
            [.send(Self.answer(request, rules.withLock { $0 }))]
        }
        server.withLock { $0 = made }
    }

    var requests: [String] { server.withLock { $0?.requests ?? [] } }
    func requests(to part: String) -> [String] { requests.filter { $0.contains(part) } }
    func stop() { server.withLock { $0?.stop() } }

    var access: APIServerAccess {
        get throws {
            let port = server.withLock { $0?.port ?? 0 }
            return APIServerAccess(server: try HTTPURL(parsing: "http://127.0.0.1:\(port)"))
        }
    }

    private static func answer(_ request: String, _ rules: Rules) -> [UInt8] {
        let path = String(request.split(separator: " ")[1])
        let body = request.range(of: "\r\n\r\n").map { String(request[$0.upperBound...]) } ?? ""
        if rules.isBroken { return reply(500, #"{"kind":"Status","message":"broken"}"#) }
        switch path {
        case "/apis/authentication.k8s.io/v1/tokenreviews":
            let known = rules.users.first { body.contains("\"token\":\"\($0.key)\"") }
            let status =
                known.map { "{\"authenticated\":true,\"user\":\($0.value)}" }
                ?? "{\"user\":{},\"error\":\"invalid bearer token\"}"
            return reply(201, "{\"kind\":\"TokenReview\",\"spec\":{},\"status\":\(status)}")
        case "/apis/authorization.k8s.io/v1/subjectaccessreviews":
            let isAllowed = rules.grants.contains { $0.allSatisfy { body.contains($0) } }
            return reply(
                201,
                "{\"kind\":\"SubjectAccessReview\",\"status\":{\"allowed\":\(isAllowed),"
                    + "\"reason\":\"\"}}")
        case "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication":
            guard let data = rules.authentication else {
                return reply(403, #"{"kind":"Status","message":"no"}"#)
            }
            return reply(200, "{\"kind\":\"ConfigMap\",\"data\":\(data)}")
        default: return reply(404, "{}")
        }
    }

    private static func reply(_ status: Int, _ body: String) -> [UInt8] {
        Array(
            "HTTP/1.1 \(status) X\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
    }
}

/// The API's server with its doorkeeper, over TLS, and `curl` to ask it.
final class GuardedServer {
    let certificates: TestCertificates
    let server: HTTPServer
    let access: AccessControl

    init(
        _ certificates: TestCertificates,
        headTimeout: Duration = .seconds(10),
        route: @escaping AccessControl.Route = { .now(.text(.ok, "you asked \($0.rawPath)")) },
        _ configure: (inout AccessConfiguration, TestCertificates) throws -> Void
    ) throws {
        self.certificates = certificates
        let path = { (name: String) in certificates.folder.appendingPathComponent(name).path }
        var configuration = AccessConfiguration()
        configuration.isOpen = false
        try configure(&configuration, certificates)
        let access = try AccessControl(configuration)
        self.access = access
        var http = HTTPServerConfiguration()
        http.headTimeout = headTimeout
        http.tls = try TLSFiles(
            TLSFiles.Paths(certificate: path("server.pem"), key: path("server.key")),
            role: .askingServer)
        server = try HTTPServer(
            listeningOn: .loopback(port: 0), remedy: "--port", configuration: http
        ) { access.answer($0, route) }
    }

    deinit {
        server.shutdown(grace: .seconds(1))
        access.stop()
    }

    /// Status and body.
    func curl(_ path: String, _ options: String...) throws -> (status: Int, body: String) {
        let all =
            [
                "-sS", "-m", "20", "-w", "\n%{http_code}", "--cacert",
                certificates.folder.appendingPathComponent("ca.pem").path,
            ] + options + ["https://localhost:\(server.address.port)\(path)"]
        let result = try run(["curl"] + all)
        let text = String(decoding: result.output, as: UTF8.self)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        return (Int(lines.last ?? "") ?? 0, lines.dropLast().joined(separator: "\n"))
    }

    /// Options with which curl presents a certificate.
    func certificate(_ name: String) -> (String, String, String, String) {
        let path = { (name: String) in
            self.certificates.folder.appendingPathComponent(name).path
        }
        return ("--cert", path("\(name).pem"), "--key", path("\(name).key"))
    }

    func curl(_ path: String, as name: String, _ fields: [String] = []) throws
        -> (status: Int, body: String)
    {
        let options = certificate(name)
        let all =
            [
                "-sS", "-m", "20", "-w", "\n%{http_code}", "--cacert",
                certificates.folder.appendingPathComponent("ca.pem").path, options.0, options.1,
                options.2, options.3,
            ] + fields.flatMap { ["-H", $0] }
            + ["https://localhost:\(server.address.port)\(path)"]
        let result = try run(["curl"] + all)
        let lines = String(decoding: result.output, as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false)
        return (Int(lines.last ?? "") ?? 0, lines.dropLast().joined(separator: "\n"))
    }
}
