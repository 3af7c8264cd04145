/// A path below `/api/v1/model` or `/api/v1/historical` that stands for one entity.
struct EntityPath: Sendable {
    /// `/nodes/{node}`; empty for the cluster.
    let pattern: String
    let entity: @Sendable (HTTPRequest) -> Entity
    /// Whether it is summed when it is asked for, which takes too long for an event loop.
    let isSummed: Bool
    init(
        pattern: String, isSummed: Bool = false, entity: @escaping @Sendable (HTTPRequest) -> Entity
    ) {
        self.pattern = pattern
        self.isSummed = isSummed
        self.entity = entity
    }

    /// Parameters in the pattern.
    var parameterCount: Int { pattern.count { $0 == "{" } }

    /// Every kind of entity.
    ///
    /// - Parameter node: the name of a node that is asked for by name or hostname.
    static func all(node: @escaping @Sendable (String) -> String) -> [EntityPath] {
        [
            EntityPath(pattern: "") { _ in .cluster },
            EntityPath(pattern: "/nodes/{node}") { .node(node($0.parameter(0))) },
            EntityPath(pattern: "/nodes/{node}/freecontainers/{container}") {
                .systemContainer(node: node($0.parameter(0)), name: $0.parameter(1))
            },
            EntityPath(pattern: "/namespaces/{namespace}", isSummed: true) {
                .namespace($0.parameter(0))
            },
            EntityPath(pattern: "/namespaces/{namespace}/workloads/{kind}/{name}", isSummed: true) {
                .workload(
                    Workload(
                        kind: workloadKind($0.parameter(1)), namespace: $0.parameter(0),
                        name: $0.parameter(2)))
            },
            EntityPath(pattern: "/namespaces/{namespace}/pods/{pod}") {
                .pod(namespace: $0.parameter(0), name: $0.parameter(1))
            },
            EntityPath(pattern: "/namespaces/{namespace}/pods/{pod}/containers/{container}") {
                .container(
                    namespace: $0.parameter(0), pod: $0.parameter(1), name: $0.parameter(2))
            },
        ]
    }

    /// The kind as Kubernetes spells it, of `deployment` or `Deployment`.
    static func workloadKind(_ text: String) -> String {
        let known = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob"]
        return known.first { $0.lowercased() == text.lowercased() } ?? text
    }
}
