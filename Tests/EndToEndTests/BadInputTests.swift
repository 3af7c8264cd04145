import Foundation
import TestSupport
import Testing

/// What users and strangers do wrong, with the real programs.
@Suite struct BadInputTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Runs a program that should refuse its command line; what it said.
    private func refusal(_ name: String, _ arguments: [String]) throws -> String {
        let program = try RunningProgram(name, arguments, in: folder.url)
        let deadline = Date().addingTimeInterval(10)
        while program.isRunning, Date() < deadline { Thread.sleep(forTimeInterval: 0.01) }
        #expect(!program.isRunning, "\(arguments) was not refused")
        #expect(program.stop(SIGKILL) == 2, "\(arguments): \(program.output)")
        return program.output
    }

    @Test func everyMistakeOnTheCommandLineIsNamedWithItsRemedy() throws {
        let both = try refusal(
            "heapwire-aggregator", ["--prot=1", "--metric-resolution=soon", "--port=99999"])
        #expect(both.contains("unknown flag --prot (did you mean --port?)"))
        #expect(both.contains("--metric-resolution=soon is not a duration; write 10s"))
        #expect(both.contains("--port=99999 is not a whole number from 0 to 65535"))
        let twice = try refusal("heapwire-aggregator", ["--port=1", "--heapster_port=2"])
        #expect(twice.contains("--port is given twice"))
        let open = try refusal("heapwire-aggregator", ["--listen-ip=0.0.0.0"])
        #expect(open.contains("--insecure-ingest") && open.contains("--insecure-http"))
        let agent = try refusal("heapwire-agent", ["--aggregator=nowhere", "--resolution=0"])
        #expect(agent.contains("--aggregator") && agent.contains("--resolution"))
    }

    @Test func filesThatCannotBeReadAreNamed() throws {
        let missing = folder.url.appendingPathComponent("missing.json").path
        let pods = try refusal(
            "heapwire-aggregator", ["--port=0", "--ingest-port=0", "--pods=\(missing)"])
        #expect(pods.contains(missing) && pods.contains("no such file or directory"), "\(pods)")
        let broken = try folder.write("{\"items\": [", to: "broken.json").path
        let json = try refusal(
            "heapwire-aggregator", ["--port=0", "--ingest-port=0", "--pods=\(broken)"])
        #expect(json.contains(broken), "\(json)")
        let token = try folder.write("short\n", to: "token").path
        let short = try refusal("heapwire-aggregator", ["--agent-token-file=\(token)"])
        #expect(short.contains("a token has at least 16"), "\(short)")
    }

    @Test func aBusyPortIsSaidAndSoIsTheWayOut() throws {
        let first = try startAggregator()
        let busy = try refusal(
            "heapwire-aggregator", ["--port=\(first.api)", "--ingest-port=0"])
        #expect(busy.contains("address already in use; choose another with --port"), "\(busy)")
        let ingest = try refusal(
            "heapwire-aggregator", ["--port=0", "--ingest-port=\(first.ingest)"])
        #expect(ingest.contains("choose another with --ingest-port"), "\(ingest)")
        #expect(first.program.stop() == 0)
    }

    private func startAggregator() throws -> (program: RunningProgram, api: String, ingest: String)
    {
        let program = try RunningProgram(
            "heapwire-aggregator", ["--port=0", "--ingest-port=0", "--metric-resolution=1s"],
            in: folder.url)
        let ports = try program.wait(
            for: /API on http:\/\/127\.0\.0\.1:(\d+), agents on 127\.0\.0\.1:(\d+)/)
        return (program, String(ports.1), String(ports.2))
    }

    /// Strangers at the agents' port: refused with a reason, counted, and a real agent beside them is
    /// not disturbed.
    @Test func strangersAtTheAgentsPortDisturbNobody() throws {
        let aggregator = try startAggregator()
        let agent = try RunningProgram(
            "heapwire-agent",
            ["--aggregator=127.0.0.1:\(aggregator.ingest)", "--node-name=good"], in: folder.url)
        let metrics = "http://127.0.0.1:\(aggregator.api)/metrics"
        let script = try folder.write(
            """
            import os, random, socket, sys
            port, seed = int(sys.argv[1]), 7
            random.seed(seed)
            def send(data, read=True):
                with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                    try:
                        s.sendall(data)
                        s.shutdown(socket.SHUT_WR)
                        return s.recv(65536) if read else b""
                    except (ConnectionError, TimeoutError):
                        return b""
            assert b"this port takes Heapwire agents" in send(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
            for _ in range(50):
                send(b"HWP1" + bytes(random.randrange(256) for _ in range(random.randrange(400))))
            # A record that claims 128 MiB, and a hello that is not one.
            send(b"HWP1" + b"\\xff\\xff\\xff\\x3f" + b"\\x01" + b"\\0" * 64)
            send(b"HWP1" + b"\\x02\\x03\\0\\0\\0\\0ab")
            held = [socket.create_connection(("127.0.0.1", port)) for _ in range(200)]
            """, to: "strangers.py")
        let result = try runProcess("python3", [script.path, aggregator.ingest])
        #expect(result.status == 0, "\(result.output)")
        let before = try frames(metrics)
        Thread.sleep(forTimeInterval: 2.5)
        #expect(try frames(metrics) >= before + 2)
        let text = try httpGet(metrics)
        let malformed = text.firstMatch(
            of: /heapwire_ingest_rejections_total\{reason="malformed"\} (\d+)/)
        #expect(Int(malformed?.output.1 ?? "") ?? 0 >= 2, "\(text)")
        #expect(text.contains("heapwire_nodes_connected 1\n"))
        #expect(agent.stop() == 0, "\(agent.output)")
        #expect(aggregator.program.stop() == 0)
    }

    private func frames(_ metrics: String) throws -> Int {
        let text = try httpGet(metrics)
        return Int(text.firstMatch(of: /heapwire_ingest_frames_total (\d+)/)?.output.1 ?? "") ?? -1
    }
}
