import Foundation
import TestSupport
import Testing

extension KubernetesTests {
    /// Who is let in, who is not, and what is said then: by `doctor` and in the log, in the same words.
    @Suite(.serialized) struct Access {
        private let cluster: KubernetesCluster
        private let folder: TemporaryFolder
        /// List and watch of everything.
        private static let allRules = """
            [{"apiGroups":["","apps","batch"],"resources":["pods","nodes","namespaces","replicasets","jobs"],"verbs":["list","watch"]}]
            """

        init() throws {
            cluster = try KubernetesCluster.current
            folder = try TemporaryFolder()
        }

        private func source(_ kubeconfig: String) -> String {
            "kubernetes:?inClusterConfig=false&auth=\(kubeconfig)"
        }

        private var authority: String { get throws { try cluster.authority } }

        private func data(_ file: String) throws -> String {
            try Data(contentsOf: URL(fileURLWithPath: cluster.path(file))).base64EncodedString()
        }

        private var podCount: Double {
            get throws {
                let list = try cluster.get("/api/v1/pods")
                return Double(list.matches(of: /"nodeName"/).count)
            }
        }

        // MARK: Good ones

        @Test func everyKindOfCredentialIsLetIn() throws {
            try cluster.makePod("seen-\(UUID().uuidString.lowercased())")
            for name in ["ca.crt", "admin.crt", "admin.key"] {
                try FileManager.default.copyItem(
                    atPath: cluster.path("pki/\(name)"),
                    toPath: folder.url.appendingPathComponent(name).path)
            }
            _ = try folder.write("admintoken\n", to: "token")
            let plugin = try folder.write(
                """
                #!/bin/sh
                case "$KUBERNETES_EXEC_INFO" in *client.authentication.k8s.io/v1*) ;; *) exit 3 ;; esac
                echo '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",
                "status":{"token":"'"$1$SUFFIX"'"}}'
                """, to: "plugin.sh")
            chmod(plugin.path, 0o755)
            let exec = """
                exec: {apiVersion: client.authentication.k8s.io/v1, command: ./plugin.sh, \
                args: [admin], env: [{name: SUFFIX, value: token}], interactiveMode: Never}
                """
            let certificate = """
                client-certificate-data: \(try data("pki/admin.crt")), \
                client-key-data: \(try data("pki/admin.key"))
                """
            let files = "client-certificate: admin.crt, client-key: admin.key"
            let inFile = "certificate-authority: ca.crt"
            let variants: [(String, String, String)] = [
                ("token", try authority, "token: admintoken"),
                ("certificate as data", try authority, certificate),
                ("certificate in files", inFile, files),
                ("token file", inFile, "tokenFile: token"),
                ("exec plugin", try authority, exec),
                ("unchecked", "insecure-skip-tls-verify: true", "token: admintoken"),
            ]
            for (name, entry, user) in variants {
                let source = source(try cluster.kubeconfig(in: folder, cluster: entry, user: user))
                let found = try doctor(["--source=\(source)"])
                #expect(found.status == 0, "\(name): \(found.lines)")
                #expect(found.lines.allSatisfy { $0.hasPrefix("ok ") }, "\(name): \(found.lines)")
                let aggregator = try ClusterAggregator(source: source, in: folder.url)
                try aggregator.wait("heapwire_metadata_pods", try podCount)
                let log = aggregator.program.output
                #expect(!log.contains("warning") && !log.contains("admintoken"), "\(name): \(log)")
            }
        }

        /// As in a pod: the manifests' account, its token and authority in the usual folder.
        @Test(.enabled(if: geteuid() == 0, "not root: no mount namespace"))
        func theManifestsAccountIsEnoughInACluster() throws {
            let (wrapper, environment) = try cluster.inPod(of: folder)
            let program = RunningProgram.productsFolder
                .appendingPathComponent("heapwire-aggregator").path
            // With the checking of agents, as it is deployed.
            let flags = ["--source=kubernetes", "--agent-token-review", "--leader-elect"]
            let found = try runProcess(
                "env",
                environment.map { "\($0.key)=\($0.value)" } + wrapper
                    + [program, "doctor"] + flags)
            #expect(found.status == 0, "\(found.output)")
            let lines = found.output.split(separator: "\n")
            #expect(
                lines.allSatisfy { $0.hasPrefix("ok ") } && lines.count == 19, "\(found.output)")
            let aggregator = try ClusterAggregator(
                source: "kubernetes", ["--agent-token-review"], in: folder.url,
                environment: environment, through: wrapper)
            try aggregator.wait("heapwire_metadata_pods", try podCount)
            #expect(aggregator.program.output.contains("token of kube-system:heapwire-agent"))
            #expect(!aggregator.program.output.contains("warning"))
        }

        // MARK: Bad ones

        /// A token whose life is over, signed with the cluster's own key.
        private func expiredToken(of account: String) throws -> String {
            func encode(_ data: Data) -> String {
                data.base64EncodedString().replacingOccurrences(of: "+", with: "-")
                    .replacingOccurrences(of: "/", with: "_").replacingOccurrences(
                        of: "=", with: "")
            }
            let now = Int(Date().timeIntervalSince1970)
            let answer = try cluster.get("/api/v1/namespaces/default/serviceaccounts/\(account)")
            let uid = try #require(answer.firstMatch(of: /"uid": ?"([^"]+)"/)?.output.1)
            let issuer = "https://kubernetes.default.svc"
            let claims = """
                {"iss":"\(issuer)","aud":["\(issuer)"],"sub":"system:serviceaccount:default:\(account)",\
                "iat":\(now - 7200),"nbf":\(now - 7200),"exp":\(now - 3600),"kubernetes.io":\
                {"namespace":"default","serviceaccount":{"name":"\(account)","uid":"\(uid)"}}}
                """
            let head = encode(Data(#"{"alg":"RS256","typ":"JWT"}"#.utf8))
            let text = head + "." + encode(Data(claims.utf8))
            let file = try folder.write(text, to: "token.txt")
            let signature = folder.url.appendingPathComponent("token.sig")
            let result = try runProcess(
                "openssl",
                [
                    "dgst", "-sha256", "-sign", cluster.path("pki/sa.key"), "-out", signature.path,
                    file.path,
                ])
            try #require(result.status == 0, "\(result.output)")
            return text + "." + encode(try Data(contentsOf: signature))
        }

        @Test func whoIsNotLetInIsToldWhy() throws {
            let name = "reader-\(UUID().uuidString.lowercased())"
            _ = try cluster.makeReader(name, rules: Self.allRules)
            let podName = "bound-\(UUID().uuidString.lowercased())"
            let uid = try cluster.makePod(podName, account: name)
            let bound = try cluster.token(of: name, pod: (podName, uid))
            let certificates = try TestCertificates()
            let other = certificates.folder.appendingPathComponent("other.pem").path
            // While its pod is there, the token is good.
            let good = source(
                try cluster.kubeconfig(in: folder, cluster: try authority, user: "token: \(bound)"))
            #expect(try doctor(["--source=\(good)"]).status == 0)
            try cluster.request(
                "DELETE", "/api/v1/namespaces/default/pods/\(podName)",
                #"{"gracePeriodSeconds":0}"#)
            let expired = try expiredToken(of: name)
            let cases: [(String, step: String, entry: String, user: String, words: String)] = [
                (
                    "wrong authority", "TLS", "certificate-authority: \(other)",
                    "token: admintoken", "give the cluster's authority in the kubeconfig"
                ),
                (
                    "wrong token", "credentials", try authority, "token: nonsense",
                    "have not expired or been revoked"
                ),
                (
                    "expired token", "credentials", try authority, "token: \(expired)",
                    "have not expired or been revoked"
                ),
                (
                    "revoked token", "credentials", try authority, "token: \(bound)",
                    "have not expired or been revoked"
                ),
                (
                    "nobody", "credentials", try authority, "username: ''",
                    "may not list pods"
                ),
            ]
            for (name, step, entry, user, words) in cases {
                // The apiserver may remember a token's answer for ten seconds.
                let source = source(try cluster.kubeconfig(in: folder, cluster: entry, user: user))
                try eventually("\(name) is refused") {
                    try doctor(["--source=\(source)"]).status == 1
                }
                let found = try doctor(["--source=\(source)"])
                let failed = found.lines.filter { $0.hasPrefix("FAIL") }
                #expect(
                    failed.count == 1 && failed[0].contains(" \(step): "), "\(name): \(found.lines)"
                )
                #expect(failed[0].contains(words), "\(name): \(failed)")
                let aggregator = try ClusterAggregator(source: source, in: folder.url)
                try eventually("\(name) is in the log") {
                    aggregator.program.output.contains(words)
                }
                for secret in ["admintoken", "nonsense", expired, bound] {
                    #expect(!aggregator.program.output.contains(secret), "\(name) shows a token")
                }
                #expect(aggregator.program.isRunning)
                #expect(try aggregator.own("heapwire_metadata_pods") == 0)
            }
        }

        // MARK: Rules taken away

        private static let resources: [(name: String, group: String)] = [
            ("nodes", ""), ("namespaces", ""), ("replicasets", "apps"), ("jobs", "batch"),
            ("pods", ""),
        ]

        /// All rules but one verb of one resource.
        private static func rules(without missing: (resource: String, verb: String)) -> String {
            let rules = resources.map { resource, group in
                let verbs = ["list", "watch"].filter { (resource, $0) != missing }
                    .map { "\"\($0)\"" }.joined(separator: ",")
                return
                    #"{"apiGroups":["\#(group)"],"resources":["\#(resource)"],"verbs":[\#(verbs)]}"#
            }
            return "[\(rules.joined(separator: ","))]"
        }

        /// Each verb in turn, all aggregators at the same time.
        @Test func aMissingVerbCostsOnlyWhatItIsForAndIsNamed() throws {
            try cluster.makePod("rule-\(UUID().uuidString.lowercased())")
            var running: [(resource: String, verb: String, aggregator: ClusterAggregator)] = []
            for (resource, group) in Self.resources {
                for verb in ["list", "watch"] {
                    let name = "no-\(verb)-\(resource)"
                    let token = try cluster.makeReader(
                        name, rules: Self.rules(without: (resource, verb)))
                    let source = source(
                        try cluster.kubeconfig(
                            in: folder, cluster: try authority, user: "token: \(token)"))
                    // RBAC sees new roles a moment later.
                    let rule =
                        #"{apiGroups: ["\#(group)"], resources: ["\#(resource)"], verbs: ["list", "watch"]}"#
                    let words = "may not \(verb) \(resource): give its ClusterRole the rule \(rule)"
                    var lines: [String] = []
                    try eventually("\(name) is all that is missing") {
                        lines = try doctor(["--source=\(source)"]).lines.filter {
                            !$0.hasPrefix("ok ")
                        }
                        return lines.count == 1
                    }
                    #expect(
                        lines[0].contains("\(verb) \(resource): the account \(words)"), "\(lines)")
                    let isOptional = group != ""
                    #expect(lines[0].hasPrefix(isOptional ? "warn " : "FAIL "), "\(lines)")
                    let aggregator = try ClusterAggregator(source: source, in: folder.url)
                    try eventually("\(name) is in the log") {
                        aggregator.program.output.contains(words)
                    }
                    running.append((resource, verb, aggregator))
                }
            }
            let pods = try podCount
            for (resource, verb, aggregator) in running {
                for (other, _) in Self.resources {
                    let isListed = other != resource || verb == "watch"
                    let up = other == resource ? 0.0 : 1.0
                    let labels = "{resource=\"\(other)\"}"
                    #expect(
                        try aggregator.own("heapwire_apiserver_up\(labels)") == up,
                        "\(other) without \(verb) \(resource)")
                    let lists = try aggregator.own("heapwire_apiserver_lists_total\(labels)") ?? 0
                    #expect((lists > 0) == isListed, "\(other) without \(verb) \(resource)")
                }
                let isBlind = resource == "pods" && verb == "list"
                #expect(
                    try aggregator.own("heapwire_metadata_pods") == (isBlind ? 0 : pods),
                    "pods without \(verb) \(resource)")
            }
        }
    }
}
