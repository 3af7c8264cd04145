import Foundation
import TestSupport
import Testing
import Wire
import WireTLS

@testable import Aggregator

/// The client against another implementation of both TLS and HTTP: Python over OpenSSL.
@Suite struct HTTPClientTLSTests {
    /// `tls_server.py`, running.
    private final class Server {
        let port: UInt16
        let proxy: UInt16
        private let process = Process()
        private let input = Pipe()

        init(
            _ certificates: TestCertificates, _ name: String = "server", _ arguments: [String] = []
        )
            throws
        {
            let script = Repository.root
                .appendingPathComponent("Tests/AggregatorTests/HTTP/tls_server.py")
            let output = Pipe()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments =
                [
                    "python3", script.path,
                    certificates.folder.appendingPathComponent("\(name).pem").path,
                    certificates.folder.appendingPathComponent("\(name).key").path,
                ] + arguments
            process.standardInput = input
            process.standardOutput = output
            process.standardError = FileHandle.nullDevice
            try process.start()
            let line = String(decoding: output.fileHandleForReading.availableData, as: UTF8.self)
            guard let match = line.firstMatch(of: /port (\d+) proxy (\d+)/),
                let port = UInt16(match.1), let proxy = UInt16(match.2)
            else { throw RunningProgram.Failure(description: "the server said: \(line)") }
            (self.port, self.proxy) = (port, proxy)
        }

        deinit {
            do { try input.fileHandleForWriting.close() } catch { print("\(error)") }
            process.waitUntilExit()
        }
    }

    private let certificates: TestCertificates

    init() throws { certificates = try TestCertificates() }

    private func client(
        _ port: UInt16, host: String = "127.0.0.1", trusting authority: String? = "ca",
        as identity: String? = nil, serverName: String? = nil, through proxy: HTTPProxy? = nil,
        _ timeouts: HTTPTimeouts = HTTPTimeouts()
    ) throws -> HTTPClient {
        let trust =
            try authority.map {
                TLSTrust.authorities(try certificates.bytes("\($0).pem"), source: $0)
            } ?? .anyone
        let presented = try identity.map {
            TLSIdentity(
                certificateChain: try certificates.bytes("\($0).pem"),
                key: try certificates.bytes("\($0).key"), source: $0)
        }
        return HTTPClient(
            HTTPDestination(
                try HTTPURL(parsing: "https://\(host):\(port)"),
                tls: try TLSContext.client(trust: trust, identity: presented), proxy: proxy,
                serverName: serverName), timeouts: timeouts)
    }

    private func get(_ client: HTTPClient, _ path: String, gzip: Bool = false) throws -> [UInt8] {
        var request = HTTPClientRequest(.get, path)
        request.acceptsGzip = gzip
        return try client.send(request, bodyLimit: 1 << 20).body
    }

    /// The text that the server tells in several ways.
    private static let text = Array(
        (0..<20_000).map { "line \($0) of a long text\n" }.joined().utf8)

    @Test func bodiesArriveWholeWhateverTheirForm() throws {
        let server = try Server(certificates)
        let client = try client(server.port)
        for path in ["/long", "/chunked", "/gzip", "/long"] {
            #expect(try get(client, path, gzip: true) == Self.text, "\(path)")
        }
        #expect(try get(client, "/plain") == Array("plain".utf8))
        #expect(throws: HTTPClientError.bodyTooLarge(limit: 1_000)) {
            try client.send(HTTPClientRequest(.get, "/chunked"), bodyLimit: 1_000)
        }
        // A small text that becomes a long one is as long as what comes out.
        var zipped = HTTPClientRequest(.get, "/gzip")
        zipped.acceptsGzip = true
        #expect(throws: HTTPClientError.bodyTooLarge(limit: 100_000)) {
            try client.send(zipped, bodyLimit: 100_000)
        }
        #expect(throws: HTTPClientError.self) { try get(client, "/cut") }
        #expect(throws: HTTPClientError.self) { try get(client, "/endless-head") }
        #expect(try get(client, "/plain") == Array("plain".utf8))
    }

    @Test func onlyTheRightCertificateIsBelieved() throws {
        let server = try Server(certificates)
        func refusal(_ client: HTTPClient) throws -> String {
            let error = #expect(throws: HTTPClientError.self) { try get(client, "/plain") }
            return error?.description ?? ""
        }
        #expect(try get(try client(server.port, host: "localhost"), "/plain").count == 5)
        #expect(try get(try client(server.port, trusting: nil), "/plain").count == 5)
        #expect(
            try get(
                try client(server.port, serverName: "a.pods.example"), "/plain"
            ).count == 5)
        #expect(try refusal(client(server.port, trusting: "other")).contains("certificate"))
        let misnamed = try refusal(client(server.port, serverName: "elsewhere.example"))
        #expect(misnamed.contains("elsewhere.example"), "\(misnamed)")
        // A star stands for one part of a name.
        #expect(throws: HTTPClientError.self) {
            try get(try client(server.port, serverName: "a.b.pods.example"), "/plain")
        }
        let expired = try Server(certificates, "expired")
        #expect(try refusal(client(expired.port)).contains("expired"))
        let old = try Server(certificates, "server", ["--tls-max", "1.1"])
        #expect(throws: HTTPClientError.self) { try get(try client(old.port), "/plain") }
    }

    @Test func aServerThatAsksGetsTheClientsCertificate() throws {
        let authority = certificates.folder.appendingPathComponent("ca.pem").path
        let server = try Server(certificates, "server", ["--client-ca", authority])
        #expect(try get(try client(server.port, as: "client"), "/who") == Array("alice".utf8))
        #expect(throws: HTTPClientError.self) { try get(try client(server.port), "/who") }
        try certificates.signClient("stranger", subject: "/CN=mallory", authority: "other")
        #expect(throws: HTTPClientError.self) {
            try get(try client(server.port, as: "stranger"), "/who")
        }
    }

    @Test func aTunnelCarriesTLSToTheFarEnd() throws {
        let server = try Server(certificates)
        let good = try HTTPProxy(parsing: "http://user:pass@127.0.0.1:\(server.proxy)")
        let tunnelled = try client(server.port, through: good)
        #expect(try get(tunnelled, "/gzip", gzip: true) == Self.text)
        #expect(try get(tunnelled, "/plain") == Array("plain".utf8))
        // The far end's name is what counts, not the proxy's.
        #expect(throws: HTTPClientError.self) {
            try get(try client(server.port, trusting: "other", through: good), "/plain")
        }
        let unknown = try HTTPProxy(parsing: "http://user:wrong@127.0.0.1:\(server.proxy)")
        #expect(
            throws: HTTPClientError.proxyRefused(proxy: "127.0.0.1:\(server.proxy)", status: 407)
        ) { try get(try client(server.port, through: unknown), "/plain") }
    }

    @Test func silenceAtEveryPointEndsInATimeOut() throws {
        let server = try Server(certificates)
        let quick = HTTPTimeouts(connectSeconds: 5, headSeconds: 1, idleSeconds: 1)
        for (path, what) in [
            ("/silent", HTTPClientError.TimedOut.answer), ("/stalls", .body),
        ] {
            let error = #expect(throws: HTTPClientError.self) {
                try get(try client(server.port, quick), path)
            }
            guard case .timedOut(what, _, 1) = error else {
                Issue.record("\(path): \(String(describing: error))")
                continue
            }
        }
        // Takes the connection and says nothing of TLS.
        let mute = try ScriptedServer { _, _ in [.pause(milliseconds: 60_000)] }
        defer { mute.stop() }
        let error = #expect(throws: HTTPClientError.self) {
            try get(
                try client(mute.port, HTTPTimeouts(connectSeconds: 1, headSeconds: 9)), "/plain")
        }
        guard case .timedOut(.connecting, _, 1) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }
}
