import Foundation
import Glibc
import Synchronization
import TestSupport
import Testing

/// A real kube-apiserver, controller manager and etcd on loopback: `../shared/tools/kube`. No kubelet:
/// pods are created and their status written by the tests.
final class KubernetesCluster: Sendable {
    let folder: URL
    let port: UInt16
    private let arguments = Mutex<[String]>([])

    /// Where the programs are; `nil`, with the reason printed once, where they were not built.
    static let binaries: String? = {
        let folder =
            ProcessInfo.processInfo.environment["HEAPWIRE_KUBE_BIN"]
            ?? NSHomeDirectory() + "/.cache/heapwire-kube/bin"
        let files = FileManager.default
        guard files.isExecutableFile(atPath: "\(folder)/kube-apiserver") else {
            print("skipped: no kube-apiserver in \(folder); make test-kubernetes builds it")
            return nil
        }
        guard Repository.shared != nil, files.isExecutableFile(atPath: "/usr/bin/etcd") else {
            print("skipped: ../shared/tools/kube or etcd is missing")
            return nil
        }
        return folder
    }()

    static var isAvailable: Bool { binaries != nil }

    private static let running = Mutex<KubernetesCluster?>(nil)

    /// The cluster of the suite that runs.
    static var current: KubernetesCluster {
        get throws {
            guard let cluster = running.withLock({ $0 }) else {
                throw RunningProgram.Failure(
                    description: "there is no cluster outside of its suite")
            }
            return cluster
        }
    }

    /// Starts a cluster before the suite's first test and stops it behind the last.
    struct Running: SuiteTrait, TestScoping {
        func provideScope(
            for test: Test, testCase: Test.Case?, performing function: () async throws -> Void
        ) async throws {
            let cluster = try KubernetesCluster()
            KubernetesCluster.running.withLock { $0 = cluster }
            defer {
                KubernetesCluster.running.withLock { $0 = nil }
                cluster.stop()
            }
            try await function()
        }
    }

    private static var tools: URL {
        Repository.root.deletingLastPathComponent().appendingPathComponent("shared/tools/kube")
    }

    private init() throws {
        folder = FileManager.default.temporaryDirectory
            .appendingPathComponent("heapwire-kube-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        // Three ports in a row for etcd, the apiserver, the controller manager; etcd's peers are 10 on.
        let base = UInt16.random(in: 1_000...1_900) * 16 + 4_000
        port = base + 1
        let status = try runDetached(
            ["/bin/bash", Self.tools.appendingPathComponent("up.sh").path, folder.path]
                + [Self.binaries ?? ""],
            environment: [
                "ETCD_PORT": "\(base)", "APISERVER_PORT": "\(port)", "KCM_PORT": "\(base + 2)",
            ], in: folder, log: folder.appendingPathComponent("up.log"))
        guard status == 0, try get("/readyz") == "ok" else {
            stop()
            throw RunningProgram.Failure(description: "no cluster, see \(folder.path)/*.log")
        }
        let pid = try self.pid("apiserver")
        let line = try Data(contentsOf: URL(fileURLWithPath: "/proc/\(pid)/cmdline"))
        arguments.withLock {
            $0 = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        }
    }

    private func stop() {
        do {
            _ = try runDetached(
                ["/bin/bash", Self.tools.appendingPathComponent("down.sh").path, folder.path],
                in: folder, log: folder.appendingPathComponent("down.log"))
            try FileManager.default.removeItem(at: folder)
        } catch {
            print("cannot stop the cluster in \(folder.path): \(error)")
        }
    }

    var url: String { "https://127.0.0.1:\(port)" }
    func path(_ name: String) -> String { folder.appendingPathComponent(name).path }
    var authorityData: String {
        get throws {
            try Data(contentsOf: URL(fileURLWithPath: path("pki/ca.crt"))).base64EncodedString()
        }
    }

    // MARK: Asking as the administrator

    func get(_ path: String) throws -> String { try request("GET", path).body }

    /// - Parameter body: JSON, or another type.
    @discardableResult
    func request(
        _ method: String, _ target: String, _ body: String = "",
        type: String = "application/json", extra: [String] = []
    ) throws -> (status: Int, body: String) {
        var arguments = [
            "-sS", "-m", "120", "--cacert", path("pki/ca.crt"), "-X", method, "-w",
            "\n%{http_code}",
            "-H", "Authorization: Bearer admintoken", "-H", "Content-Type: \(type)",
        ]
        if !body.isEmpty {
            let file = folder.appendingPathComponent("body-\(UUID().uuidString)")
            try body.write(to: file, atomically: true, encoding: .utf8)
            arguments += ["--data-binary", "@\(file.path)"]
        }
        let result = try runProcess("curl", arguments + extra + [url + target])
        let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false)
        guard result.status == 0, let status = Int(lines.last ?? "") else {
            throw RunningProgram.Failure(description: "\(method) \(target): \(result.output)")
        }
        return (status, lines.dropLast().joined(separator: "\n"))
    }

    /// The same, and anything but success is a failure of the test.
    @discardableResult
    func make(_ target: String, _ body: String, type: String = "application/json") throws -> String
    {
        let (status, answer) = try request("POST", target, body, type: type)
        guard (200...201).contains(status) else {
            throw RunningProgram.Failure(description: "POST \(target): \(status) \(answer)")
        }
        return answer
    }

    // MARK: Objects

    func makeNamespace(_ name: String) throws {
        try make("/api/v1/namespaces", #"{"metadata":{"name":"\#(name)"}}"#)
    }

    /// A pod that is bound to a node; its UID.
    @discardableResult
    func makePod(
        _ name: String, namespace: String = "default", node: String = "node-1",
        account: String = "default", labels: String = #"{"app":"web"}"#
    ) throws -> String {
        let answer = try make(
            "/api/v1/namespaces/\(namespace)/pods",
            #"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"\#(name)","labels":\#(labels)},"spec":{"nodeName":"\#(node)","serviceAccountName":"\#(account)","containers":[{"name":"main","image":"shop/web:1","resources":{"requests":{"cpu":"100m"}}}]}}"#
        )
        guard let uid = answer.firstMatch(of: /"uid": ?"([0-9a-f-]{36})"/)?.output.1 else {
            throw RunningProgram.Failure(description: "no UID in \(answer)")
        }
        return String(uid)
    }

    func makeAccount(_ name: String, namespace: String = "default") throws {
        try make(
            "/api/v1/namespaces/\(namespace)/serviceaccounts", #"{"metadata":{"name":"\#(name)"}}"#)
    }

    /// A token of a service account, bound to a pod if there is one.
    func token(
        of account: String, namespace: String = "default", audience: String? = nil,
        pod: (name: String, uid: String)? = nil
    ) throws -> String {
        let audiences = audience.map { #""audiences":["\#($0)"],"# } ?? ""
        let bound = pod.map {
            #","boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"\#($0.name)","uid":"\#($0.uid)"}"#
        }
        let answer = try make(
            "/api/v1/namespaces/\(namespace)/serviceaccounts/\(account)/token",
            #"{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{\#(audiences)"expirationSeconds":3600\#(bound ?? "")}}"#
        )
        guard let token = answer.firstMatch(of: /"token": ?"([^"]+)"/)?.output.1 else {
            throw RunningProgram.Failure(description: "no token in \(answer)")
        }
        return String(token)
    }

    /// A service account that may do what the rules (JSON) say; its token.
    func makeReader(_ name: String, rules: String) throws -> String {
        try makeAccount(name)
        let rbac = "/apis/rbac.authorization.k8s.io/v1"
        try make("\(rbac)/clusterroles", #"{"metadata":{"name":"\#(name)"},"rules":\#(rules)}"#)
        try make(
            "\(rbac)/clusterrolebindings",
            #"{"metadata":{"name":"\#(name)"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"\#(name)"},"subjects":[{"kind":"ServiceAccount","name":"\#(name)","namespace":"default"}]}"#
        )
        return try token(of: name)
    }

    // MARK: The apiserver's life

    private func pid(_ name: String) throws -> Int32 {
        let text = try String(contentsOfFile: path("\(name).pid"), encoding: .utf8)
        guard let pid = Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw RunningProgram.Failure(description: "\(name).pid holds \(text)")
        }
        return pid
    }

    /// Ends the apiserver; etcd keeps everything.
    func stopAPIServer() throws {
        let pid = try pid("apiserver")
        // At once: asked to end it waits a minute for watches.
        kill(pid, SIGKILL)
        for _ in 0..<600 {
            // Nobody may be there to take a finished process's status.
            let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
            guard let stat, !stat.contains(") Z ") else { return }
            usleep(100_000)
        }
        throw RunningProgram.Failure(description: "the apiserver does not end")
    }

    func startAPIServer() throws {
        let line = arguments.withLock { $0 }.map { "'\($0)'" }.joined(separator: " ")
        _ = try runDetached(
            ["/bin/sh", "-c", "\(line) >> apiserver.log 2>&1 & echo $! > apiserver.pid"],
            in: folder, log: folder.appendingPathComponent("restart.log"))
        for _ in 0..<300 {
            if let answer = try? get("/readyz"), answer == "ok" { return }
            usleep(200_000)
        }
        throw RunningProgram.Failure(description: "the apiserver does not come back")
    }
}
