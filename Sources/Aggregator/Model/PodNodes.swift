import Synchronization

/// On which nodes a pod is or was, by its UID: so that a question about a pod does not have to visit
/// every node.
final class PodNodes: Sendable {
    private let state = Mutex(State())

    private struct State {
        var first: [String: NodeModel] = [:]
        /// A UID on a second node is a fault of the cluster, but it must not hide a node.
        var others: [String: [NodeModel]] = [:]
    }

    func insert(_ uid: String, on node: NodeModel) {
        state.withLock { state in
            guard let first = state.first[uid] else {
                state.first[uid] = node
                return
            }
            guard first !== node, !(state.others[uid]?.contains { $0 === node } ?? false) else {
                return
            }
            // By name: who is met first is another one after a restart.
            var nodes = ([first] + (state.others[uid] ?? []) + [node]).sorted { $0.name < $1.name }
            state.first[uid] = nodes.removeFirst()
            state.others[uid] = nodes
        }
    }

    func remove(_ uids: [String], from node: NodeModel) {
        guard !uids.isEmpty else { return }
        state.withLock { state in
            for uid in uids {
                var nodes = (state.first[uid].map { [$0] } ?? []) + (state.others[uid] ?? [])
                nodes.removeAll { $0 === node }
                state.first[uid] = nodes.first
                state.others[uid] = nodes.count > 1 ? Array(nodes.dropFirst()) : nil
            }
        }
    }

    /// The nodes of these pods, each once.
    func nodes(of uids: some Sequence<String>) -> [NodeModel] {
        state.withLock { state in
            var found: [NodeModel] = []
            for uid in uids {
                for node in (state.first[uid].map { [$0] } ?? []) + (state.others[uid] ?? [])
                where !found.contains(where: { $0 === node }) {
                    found.append(node)
                }
            }
            return found
        }
    }
}
