import Foundation
import TestSupport
import Testing

/// Who may speak: the real programs over TLS, with certificates of the `openssl` command.
@Suite struct TLSTests {
    private let folder: TemporaryFolder
    private let certificates: TestCertificates

    init() throws {
        folder = try TemporaryFolder()
        certificates = try TestCertificates()
        try certificates.signClient("node-a", subject: "/CN=node-a")
        try certificates.signClient("kubelet-b", subject: "/CN=system:node:node-b")
    }

    private func path(_ name: String) -> String {
        certificates.folder.appendingPathComponent(name).path
    }

    private func startAggregator(
        _ arguments: [String]
    ) throws -> (program: RunningProgram, api: String, ingest: String) {
        let program = try RunningProgram(
            "heapwire-aggregator",
            ["--port=0", "--ingest-port=0", "--metric-resolution=1s"] + arguments, in: folder.url)
        let ports = try program.wait(
            for: /API on http:\/\/127\.0\.0\.1:(\d+), agents on 127\.0\.0\.1:(\d+)/)
        return (program, "http://127.0.0.1:\(ports.1)", String(ports.2))
    }

    private var serverFlags: [String] {
        ["--ingest-tls-cert=\(path("server.pem"))", "--ingest-tls-key=\(path("server.key"))"]
    }

    private func startAgent(
        _ node: String, _ ingest: String, _ arguments: [String]
    ) throws -> RunningProgram {
        try RunningProgram(
            "heapwire-agent",
            ["--aggregator=localhost:\(ingest)", "--node-name=\(node)"] + arguments,
            in: folder.url)
    }

    private func waitForNode(_ name: String, _ api: String, _ agent: RunningProgram) throws {
        let deadline = Date().addingTimeInterval(10)
        while Date() < deadline {
            if try httpGet("\(api)/api/v1/model/nodes/").contains("\"\(name)\"") { return }
            Thread.sleep(forTimeInterval: 0.05)
        }
        throw RunningProgram.Failure(description: "\(name) did not come\n\(agent.output)")
    }

    @Test func framesGoOverTLSToAnAggregatorWhoseNameIsRight() throws {
        let aggregator = try startAggregator(serverFlags)
        let good = try startAgent("good", aggregator.ingest, ["--ca-file=\(path("ca.pem"))"])
        try waitForNode("good", aggregator.api, good)
        // Another authority, another name, no TLS: each says why and delivers nothing.
        let other = try startAgent("other", aggregator.ingest, ["--ca-file=\(path("other.pem"))"])
        _ = try other.wait(for: /cannot deliver .*certificate/)
        let named = try startAgent(
            "named", aggregator.ingest,
            ["--ca-file=\(path("ca.pem"))", "--server-name=elsewhere.example"])
        _ = try named.wait(for: /cannot deliver .*elsewhere\.example/)
        let plain = try startAgent("plain", aggregator.ingest, [])
        _ = try plain.wait(for: /cannot deliver/)
        let nodes = try httpGet("\(aggregator.api)/api/v1/model/nodes/")
        for name in ["other", "named", "plain"] { #expect(!nodes.contains("\"\(name)\"")) }
        for agent in [good, other, named, plain] { #expect(agent.stop() == 0) }
        #expect(aggregator.program.stop() == 0)
    }

    @Test func aCertificateSpeaksForItsOwnNodeOnly() throws {
        let aggregator = try startAggregator(
            serverFlags + ["--ingest-client-ca=\(path("ca.pem"))"])
        func agent(_ node: String, _ certificate: String?) throws -> RunningProgram {
            let identity = certificate.map {
                ["--client-cert=\(path("\($0).pem"))", "--client-key=\(path("\($0).key"))"]
            }
            return try startAgent(
                node, aggregator.ingest, ["--ca-file=\(path("ca.pem"))"] + (identity ?? []))
        }
        let own = try agent("node-a", "node-a")
        try waitForNode("node-a", aggregator.api, own)
        let kubelet = try agent("node-b", "kubelet-b")
        try waitForNode("node-b", aggregator.api, kubelet)
        let thief = try agent("node-c", "node-a")
        _ = try thief.wait(for: /the certificate is node-a's, it cannot speak for node node-c/)
        let nobody = try agent("node-d", nil)
        _ = try nobody.wait(for: /cannot deliver|lost the connection/)
        let nodes = try httpGet("\(aggregator.api)/api/v1/model/nodes/")
        #expect(!nodes.contains("node-c") && !nodes.contains("node-d"))
        let metrics = try httpGet("\(aggregator.api)/metrics")
        #expect(metrics.contains(/rejections_total\{reason="forbidden"\} [1-9]/))
        #expect(metrics.contains(/rejections_total\{reason="unauthenticated"\} [1-9]/))
        for agent in [own, kubelet, thief, nobody] { #expect(agent.stop() == 0) }
        #expect(aggregator.program.stop() == 0)
    }

    @Test func aSharedTokenIsAskedForAndFollowsItsFile() throws {
        let aggregatorToken = try folder.write("a-secret-of-some-length\n", to: "a.token")
        let agentToken = try folder.write("another-secret-of-some-length\n", to: "b.token")
        let aggregator = try startAggregator(["--agent-token-file=\(aggregatorToken.path)"])
        let agent = try startAgent(
            "node-a", aggregator.ingest, ["--agent-token-file=\(agentToken.path)"])
        _ = try agent.wait(for: /the agent's token is not the aggregator's/)
        #expect(!aggregator.program.output.contains("another-secret"))
        #expect(!agent.output.contains("secret-of"))
        try "another-secret-of-some-length\n".write(
            to: aggregatorToken, atomically: true, encoding: .utf8)
        #expect(agent.stop() == 0)
        // A new agent, since the refused one was told to wait for a while.
        let second = try startAgent(
            "node-a", aggregator.ingest, ["--agent-token-file=\(agentToken.path)"])
        try waitForNode("node-a", aggregator.api, second)
        #expect(second.stop() == 0)
        #expect(aggregator.program.stop() == 0)
    }

    @Test func aRenewedCertificateIsUsedWithoutARestart() throws {
        let aggregator = try startAggregator(serverFlags)
        let subject = { () throws -> String in
            try runProcess(
                "bash",
                [
                    "-c",
                    "openssl s_client -connect 127.0.0.1:\(aggregator.ingest) </dev/null 2>&1 | "
                        + "grep '^subject='",
                ]
            ).output
        }
        #expect(try subject().contains("the-server"))
        try certificates.signServer("renewed", subject: "/CN=renewed-server")
        for suffix in ["key", "pem"] {
            try FileManager.default.removeItem(atPath: path("server.\(suffix)"))
            try FileManager.default.copyItem(
                atPath: path("renewed.\(suffix)"), toPath: path("server.\(suffix)"))
        }
        Thread.sleep(forTimeInterval: 1.1)
        #expect(try subject().contains("renewed-server"))
        #expect(aggregator.program.stop() == 0)
        #expect(aggregator.program.output.contains("certificates were read again"))
    }
}
