import Foundation
import TestSupport
import Testing

extension KubernetesTests {
    /// Two aggregators, one Lease, one store behind: whoever is killed, no cycle is missing.
    @Suite(.serialized) struct Leader {
        private let cluster: KubernetesCluster
        private let folder: TemporaryFolder
        private let lease = "heapwire-\(UUID().uuidString.lowercased())"

        init() throws {
            cluster = try KubernetesCluster.current
            folder = try TemporaryFolder()
        }

        /// One of two aggregators, on ports that stay.
        private final class Candidate {
            let name: String
            let arguments: [String]
            let folder: URL
            let source: String
            private(set) var running: ClusterAggregator

            init(_ name: String, source: String, _ arguments: [String], in folder: URL) throws {
                self.name = name
                self.source = source
                self.arguments = arguments
                self.folder = folder
                running = try ClusterAggregator(source: source, arguments, in: folder)
            }

            func isLeading(_ lease: String) throws -> Bool {
                let metric = "leader_election_master_status{name=\"\(lease)\"}"
                return try running.program.isRunning && running.own(metric) == 1
            }

            func kill() { running.program.stop(SIGKILL) }

            func startAgain() throws {
                let api = running.api.split(separator: ":").last.map(String.init) ?? ""
                running = try ClusterAggregator(
                    source: source, arguments, in: folder, ports: (api, running.ingest))
            }
        }

        private func makeCandidates(sink: String, _ more: [String] = []) throws -> [Candidate] {
            let source = try cluster.source(in: folder)
            let flags =
                [
                    "--sink=\(sink)", "--leader-elect", "--leader-elect-resource-name=\(lease)",
                    "--leader-elect-lease-duration=6s", "--leader-elect-renew-deadline=4s",
                    "--leader-elect-retry-period=1s", "--cluster-name=blue",
                ] + more
            return try ["one", "two"].map { name in
                try Candidate(
                    name, source: source, flags,
                    in: folder.url)
            }
        }

        /// The only one that leads. A slow disk below the apiserver may cost a holder its Lease at any time;
        /// that two lead is what must not last.
        private func waitForLeader(
            among candidates: [Candidate], but other: Candidate? = nil
        ) throws -> Candidate {
            var found: [Candidate] = []
            try eventually(seconds: 60, "one of \(candidates.map(\.name)) leads") {
                found = try candidates.filter { try $0.isLeading(lease) }
                return found.count == 1 && found[0] !== other
            }
            return try #require(found.first)
        }

        private static let nodes = ["n1", "n2", "n3"]
        /// One metric of all that this machine's groups have: the stores keep up beside other tests.
        private static let options = "timeout=3s&metrics=memory/usage"

        private func startAgents(for candidates: [Candidate]) throws -> [RunningProgram] {
            try Self.nodes.map { node in
                try RunningProgram(
                    "heapwire-agent",
                    candidates.map { "--aggregator=127.0.0.1:\($0.running.ingest)" }
                        + ["--node-name=\(node)", "--resolution=1s"], in: folder.url)
            }
        }

        /// Waits until so many more cycles of every node are in the store.
        private func advance(
            _ count: Int, _ cycles: (String) throws -> [Int64]
        ) throws {
            let now = Int64(Date().timeIntervalSince1970) * 1_000
            try eventually(seconds: 90, "\(count) more cycles are in the store") {
                try Self.nodes.allSatisfy { node in
                    try cycles(node).last ?? 0 >= now + Int64(count) * 1_000
                }
            }
        }

        /// `kill -9` of whoever leads, twice, each brought back; then a clean stop.
        private func killBoth(
            _ candidates: [Candidate], _ cycles: (String) throws -> [Int64]
        ) throws {
            var leader = try waitForLeader(among: candidates)
            let agents = try startAgents(for: candidates)
            try eventually(seconds: 60, "the first cycles are in the store") {
                try Self.nodes.allSatisfy { try cycles($0).count >= 3 }
            }
            for _ in 1...2 {
                try advance(3, cycles)
                let killed = leader
                killed.kill()
                leader = try waitForLeader(among: candidates, but: killed)
                try advance(3, cycles)
                try killed.startAgain()
                try advance(3, cycles)
                // Not both, once it is back.
                leader = try waitForLeader(among: candidates)
            }
            // A clean stop hands over at the next look, not at the end of the Lease.
            let stopped = leader
            #expect(stopped.running.program.stop() == 0, "\(stopped.running.program.output)")
            let end = Date()
            leader = try waitForLeader(among: candidates, but: stopped)
            print("taken over \(Date().timeIntervalSince(end)) s after a clean stop")
            try advance(5, cycles)
            let untaken = try agents.map(endAgent)
            for (node, untaken) in zip(Self.nodes, untaken) {
                try expectNoHole(node, untaken: untaken, leader, cycles)
            }
            #expect(leader.running.program.stop() == 0)
            try expectCursors()
        }

        /// What came late goes behind what is new: on a busy machine it may be some time under way.
        private func expectNoHole(
            _ node: String, untaken: Int, _ leader: Candidate, _ cycles: (String) throws -> [Int64]
        ) throws {
            var found: [Int64] = []
            do {
                try eventually(seconds: 60, "no cycle of \(node) is missing") {
                    found = try cycles(node)
                    return holes(found).count <= untaken
                }
                print("\(node): \(found.count) cycles, none lost; \(untaken) steps not taken")
            } catch {
                let sinks = try httpGet("\(leader.running.api)/api/v1/sinks")
                Issue.record(
                    """
                    \(error): \(holes(found)) of \(found.count), \(untaken) steps not taken; \(sinks); \
                    \(leader.running.program.output)
                    """)
            }
        }

        /// What is in the Lease after all have gone: nobody holds it, the sink's cursor is there.
        private func expectCursors() throws {
            let text = try cluster.get(
                "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/\(lease)")
            #expect(text.contains(/"holderIdentity": ?""/), "\(text)")
            #expect(text.contains(/heapwire-sinks 1\\n\w+ \d{13}\\n/), "\(text)")
        }

        @Test(
            .enabled(if: BackendProgram.has("influxd")), .timeLimit(.minutes(8)))
        func noCycleIsMissingInInfluxDB() throws {
            let store = try BackendProgram.influxDB(in: folder.url)
            try killBoth(try makeCandidates(sink: "influxdb:\(store.url)?\(Self.options)")) {
                try store.influxCycles(node: $0)
            }
        }

        @Test(
            .enabled(if: BackendProgram.has("victoria-metrics")), .timeLimit(.minutes(8)))
        func noCycleIsMissingInVictoriaMetrics() throws {
            let store = try BackendProgram.victoriaMetrics(in: folder.url)
            try killBoth(try makeCandidates(sink: "remotewrite:\(store.url)?\(Self.options)")) {
                try store.victoriaCycles(node: $0)
            }
        }

        /// Without the rule for Leases nobody writes, and the log and `doctor` say which one is missing.
        @Test func aMissingRuleIsNamed() throws {
            let name = "leaderless-\(UUID().uuidString.lowercased())"
            let rules =
                #"[{"apiGroups":["","apps","batch"],"resources":["pods","nodes","namespaces","replicasets","jobs"],"verbs":["list","watch"]}]"#
            let token = try cluster.makeReader(name, rules: rules)
            let source = try cluster.source(in: folder, token: token)
            let words = "may not get leases: give its Role in kube-system the rule"
            let found = try doctor(["--source=\(source)", "--leader-elect"])
            #expect(found.status == 1)
            for verb in ["get", "create", "patch"] {
                #expect(
                    found.lines.contains {
                        $0.hasPrefix("FAIL") && $0.contains("may not \(verb) leases")
                    }, "\(found.lines)")
            }
            #expect(found.lines.contains { $0.contains(words) }, "\(found.lines)")
            let aggregator = try ClusterAggregator(
                source: source, ["--leader-elect", "--sink=stdout"], in: folder.url)
            try eventually(seconds: 60, "the missing rule is in the log") {
                aggregator.program.output.contains(words)
            }
            let sinks = try httpGet("\(aggregator.api)/api/v1/sinks")
            #expect(sinks.contains(/"standby": ?true/), "\(sinks)")
            #expect(!aggregator.program.output.contains(token))
        }
    }
}
