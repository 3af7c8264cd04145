import Wire

/// A loop's connections that have something to say once the log has more. On the loop's thread.
final class CommitWaiters {
    private let loop: EventLoop
    private var waiting: [AgentConnection] = []

    /// Connections that are served before others have a turn: acknowledgements of thousands of nodes
    /// become due at once, and frames must not wait for all of them.
    private static let countPerTurn = 128

    init(loop: EventLoop) { self.loop = loop }

    func add(_ connection: AgentConnection) {
        guard !connection.isWaiter else { return }
        connection.isWaiter = true
        waiting.append(connection)
    }

    func serve() {
        let all = waiting
        waiting.removeAll()
        serve(all[...])
    }

    private func serve(_ rest: ArraySlice<AgentConnection>) {
        for connection in rest.prefix(Self.countPerTurn) {
            connection.isWaiter = false
            connection.committed()
        }
        let left = LoopConfined(rest.dropFirst(Self.countPerTurn), to: loop)
        guard rest.count > Self.countPerTurn else { return }
        let confined = LoopConfined(self, to: loop)
        loop.post { confined.value.serve(left.value) }
    }
}
