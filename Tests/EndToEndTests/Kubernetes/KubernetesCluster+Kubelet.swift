import Foundation
import TestSupport

/// What a scheduler and a kubelet would tell the apiserver.
extension KubernetesCluster {
    /// As a container runtime makes them.
    static func containerID() -> String {
        (UUID().uuidString + UUID().uuidString).lowercased()
            .replacingOccurrences(of: "-", with: "")
    }

    /// The controller of cron jobs, which the cluster's own manager does not run.
    func startCronJobController(in folder: TemporaryFolder) throws -> RunningProgram {
        try RunningProgram(
            "\(Self.binaries ?? "")/kube-controller-manager",
            [
                "--kubeconfig=\(path("kubeconfig"))", "--bind-address=127.0.0.1",
                "--secure-port=0", "--port=0", "--leader-elect=false", "--controllers=cronjob",
            ], in: folder.url)
    }

    func bind(_ pod: String, to node: String, in namespace: String) throws {
        try make(
            "/api/v1/namespaces/\(namespace)/pods/\(pod)/binding",
            #"{"apiVersion":"v1","kind":"Binding","metadata":{"name":"\#(pod)"},"target":{"apiVersion":"v1","kind":"Node","name":"\#(node)"}}"#
        )
    }

    /// Which containers of a pod run, under which IDs.
    func setStatus(_ pod: String, _ containers: [String: String], in namespace: String) throws {
        let statuses = containers.sorted { $0.key < $1.key }.map { name, id in
            #"{"name":"\#(name)","containerID":"containerd://\#(id)","image":"i","imageID":"","ready":true,"restartCount":0,"state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}"#
        }
        let answer = try request(
            "PATCH", "/api/v1/namespaces/\(namespace)/pods/\(pod)/status",
            #"{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[\#(statuses.joined(separator: ","))]}}"#,
            type: "application/strategic-merge-patch+json")
        guard answer.status == 200 else {
            throw RunningProgram.Failure(description: "status of \(pod): \(answer)")
        }
    }
}
