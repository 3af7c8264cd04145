import Foundation
import TestSupport

extension KubernetesCluster {
    /// A kubeconfig of two flow mappings.
    func kubeconfig(
        in folder: TemporaryFolder, cluster entry: String, user: String
    ) throws -> String {
        let text = """
            apiVersion: v1
            kind: Config
            current-context: c
            contexts: [{name: c, context: {cluster: k, user: u}}]
            clusters: [{name: k, cluster: {server: "\(url)", \(entry)}}]
            users: [{name: u, user: {\(user)}}]

            """
        return try folder.write(text, to: "kubeconfig-\(UUID().uuidString)").path
    }

    /// The cluster's authority, for a kubeconfig.
    var authority: String {
        get throws { "certificate-authority-data: \(try authorityData)" }
    }

    /// The source of somebody with a token.
    func source(in folder: TemporaryFolder, token: String = "admintoken") throws -> String {
        let file = try kubeconfig(in: folder, cluster: try authority, user: "token: \(token)")
        return "kubernetes:?inClusterConfig=false&auth=\(file)"
    }

    /// The source of the account that deploy/ gives the aggregator, with those rights only.
    func deployedSource(in folder: TemporaryFolder) throws -> String {
        try apply(manifest: "deploy/aggregator/rbac.yaml")
        return try source(
            in: folder,
            token: try token(of: "heapwire-aggregator", namespace: "kube-system"))
    }

    /// Documents of a manifest, each sent to where its kind lives. What is there already stays.
    func apply(manifest path: String) throws {
        let rbac = "/apis/rbac.authorization.k8s.io/v1"
        let targets = [
            "ServiceAccount": "/api/v1/namespaces/kube-system/serviceaccounts",
            "ClusterRole": "\(rbac)/clusterroles",
            "ClusterRoleBinding": "\(rbac)/clusterrolebindings",
            "Role": "\(rbac)/namespaces/kube-system/roles",
            "RoleBinding": "\(rbac)/namespaces/kube-system/rolebindings",
        ]
        for document in try Repository.text(path).components(separatedBy: "\n---\n") {
            guard let kind = document.firstMatch(of: /(?m)^kind: (\w+)/)?.output.1,
                let target = targets[String(kind)]
            else { throw RunningProgram.Failure(description: "unexpected: \(document)") }
            let answer = try request("POST", target, document, type: "application/yaml")
            guard [200, 201, 409].contains(answer.status) else {
                throw RunningProgram.Failure(description: "\(kind): \(answer)")
            }
        }
    }

    /// What makes a program believe that it is in the aggregator's pod: a mount namespace with the
    /// account's token and authority in the usual folder, and the usual variables. Needs root.
    ///
    /// - Parameter others: folders by where they are mounted below `/run/secrets`.
    func inPod(
        of folder: TemporaryFolder, mounting others: [String: String] = [:]
    ) throws -> (wrapper: [String], environment: [String: String]) {
        try apply(manifest: "deploy/aggregator/rbac.yaml")
        let token = try token(of: "heapwire-aggregator", namespace: "kube-system")
        _ = try folder.write(token, to: "token")
        _ = try folder.write("kube-system", to: "namespace")
        try FileManager.default.copyItem(
            atPath: path("pki/ca.crt"), toPath: folder.url.appendingPathComponent("ca.crt").path)
        let target = "/run/secrets/kubernetes.io/serviceaccount"
        var script = "cd \(folder.url.path) && mount -t tmpfs none /run && mkdir -p \(target)"
        script += " && cp token namespace ca.crt \(target)"
        for (name, source) in others {
            script += " && mkdir -p /run/secrets/\(name) && cp \(source)/* /run/secrets/\(name)"
        }
        return (
            ["unshare", "-m", "sh", "-c", script + #" && exec "$0" "$@""#],
            ["KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "\(port)"]
        )
    }

    /// Objects of a list, as far as tests look at them.
    struct ObjectList: Decodable {
        struct Item: Decodable {
            struct Metadata: Decodable {
                let name: String
                let uid: String
            }
            let metadata: Metadata
        }
        let items: [Item]
    }

    func objects(_ target: String) throws -> [ObjectList.Item] {
        try JSONDecoder().decode(ObjectList.self, from: Data(try get(target).utf8)).items
    }
}
