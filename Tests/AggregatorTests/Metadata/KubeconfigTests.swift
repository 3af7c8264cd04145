import Foundation
import TestSupport
import Testing

@testable import Aggregator

@Suite struct YAMLTests {
    private func parse(_ text: String) throws -> YAMLValue {
        try YAMLParser.parse(Array(text.utf8))
    }
    private func object(_ members: [(String, YAMLValue)]) -> YAMLValue {
        .mapping(members.map { .init(key: $0.0, value: $0.1) })
    }

    @Test func blocksFlowsAndScalars() throws {
        let value = try parse(
            """
            # a comment
            ---
            a: plain text # not this
            b: "x: \\"y\\" # z\\u00e9"
            'c d': 'it''s'
            list:
            - 1
            - k: v
              l: [p, "q, r", {s: t}]
            -
              deep: ~
            - - nested
            empty:
            url: https://h:6443/x#y
            text: |
              line one
                indented # kept

              last
            folded: >-
              a
              b
            json: {"a":"b","c":[1,
              2], "d": {}}
            end: 'done'
            """)
        #expect(value["a"] == .scalar("plain text"))
        #expect(value["b"] == .scalar("x: \"y\" # zé"))
        #expect(value["c d"] == .scalar("it's"))
        #expect(
            value["list"]
                == .sequence([
                    .scalar("1"),
                    object([
                        ("k", .scalar("v")),
                        (
                            "l",
                            .sequence([
                                .scalar("p"), .scalar("q, r"), object([("s", .scalar("t"))]),
                            ])
                        ),
                    ]),
                    object([("deep", .null)]), .sequence([.scalar("nested")]),
                ]))
        #expect(value["empty"] == .null && value["url"] == .scalar("https://h:6443/x#y"))
        #expect(value["text"] == .scalar("line one\n  indented # kept\n\nlast\n"))
        #expect(value["folded"] == .scalar("a b"))
        #expect(
            value["json"]
                == object([
                    ("a", .scalar("b")), ("c", .sequence([.scalar("1"), .scalar("2")])),
                    ("d", object([])),
                ]))
        #expect(value["end"] == .scalar("done"))
    }

    @Test func jsonIsYAML() throws {
        for seed in UInt64(0)..<400 {
            var random = SeededRandom(seed: seed)
            let text = String(
                decoding: Array("{\"v\":".utf8) + JSONMaker.document(&random) + Array("}".utf8),
                as: UTF8.self)
            // Escapes of surrogate pairs, repeated keys and tabs at a line's begin are outside the subset.
            guard !text.contains("\\ud"), !text.contains("\t") else { continue }
            let ours: YAMLValue
            do { ours = try parse(text) } catch {
                #expect("\(error)".contains("repeated"), "seed \(seed): \(error)")
                continue
            }
            let theirs = try JSONTree(scanning: Array(text.utf8))
            #expect(Self.agrees(ours, theirs), "seed \(seed): \(text)")
        }
    }

    private static func agrees(_ yaml: YAMLValue, _ json: JSONTree) -> Bool {
        switch (yaml, json) {
        case (.null, .null): true
        case (.scalar(let text), .string(let other)): text == other
        case (.scalar(let text), .number(let number)): Double(text) == number
        case (.scalar(let text), .boolean(let value)): text == "\(value)"
        case (.sequence(let a), .array(let b)): a.count == b.count && zip(a, b).allSatisfy(agrees)
        case (.mapping(let a), .object(let b)):
            a.count == b.count
                && a.allSatisfy { member in b[member.key].map { agrees(member.value, $0) } ?? false
                }
        default: false
        }
    }

    @Test(arguments: [
        "a: &x 1", "a: *x", "a: !!str 1", "<<: {}", "a: 1\na: 2", "a: 1\n  b: 2", "\ta: 1", "a: [1",
        "a: \"x",
        "a: {b: 1, b: 2}", "a: 1\n---\nb: 2", "- a\nb: 1", "a: [1}", "a: {x}", "a: \"\\q\"",
        "a: @x",
        "a:\n    b: 1\n  c: 2", "a: 'x' y", "just\n  text: 1",
    ]) func outsideTheSubset(text: String) {
        #expect(throws: YAMLError.self) { try parse(text) }
    }

    @Test func limitsHoldAndNothingTraps() throws {
        #expect(throws: YAMLError.self) { try parse(String(repeating: "[", count: 10_000)) }
        #expect(throws: YAMLError.self) { try parse(String(repeating: "- ", count: 10_000) + "x") }
        #expect(throws: YAMLError.self) {
            try parse((0..<60_000).map { "- \($0)" }.joined(separator: "\n"))
        }
        #expect(throws: YAMLError.self) { try YAMLParser.parse([0x61, 0x3A, 0xFF]) }
        let sample = Array("a:\n- b: 'c'\n  d: [e, {f: \"g\"}] # h\ni: |\n  j\nk: >-\n  l\r\n".utf8)
        for seed in UInt64(0)..<8_000 {
            var random = SeededRandom(seed: seed)
            var bytes = sample
            for _ in 0...random.below(3) {
                let index = random.below(bytes.count)
                switch random.below(3) {
                case 0: bytes.remove(at: index)
                case 1:
                    bytes.insert(random.element(Array("-:#'\"[]{}|> \n\t,&é\\".utf8)), at: index)
                default: bytes[index] ^= 1 << UInt8(random.below(7))
                }
            }
            // Whatever it is, it is the same when a line is put before it.
            let first = try? YAMLParser.parse(bytes)
            let second = try? YAMLParser.parse(Array("\n".utf8) + bytes)
            #expect(first == second, "seed \(seed)")
        }
    }
}

@Suite struct KubeconfigTests {
    private func access(_ text: String) throws -> APIServerAccess {
        try Kubeconfig.access(parsing: Array(text.utf8), path: "/home/me/.kube/config")
    }

    private func config(user: String, cluster: String = "server: https://h:6443") -> String {
        """
        apiVersion: v1
        kind: Config
        current-context: two
        contexts:
        - context: {cluster: other, user: other}
          name: one
        - context:
            cluster: here
            user: me
          name: two
        clusters:
        - cluster:
            \(cluster.replacingOccurrences(of: "\n", with: "\n    "))
          name: here
        users:
        - name: me
          user:
            \(user.replacingOccurrences(of: "\n", with: "\n    "))
        """
    }

    @Test func theCurrentContextDecides() throws {
        let found = try access(
            config(
                user: "token: abc",
                cluster:
                    "server: https://h:6443\ncertificate-authority: ca.crt\ntls-server-name: n\nproxy-url: http://p:1"
            ))
        #expect(found.server.description == "https://h:6443")
        #expect(found.authorities == .file("/home/me/.kube/ca.crt"))
        #expect(found.serverName == "n" && found.proxy?.url.hostField == "p:1")
        #expect(found.authorization == .token("abc"))
    }

    @Test func everyKindOfCredential() throws {
        #expect(
            try access(config(user: "tokenFile: /t\ntoken: x")).authorization == .tokenFile("/t"))
        #expect(
            try access(config(user: "username: u\npassword: p")).authorization
                == .basic(user: "u", password: "p"))
        let certificate = try access(
            config(user: "client-certificate: c.pem\nclient-key-data: aGVsbG8="))
        #expect(certificate.clientCertificate == .file("/home/me/.kube/c.pem"))
        #expect(
            certificate.clientKey
                == .data(Array("hello".utf8), source: "client-key-data of /home/me/.kube/config"))
        let exec = try access(
            config(
                user:
                    "exec:\n  apiVersion: client.authentication.k8s.io/v1\n  command: ./give\n  args: [a, \"b c\"]\n  env:\n  - name: X\n    value: y"
            ))
        #expect(
            exec.authorization
                == .exec(
                    ExecPlugin(
                        command: "/home/me/.kube/./give", arguments: ["a", "b c"],
                        environment: ["X": "y"],
                        apiVersion: "client.authentication.k8s.io/v1")))
        let insecure = try access(
            config(
                user: "token: x",
                cluster:
                    "server: https://h\ninsecure-skip-tls-verify: true\ncertificate-authority: c"))
        #expect(insecure.isInsecure && insecure.authorities == nil)
    }

    @Test func faultsNameTheFileAndTheReason() {
        func words(_ text: String) -> String {
            do {
                _ = try access(text)
                return ""
            } catch { return "\(error)" }
        }
        let prefix = "kubeconfig /home/me/.kube/config: "
        #expect(words("a: [").hasPrefix(prefix + "line 1: the value does not end"))
        #expect(words("apiVersion: v1").hasPrefix(prefix + "it has no current-context"))
        #expect(words("current-context: x") == prefix + "there is no context named x")
        #expect(
            words(config(user: "client-key: k")) == prefix
                + "client-certificate and client-key belong together")
        #expect(
            words(config(user: "auth-provider: {name: gcp}")).contains(
                "auth-provider is not supported"))
        #expect(
            words(config(user: "client-certificate-data: '***'\nclient-key: k")).contains(
                "is not base 64"))
        #expect(
            words(config(user: "token: x", cluster: "server: h:1")).contains("must begin with http")
        )
        #expect(
            words(
                config(
                    user: "exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1x}"))
                == "")
        #expect(words(config(user: "exec: {command: x}")).contains("apiVersion"))
    }

    @Test func pluginsAreRunAndTheirAnswerRead() throws {
        func plugin(_ script: String) -> ExecPlugin {
            ExecPlugin(
                command: "sh", arguments: ["-c", script], environment: ["WHO": "me"],
                apiVersion: "client.authentication.k8s.io/v1")
        }
        let given = try plugin(
            #"echo "{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"$WHO-1\",\"expirationTimestamp\":\"2030-01-01T00:00:00Z\"}}"; test -n "$KUBERNETES_EXEC_INFO""#
        ).run()
        #expect(given == .init(token: "me-1", expires: 1_893_456_000_000))
        for (script, words) in [
            ("exit 3", "exit status 3"), ("echo no", "its answer is unusable"),
            ("kill -9 $$", "signal 9"),
        ] {
            let error = #expect(throws: SourceError.self) { try plugin(script).run() }
            #expect(error.map { "\($0)".contains(words) } == true, "\(String(describing: error))")
        }
    }
}

@Suite struct SourceOptionsTests {
    private func options(_ text: String, _ environment: [String: String] = [:]) throws(SourceError)
        -> SourceOptions
    {
        try SourceOptions(parsing: text, environment: environment)
    }

    @Test func heapstersSpellings() throws {
        #expect(try options("none").kind == .none)
        for text in [
            "kubernetes", "kubernetes:", "kubernetes:''", "kubernetes.summary_api:''",
            "kubernetes:?",
        ] {
            let found = try options(text)
            #expect(
                found.kind == .kubernetes && found.server == nil && found.inClusterConfig, "\(text)"
            )
        }
        let full = try options(
            "kubernetes:https://$HOST:6443?inClusterConfig=false&insecure=true&useServiceAccount=1&kubeletPort=10255&kubeletHttps=true&host_id_annotation=a%2Fb",
            ["HOST": "h"])
        #expect(
            full.server?.description == "https://h:6443" && !full.inClusterConfig && full.insecure)
        #expect(full.useServiceAccount && full.unneeded == ["kubeletPort", "kubeletHttps"])
        #expect(full.hostIDAnnotation == "a/b")
        #expect(try options("kubernetes:?auth=${HOME}/c", ["HOME": "/h"]).auth == "/h/c")
        #expect(try !options("kubernetes:?auth=/c").inClusterConfig)
        #expect(try options("kubernetes:?auth=/c&inClusterConfig=true").inClusterConfig)
    }

    @Test(arguments: [
        "heapster", "kubernetes:ftp://x", "kubernetes:?insecure=maybe", "kubernetes:?what=1",
        "kubernetes:h:1",
    ])
    func unusable(text: String) {
        #expect(throws: SourceError.self) { try options(text) }
    }

    @Test func inAClusterFilesAndVariablesTell() throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
            "sa-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let environment = ["KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"]
        let wanted = try options("kubernetes")
        #expect(throws: SourceError.notInCluster(missing: "KUBERNETES_SERVICE_HOST is not set")) {
            try APIServerAccess(wanted, environment: [:])
        }
        #expect(throws: SourceError.self) {
            try APIServerAccess(wanted, environment: environment, serviceAccountFolder: folder.path)
        }
        try Data("x".utf8).write(to: folder.appendingPathComponent("ca.crt"))
        let access = try APIServerAccess(
            wanted, environment: environment, serviceAccountFolder: folder.path)
        #expect(access.server.description == "https://[fd00::1]")
        #expect(access.authorization == .tokenFile("\(folder.path)/token"))
        let error = #expect(throws: SourceError.self) { try access.destination() }
        #expect(error.map { "\($0)".contains("ca.crt holds no PEM certificate") } == true)
        let moved = try APIServerAccess(
            options("kubernetes:http://h:8080?insecure=true"), environment: environment,
            serviceAccountFolder: folder.path)
        #expect(
            moved.server.description == "http://h:8080" && moved.isInsecure
                && moved.authorities == nil)
    }
}
