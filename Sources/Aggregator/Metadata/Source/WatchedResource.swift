/// A kind of object that names come from.
struct WatchedResource: Sendable, Equatable {
    let kind: String
    let path: String
    let group: String
    let resource: String
    /// Whether metadata is all that is asked for.
    let isMetadataOnly: Bool
    /// Without it only workloads are missing, so it is asked for again at leisure.
    let isOptional: Bool

    static let pods = WatchedResource(
        kind: "Pod", path: "/api/v1/pods", group: "", resource: "pods", isMetadataOnly: false,
        isOptional: false)
    static let nodes = WatchedResource(
        kind: "Node", path: "/api/v1/nodes", group: "", resource: "nodes", isMetadataOnly: false,
        isOptional: false)
    static let namespaces = WatchedResource(
        kind: "Namespace", path: "/api/v1/namespaces", group: "", resource: "namespaces",
        isMetadataOnly: true, isOptional: false)
    static let replicaSets = WatchedResource(
        kind: "ReplicaSet", path: "/apis/apps/v1/replicasets", group: "apps",
        resource: "replicasets", isMetadataOnly: true, isOptional: true)
    static let jobs = WatchedResource(
        kind: "Job", path: "/apis/batch/v1/jobs", group: "batch", resource: "jobs",
        isMetadataOnly: true, isOptional: true)

    /// Small ones first: they are there when the pods come.
    static let all: [WatchedResource] = [nodes, namespaces, replicaSets, jobs, pods]

    func purpose(_ verb: String) -> APIServerClient.Purpose {
        APIServerClient.Purpose(verb: verb, group: group, resource: resource)
    }

    /// The media types of a list and of a watch, in the order of preference.
    func accept(_ form: String) -> String {
        isMetadataOnly
            ? "application/json;as=PartialObjectMetadata\(form);g=meta.k8s.io;v=v1,application/json"
            : "application/json"
    }
}

/// Growing pauses with chance in them, so that those who failed together do not return together.
struct Backoff {
    let firstMilliseconds: Int
    let lastMilliseconds: Int
    private var next: Int

    init(firstMilliseconds: Int = 500, lastMilliseconds: Int = 30_000) {
        self.firstMilliseconds = firstMilliseconds
        self.lastMilliseconds = lastMilliseconds
        next = firstMilliseconds
    }

    /// Between half and all of a pause that doubles each time.
    mutating func pause() -> Int {
        defer { next = min(next * 2, lastMilliseconds) }
        return Int.random(in: next / 2...next)
    }

    mutating func reset() { next = firstMilliseconds }
}
