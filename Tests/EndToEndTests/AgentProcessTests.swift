import Foundation
import TestSupport
import Testing

/// The running agent as its host sees it.
@Suite struct AgentProcessTests {
    /// Inodes of a process' sockets, by how the kernel lists them.
    private struct Sockets {
        /// TCP sockets that wait for connections.
        var listening: Set<String> = []
        /// TCP sockets with a peer.
        var connected: Set<String> = []
        /// Unix sockets that wait for connections.
        var listeningLocally: Set<String> = []
        /// UDP sockets with a port.
        var datagram: Set<String> = []

        init(of pid: Int32) throws {
            let own = Set(
                try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd").compactMap {
                    // A descriptor may be closed meanwhile.
                    let path = "/proc/\(pid)/fd/\($0)"
                    let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path)
                    return target?.wholeMatch(of: /socket:\[(\d+)\]/).map { String($0.1) }
                })
            // To its end: what is read at once of such a file is a piece.
            func lines(_ name: String) throws -> [[Substring]] {
                let file = try FileHandle(
                    forReadingFrom: URL(fileURLWithPath: "/proc/\(pid)/net/\(name)"))
                let text = String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
                return text.split(separator: "\n").dropFirst().map { $0.split(separator: " ") }
            }
            for line in try lines("tcp") + lines("tcp6") where own.contains(String(line[9])) {
                if line[3] == "0A" { listening.insert(String(line[9])) }
                if line[3] == "01" { connected.insert(String(line[9])) }
            }
            for line in try lines("udp") + lines("udp6") where own.contains(String(line[9])) {
                datagram.insert(String(line[9]))
            }
            for line in try lines("unix")
            where own.contains(String(line[6])) && line[3] == "00010000" {
                listeningLocally.insert(String(line[6]))
            }
        }
    }

    @Test func itListensNowhereAndTellsItsStateWhenAsked() throws {
        let folder = try TemporaryFolder()
        let aggregator = try TestAggregator("one", in: folder.url)
        let agent = try RunningProgram(
            "heapwire-agent",
            ["--aggregator=127.0.0.1:\(aggregator.ingest)", "--node-name=here", "--resolution=1s"],
            in: folder.url)
        var sockets = try Sockets(of: agent.pid)
        let deadline = Date().addingTimeInterval(60)
        while Date() < deadline, sockets.connected.isEmpty {
            Thread.sleep(forTimeInterval: 0.05)
            sockets = try Sockets(of: agent.pid)
        }
        #expect(sockets.connected.count == 1)
        #expect(sockets.listening.isEmpty)
        #expect(sockets.listeningLocally.isEmpty)
        #expect(sockets.datagram.isEmpty)
        // Who listens is found.
        #expect(try Sockets(of: aggregator.program.pid).listening.count == 2)

        agent.signal(SIGUSR1)
        let state = try agent.wait(
            for: /state: frames \d+ to \d+ in the ring.* (\d+) subjects .* read errors/, seconds: 60
        )
        #expect(Int(state.1) ?? 0 > 0)
        _ = try agent.wait(for: /state: aggregator 127\.0\.0\.1:\d+: \w+/, seconds: 60)
        #expect(agent.stop() == 0)
    }
}
