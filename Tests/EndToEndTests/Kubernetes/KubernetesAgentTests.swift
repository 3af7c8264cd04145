import Foundation
import TestSupport
import Testing

extension KubernetesTests {
    /// Agents that say who they are with the token that their pod got.
    @Suite(.serialized) struct Agents {
        private let cluster: KubernetesCluster
        private let folder: TemporaryFolder

        init() throws {
            cluster = try KubernetesCluster.current
            folder = try TemporaryFolder()
        }

        /// A pod of the account on a node, and a token that is bound to it.
        private func makeToken(
            of account: String, node: String, audience: String? = "heapwire", isBound: Bool = true
        ) throws -> (pod: String, token: String) {
            let pod = "agent-\(UUID().uuidString.lowercased())"
            let uid = try cluster.makePod(
                pod, namespace: "kube-system", node: node, account: account)
            let token = try cluster.token(
                of: account, namespace: "kube-system", audience: audience,
                pod: isBound ? (pod, uid) : nil)
            return (pod, token)
        }

        private func startAgent(
            _ node: String, _ token: String, _ aggregator: ClusterAggregator
        ) throws -> RunningProgram {
            let file = try folder.write(token, to: "token-\(UUID().uuidString)")
            return try RunningProgram(
                "heapwire-agent",
                [
                    "--aggregator=127.0.0.1:\(aggregator.ingest)", "--node-name=\(node)",
                    "--service-account-token-file=\(file.path)",
                ], in: folder.url)
        }

        @Test func anAgentSpeaksForTheNodeOfItsPodOnly() throws {
            let source = try cluster.deployedSource(in: folder)
            for account in ["heapwire-agent", "another"] {
                try cluster.makeAccount(account, namespace: "kube-system")
            }
            let aggregator = try ClusterAggregator(
                source: source, ["--agent-token-review"], in: folder.url)
            let own = try makeToken(of: "heapwire-agent", node: "node-a")
            let good = try startAgent("node-a", own.token, aggregator)
            try aggregator.wait("heapwire_nodes_connected", 1, seconds: 60)

            let unbound = try makeToken(of: "heapwire-agent", node: "node-b", isBound: false)
            let other = try makeToken(of: "another", node: "node-b")
            let forApiserver = try makeToken(of: "heapwire-agent", node: "node-b", audience: nil)
            let cases: [(token: String, words: String)] = [
                (own.token, "is on node node-a, it cannot speak for node node-b"),
                (other.token, "kube-system:another may not speak for nodes"),
                (forApiserver.token, "the token is refused"),
                (unbound.token, "the token is refused"),
                ("nonsense", "the token is refused"),
            ]
            for (token, words) in cases {
                let agent = try startAgent("node-b", token, aggregator)
                try eventually(seconds: 60, words) { agent.output.contains(words) }
                #expect(!agent.output.contains(token))
                #expect(agent.stop() == 0)
            }
            // The token of a pod that has gone.
            let gone = try makeToken(of: "heapwire-agent", node: "node-c")
            try cluster.request(
                "DELETE", "/api/v1/namespaces/kube-system/pods/\(gone.pod)",
                #"{"gracePeriodSeconds":0}"#)
            let late = try startAgent("node-c", gone.token, aggregator)
            try eventually(seconds: 60, "the gone pod's token is refused") {
                late.output.contains(/the token is refused|does not exist any more/)
            }
            #expect(late.stop() == 0)
            #expect(try httpGet("\(aggregator.api)/api/v1/model/nodes/").contains("node-a"))
            #expect(try aggregator.own("heapwire_nodes") == 1)
            for token in cases.map(\.token) + [gone.token] {
                #expect(!aggregator.program.output.contains(token))
            }
            #expect(good.stop() == 0 && aggregator.program.stop() == 0)
        }
    }
}
