import Foundation
import TestSupport
import Testing
import Wire

/// Strangers open many more connections than may wait, and say nothing or nonsense. Agents that were there
/// deliver on, and others come in.
@Suite(.serialized) struct FloodTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test(.timeLimit(.minutes(3)), arguments: [false, true])
    func strangersDoNotKeepAgentsOut(overTLS: Bool) throws {
        let certificates = try TestCertificates()
        func path(_ name: String) -> String {
            certificates.folder.appendingPathComponent(name).path
        }
        #expect(FileLimit.raise() >= 4_096, "the test itself holds 2,000 connections")
        let aggregator = try RunningProgram(
            "heapwire-aggregator",
            [
                "--port=0", "--ingest-port=0", "--metric-resolution=1s", "--max-connections=700",
                "--max-waiting-connections=400",
            ]
                + (overTLS
                    ? [
                        "--ingest-tls-cert=\(path("server.pem"))",
                        "--ingest-tls-key=\(path("server.key"))",
                    ] : []),
            in: folder.url)
        let ports = try aggregator.wait(
            for: /API on http:\/\/[\d.]+:(\d+), agents on [\d.]+:(\d+)/, seconds: 60)
        let (api, ingest) = (String(ports.1), try #require(UInt16(ports.2)))
        func own(_ metric: String) throws -> Int {
            let text = try httpGet("http://127.0.0.1:\(api)/metrics")
            let match = try #require(text.firstMatch(of: try Regex("\n\(metric) (\\d+)\n")))
            return try #require(match.output[1].substring.flatMap { Int($0) })
        }
        func startFleet(_ count: Int, seed: Int) throws -> RunningProgram {
            try RunningProgram(
                "heapwire-fleet",
                [
                    "simulate", "--aggregator=127.0.0.1:\(ingest)", "--nodes=\(count)", "--pods=2",
                    "--containers=2", "--resolution=1s", "--duration=0", "--seed=\(seed)",
                    "--streams=10",
                ] + (overTLS ? ["--ca-file=\(path("ca.pem"))"] : []), in: folder.url)
        }
        let early = try startFleet(20, seed: 1)
        try waitUntil { try own("heapwire_ingest_frames_total") >= 40 }
        let flood = try Flood(port: ingest, count: 2_000)
        try waitUntil { flood.closedCount >= 1_500 }
        // These come when all the room is taken by strangers. They are other nodes of the same names.
        #expect(early.stop(SIGINT) == 0, "\(early.output)")
        let before = try own("heapwire_ingest_frames_total")
        let late = try startFleet(40, seed: 2)
        try waitUntil { try own("heapwire_ingest_frames_total") >= before + 40 * 5 }
        #expect(flood.openedCount > 2_500, "the flood goes on: \(flood.openedCount)")
        flood.stop()
        #expect(late.stop(SIGINT) == 0, "\(late.output)")
        for (fleet, nodes) in [(early, 20), (late, 40)] {
            let json = try #require(fleet.output.split(separator: "\n").last)
            #expect(json.contains("\"nodes\":\(nodes)"), "\(json)")
            #expect(json.contains("\"frames_lost\":0"), "\(json)")
            #expect(json.contains("\"disconnects\":0"), "\(json)")
        }
        #expect(aggregator.stop() == 0, "\(aggregator.output)")
    }

    private func waitUntil(_ holds: () throws -> Bool) throws {
        let deadline = Date().addingTimeInterval(60)
        while try !holds() {
            guard Date() < deadline else {
                throw RunningProgram.Failure(description: "nothing came of it in a minute")
            }
            Thread.sleep(forTimeInterval: 0.1)
        }
    }
}
