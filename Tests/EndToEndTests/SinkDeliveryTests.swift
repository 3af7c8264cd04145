import Foundation
import TestSupport
import Testing

/// The real aggregator with a sink whose backend dies, and which dies itself.
@Suite(.serialized) struct SinkDeliveryTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private struct Status: Decodable {
        let name: String
        let failing: Bool
        let standby: Bool
        let deliveredRequests: Int
        let retriedRequests: Int
        let refusedRequests: Int
        let droppedRequests: Int
        let queuedRequests: Int
        let queuedBytes: Int
        let lastError: String?
    }

    private func status(_ aggregator: TestAggregator) throws -> Status {
        let text = try httpGet("http://127.0.0.1:\(aggregator.api)/api/v1/sinks")
        return try #require(try JSONDecoder().decode([Status].self, from: Data(text.utf8)).first)
    }

    private func startAgent(_ aggregator: TestAggregator) throws -> RunningProgram {
        try RunningProgram(
            "heapwire-agent",
            [
                "--aggregator=127.0.0.1:\(aggregator.ingest)", "--node-name=here",
                "--resolution=1s",
            ], in: folder.url)
    }

    /// The backend is killed, then the aggregator; both come back. Every cycle is there.
    @Test(.timeLimit(.minutes(4))) func anOutageOfBothLosesNoCycle() throws {
        let backend = try BackendProgram.lineReceiver(in: folder.url)
        let secrets = folder.url.appendingPathComponent("password")
        try Data("hunter2-of-the-file\n".utf8).write(to: secrets)
        // The second sink says the same to nobody: a port on which nothing listens.
        let aggregator = try TestAggregator(
            "sinks", in: folder.url,
            [
                "--data-dir=\(folder.url.path)/data",
                "--sink=influxdb:\(backend.url)?timeout=2s&name=store&user=u&pwfile=\(secrets.path)",
                "--sink=influxdb:http://127.0.0.1:1?name=nobody&user=u&pw=${HEAPWIRE_TEST_PASSWORD}",
            ], environment: ["HEAPWIRE_TEST_PASSWORD": "hunter2-of-the-environment"])
        let agent = try startAgent(aggregator)
        func cycles() throws -> [Int64] { try backend.lineReceiverCycles(node: "here") }
        try eventually(seconds: 60, "the first cycles arrive") { try cycles().count >= 3 }

        backend.kill()
        try eventually(seconds: 60, "cycles wait on the disk") {
            let status = try status(aggregator)
            return status.failing && status.queuedRequests >= 3
        }
        let waiting = try status(aggregator)
        #expect(waiting.name == "store" && waiting.queuedBytes > 0 && !waiting.standby)
        #expect(waiting.lastError?.contains("127.0.0.1:\(backend.port)") == true, "\(waiting)")
        try expectNoSecret(aggregator)
        var said = aggregator.program.output
        aggregator.program.stop(SIGKILL)
        Thread.sleep(forTimeInterval: 2)
        try aggregator.startAgain()
        try eventually(seconds: 60, "it goes on with what the killed one left") {
            try status(aggregator).queuedRequests >= waiting.queuedRequests + 2
        }
        try backend.start()
        let now = Int64(Date().timeIntervalSince1970) * 1_000
        try eventually(seconds: 100, "the backlog is delivered") {
            try status(aggregator).queuedRequests == 0 && cycles().last ?? 0 > now
        }
        let untaken = try endAgent(agent)
        #expect(aggregator.program.stop() == 0, "\(aggregator.program.output)")
        let found = try cycles()
        // Three before, three while nobody took them, two by the second aggregator.
        #expect(found.count >= 8)
        #expect(holes(found).count <= untaken, "\(holes(found)) of \(found)")
        said += aggregator.program.output
        #expect(said.contains("nobody") && !said.contains("hunter2"), "\(said)")
    }

    /// What is asked, what is on the disk: no secret of a sink.
    private func expectNoSecret(_ aggregator: TestAggregator) throws {
        for path in ["/api/v1/sinks", "/metrics"] {
            let text = try httpGet("http://127.0.0.1:\(aggregator.api)\(path)")
            #expect(text.contains("store") && !text.contains("hunter2"), "\(path)")
        }
        let data = folder.url.appendingPathComponent("data")
        for name in try FileManager.default.subpathsOfDirectory(atPath: data.path) {
            let path = data.appendingPathComponent(name).path
            let content = FileManager.default.contents(atPath: path) ?? Data()
            #expect(content.range(of: Data("hunter2".utf8)) == nil, "\(name)")
        }
    }

    /// The sinks stdout and log: sets as JSON and as text, a line of either perhaps cut by the other.
    private func expectPrintedSets(_ output: String) throws {
        let line = output.split(separator: "\n").first {
            $0.hasPrefix("{\"timestamp\":") && $0.contains("\"key\":\"node:here\"")
                && $0.hasSuffix("}")
        }
        let object = try JSONSerialization.jsonObject(with: Data(try #require(line).utf8))
        let set = try #require(object as? [String: Any])
        #expect(set["cluster_name"] as? String == "blue")
        #expect((set["metrics"] as? [String: Any])?["memory/usage"] as? Int ?? 0 > 0)
        let text = try #require(output.firstRange(of: "MetricSet: node:here\n"))
        let printed = output[text.lowerBound...].prefix(2_000)
        #expect(printed.contains("      memory/usage = "), "\(printed)")
        #expect(!output.contains("      cpu/usage = "))
    }

    /// A clean stop delivers what is closed, and a new start goes on without a hole.
    @Test(.timeLimit(.minutes(3))) func aCleanStopLeavesNothingBehind() throws {
        let backend = try BackendProgram.lineReceiver(in: folder.url)
        let aggregator = try TestAggregator(
            "sinks", in: folder.url,
            [
                "--data-dir=\(folder.url.path)/data", "--cluster-name=blue",
                "--sink=influxdb:\(backend.url)?timeout=2s", "--sink=stdout:?interval=2s",
                "--sink=log:?interval=2s&metrics=memory/*",
            ])
        let agent = try startAgent(aggregator)
        func cycles() throws -> [Int64] { try backend.lineReceiverCycles(node: "here") }
        try eventually(seconds: 60, "the first cycles arrive") { try cycles().count >= 3 }
        #expect(aggregator.program.stop() == 0, "\(aggregator.program.output)")
        try expectPrintedSets(aggregator.program.output)
        let left = try FileManager.default.subpathsOfDirectory(
            atPath: "\(folder.url.path)/data/sinks")
        #expect(left.filter { $0.hasSuffix(".queue") || $0.hasSuffix(".done") } == [])
        try aggregator.startAgain()
        let now = Int64(Date().timeIntervalSince1970) * 1_000
        try eventually(seconds: 60, "it goes on") { try cycles().last ?? 0 > now + 2_000 }
        let untaken = try endAgent(agent)
        #expect(aggregator.program.stop() == 0)
        let found = try cycles()
        #expect(holes(found).count <= untaken, "\(holes(found)) of \(found)")
        let named = try httpGet(
            "\(backend.url)/timestamps?measurement=memory/usage&type=node&cluster_name=blue")
        #expect(named != "[]")
    }
}
