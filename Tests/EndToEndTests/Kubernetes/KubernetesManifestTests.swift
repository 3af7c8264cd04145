import Foundation
import TestSupport
import Testing

extension KubernetesTests {
    /// What `deploy/` says, before a real apiserver.
    @Suite(.serialized) struct Manifests {
        private static let hasKubectl = FileManager.default.isExecutableFile(
            atPath: "/usr/bin/kubectl")
        private let cluster: KubernetesCluster
        private let folder: TemporaryFolder

        init() throws {
            cluster = try KubernetesCluster.current
            folder = try TemporaryFolder()
        }

        /// Folders with a kustomization, so that none is forgotten.
        private static let bases: [String] = {
            let deploy = Repository.root.appendingPathComponent("deploy")
            let names = (try? FileManager.default.contentsOfDirectory(atPath: deploy.path)) ?? []
            return names.filter {
                FileManager.default.fileExists(
                    atPath: deploy.appendingPathComponent("\($0)/kustomization.yaml").path)
            }.sorted()
        }()

        private func kubectl(_ arguments: [String]) throws -> String {
            let result = try runProcess(
                "env",
                [
                    "HOME=\(folder.url.path)", "kubectl",
                    "--kubeconfig=\(cluster.path("kubeconfig"))",
                ]
                    + arguments)
            guard result.status == 0 else {
                throw RunningProgram.Failure(description: "\(arguments): \(result.output)")
            }
            return result.output
        }

        /// The aggregator's own arguments in a base, but on loopback and on free ports.
        private func arguments(_ base: String) throws -> [String] {
            let text = try kubectl(["kustomize", Self.folder(base)])
            let lines = text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
            let first = try #require(lines.firstIndex(of: "- args:"))
            return lines[(first + 1)...].prefix { $0.hasPrefix("- --") }.map { line in
                let flag = String(line.dropFirst(2))
                if flag.hasPrefix("--listen-ip=") { return "--listen-ip=127.0.0.1" }
                let name = flag.prefix { $0 != "=" }
                return name.hasSuffix("port") ? "\(name)=0" : flag
            }
        }

        private static func folder(_ base: String) -> String {
            Repository.root.appendingPathComponent("deploy/\(base)").path
        }

        /// `make-certificates`, the aggregator with the flags, files and rights of its pod, an agent that
        /// trusts the config map and has its pod's token, and readers with and without rights.
        @Test(.enabled(if: hasKubectl && geteuid() == 0, "no kubectl, or not root"))
        func whatIsDeployedWorksTogether() throws {
            let authority = folder.url.appendingPathComponent("authority").path
            for _ in 0..<2 {
                let made = try runProcess(
                    "env",
                    [
                        "HOME=\(folder.url.path)",
                        "KUBECTL=kubectl --kubeconfig=\(cluster.path("kubeconfig"))",
                        Self.folder("make-certificates"), authority,
                    ])
                #expect(made.status == 0, "\(made.output)")
            }
            try FileManager.default.createDirectory(
                at: folder.url.appendingPathComponent("tls"), withIntermediateDirectories: true)
            for (file, name) in [("tls.crt", "tls\\.crt"), ("tls.key", "tls\\.key")] {
                let data = try kubectl([
                    "get", "secret", "-n", "kube-system", "heapwire-aggregator-tls", "-o",
                    "jsonpath={.data.\(name)}",
                ])
                let bytes = try #require(Data(base64Encoded: data))
                _ = try folder.write(String(decoding: bytes, as: UTF8.self), to: "tls/\(file)")
            }
            let trusted = try folder.write(
                try kubectl([
                    "get", "configmap", "-n", "kube-system", "heapwire-ca", "-o",
                    "jsonpath={.data.ca\\.crt}",
                ]), to: "trusted.crt")

            let (wrapper, environment) = try cluster.inPod(
                of: folder,
                mounting: ["heapwire/tls": folder.url.appendingPathComponent("tls").path])
            let aggregator = try RunningProgram(
                "heapwire-aggregator",
                try arguments("heapster") + ["--agent-token-review", "--metric-resolution=1s"],
                in: folder.url, environment: environment, through: wrapper)
            let ports = try aggregator.wait(
                for: /API on https:\/\/127\.0\.0\.1:(\d+), agents on 127\.0\.0\.1:(\d+)/,
                seconds: 60)
            let plain = try aggregator.wait(for: /EVERYBODY, on (http:\/\/[\d.:]+)/).1

            // As the daemon set's pod on this node.
            let account = try cluster.request(
                "POST", "/api/v1/namespaces/kube-system/serviceaccounts",
                #"{"metadata":{"name":"heapwire-agent"}}"#)
            #expect([201, 409].contains(account.status))
            let pod = "agent-\(UUID().uuidString.lowercased())"
            let uid = try cluster.makePod(
                pod, namespace: "kube-system", node: "node-d", account: "heapwire-agent")
            let token = try folder.write(
                try cluster.token(
                    of: "heapwire-agent", namespace: "kube-system", audience: "heapwire",
                    pod: (pod, uid)), to: "agent.token")
            let agent = try RunningProgram(
                "heapwire-agent",
                [
                    "--aggregator=127.0.0.1:\(ports.2)", "--node-name=node-d",
                    "--ca-file=\(trusted.path)",
                    "--server-name=heapwire-aggregator.kube-system.svc",
                    "--service-account-token-file=\(token.path)",
                ], in: folder.url)

            let host = "heapwire-aggregator.kube-system.svc"
            func read(_ path: String, token: String?) throws -> (status: String, body: String) {
                let result = try runProcess(
                    "curl",
                    [
                        "-sS", "-m", "60", "--cacert", trusted.path, "--resolve",
                        "\(host):\(ports.1):127.0.0.1", "-w", "\n%{http_code}",
                    ] + (token.map { ["-H", "Authorization: Bearer \($0)"] } ?? [])
                        + ["https://\(host):\(ports.1)\(path)"])
                let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false)
                return (
                    String(lines.last ?? ""), lines.dropLast().joined(separator: "\n")
                )
            }
            let nodes = "/api/v1/model/nodes/"
            let rules = #"[{"nonResourceURLs":["/heapwire/api/v1/*"],"verbs":["get"]}]"#
            let reader = try cluster.makeReader(
                "model-\(UUID().uuidString.lowercased())", rules: rules)
            let stranger = try cluster.makeReader(
                "stranger-\(UUID().uuidString.lowercased())", rules: "[]")
            try eventually(seconds: 60, "a reader with rights sees the node") {
                let answer = try read(nodes, token: reader)
                return answer.status == "200" && answer.body.contains("\"node-d\"")
            }
            #expect(try read(nodes, token: nil).status == "401")
            #expect(try read(nodes, token: stranger).status == "403")
            #expect(try read("/healthz", token: nil).status == "200")
            // Heapster's clients.
            #expect(try httpGet("\(plain)\(nodes)").contains("\"node-d\""))
            for (method, path) in [
                ("GET", "/metrics"), ("GET", "/metrics/cadvisor"),
                ("POST", "/api/v1/push/prometheus"), ("GET", "/apis/custom.metrics.k8s.io"),
            ] {
                let result = try runProcess(
                    "curl",
                    [
                        "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", method,
                        "\(plain)\(path)",
                    ])
                #expect(result.output == "404", "\(method) \(path)")
            }
            #expect(agent.stop() == 0, "\(agent.output)")
            #expect(aggregator.stop() == 0, "\(aggregator.output)")
            for secret in [reader, stranger] { #expect(!aggregator.output.contains(secret)) }
        }

        @Test(.enabled(if: hasKubectl, "no kubectl")) func theApiserverTakesEveryBase() throws {
            #expect(Set(Self.bases).isSuperset(of: ["aggregator", "daemonset"]))
            for base in Self.bases {
                let output = try kubectl(["apply", "--dry-run=server", "-k", Self.folder(base)])
                let lines = output.split(separator: "\n")
                    .filter { !$0.lowercased().hasPrefix("warning") }
                #expect(
                    !lines.isEmpty && lines.allSatisfy { $0.hasSuffix("(server dry run)") },
                    "\(base): \(output)")
            }
        }
    }
}
