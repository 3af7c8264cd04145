import Foundation
import TestSupport
import Testing

/// A real partition: agent and aggregator in network namespaces, joined by a veth pair, with packets
/// dropped by nftables. Needs root, `ip`, `nft` and `nsenter`.
@Suite(.serialized) struct PartitionTests {
    private static let unavailable: String? = {
        if getuid() != 0 { return "network namespaces need root" }
        for tool in ["ip", "nft", "nsenter"] {
            let found = try? runProcess("sh", ["-c", "command -v \(tool)"])
            if found?.status != 0 { return "\(tool) is not installed" }
        }
        return nil
    }()

    /// Two namespaces and the wire between them.
    private final class Network {
        let agent: String
        let aggregator: String
        let address = "10.213.7.2"

        init() throws {
            let name = UUID().uuidString.prefix(6).lowercased()
            (agent, aggregator) = ("hwa\(name)", "hwb\(name)")
            for space in [agent, aggregator] {
                try Network.run("ip", "netns", "add", space)
                try Network.run("ip", "-n", space, "link", "set", "lo", "up")
            }
            try Network.run(
                "ip", "link", "add", "va\(name)", "netns", agent, "type", "veth", "peer", "name",
                "vb\(name)", "netns", aggregator)
            for (space, link, ip) in [
                (agent, "va\(name)", "10.213.7.1"), (aggregator, "vb\(name)", address),
            ] {
                try Network.run("ip", "-n", space, "addr", "add", "\(ip)/24", "dev", link)
                try Network.run("ip", "-n", space, "link", "set", link, "up")
            }
        }

        deinit {
            for space in [agent, aggregator] {
                do {
                    try Network.run("ip", "netns", "del", space)
                } catch {
                    print("cannot remove \(space): \(error)")
                }
            }
        }

        static func run(_ program: String, _ arguments: String...) throws {
            let result = try runProcess(program, arguments)
            guard result.status == 0 else {
                throw RunningProgram.Failure(
                    description: "\(program) \(arguments): \(result.output)")
            }
        }

        func wrapper(_ space: String) -> [String] { ["nsenter", "--net=/run/netns/\(space)"] }

        /// Drops what comes to the aggregator, all of it or a part.
        func drop(_ condition: String) throws {
            let rules = """
                table inet cut { chain input { type filter hook input priority 0; \
                iifname != \"lo\" \(condition) drop; }; }
                """
            try Network.run(
                "nsenter", "--net=/run/netns/\(aggregator)", "nft", rules)
        }

        func heal() throws {
            try Network.run(
                "nsenter", "--net=/run/netns/\(aggregator)", "nft", "delete table inet cut")
        }
    }

    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test(.enabled(if: unavailable == nil, "\(unavailable ?? "")"), .timeLimit(.minutes(3)))
    func aPartitionLeavesNoHole() throws {
        let network = try Network()
        let reference = try TestAggregator(
            "reference", in: folder.url, through: network.wrapper(network.agent))
        let far = try TestAggregator(
            "far", in: folder.url, listen: network.address,
            through: network.wrapper(network.aggregator))
        let agent = try RunningProgram(
            "heapwire-agent",
            [
                "--aggregator=127.0.0.1:\(reference.ingest)",
                "--aggregator=\(network.address):\(far.ingest)", "--insecure-ingest",
                "--node-name=here", "--resolution=250ms",
            ], in: folder.url, through: network.wrapper(network.agent))
        Thread.sleep(forTimeInterval: 4)
        try network.drop("")
        Thread.sleep(forTimeInterval: 20)
        let cut = try far.own("heapwire_samples_total")
        try network.heal()
        Thread.sleep(forTimeInterval: 8)
        try network.drop("numgen random mod 100 < 30")
        Thread.sleep(forTimeInterval: 6)
        try network.heal()
        try waitUntilNearlyEqual(reference, far)
        #expect(agent.stop() == 0, "\(agent.output)")

        let samples = try reference.own("heapwire_samples_total")
        #expect(cut < samples / 2, "nothing was cut off: \(cut) of \(samples)")
        #expect(try far.own("heapwire_samples_total") == samples)
        #expect(try far.own("heapwire_gap_frames_total") == 0)
        let expected = try reference.everything(node: "here")
        let held = try far.everything(node: "here")
        #expect(expected.count > 10)
        for (path, points) in expected { #expect(held[path] == points, "\(path)") }
        #expect(agent.output.contains("nothing was acknowledged for 10s"), "\(agent.output)")
        #expect(far.program.stop() == 0)
        #expect(reference.program.stop() == 0)
    }

    private func waitUntilNearlyEqual(_ one: TestAggregator, _ other: TestAggregator) throws {
        let deadline = Date().addingTimeInterval(40)
        while Date() < deadline {
            Thread.sleep(forTimeInterval: 1)
            let samples = try one.own("heapwire_samples_total")
            if try other.own("heapwire_samples_total") >= samples * 99 / 100 { return }
        }
        Issue.record("the far aggregator stays behind")
    }
}
