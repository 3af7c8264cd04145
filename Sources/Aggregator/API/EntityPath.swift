/// A path below `/api/v1/model` or `/api/v1/historical` that stands for one entity.
struct EntityPath: Sendable {
    /// `/nodes/{node}`; empty for the cluster.
    let pattern: String
    let entity: @Sendable (HTTPRequest) -> Entity
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
            EntityPath(pattern: "/namespaces/{namespace}") { .namespace($0.parameter(0)) },
            EntityPath(pattern: "/namespaces/{namespace}/pods/{pod}") {
                .pod(namespace: $0.parameter(0), name: $0.parameter(1))
            },
            EntityPath(pattern: "/namespaces/{namespace}/pods/{pod}/containers/{container}") {
                .container(
                    namespace: $0.parameter(0), pod: $0.parameter(1), name: $0.parameter(2))
            },
        ]
    }
}
