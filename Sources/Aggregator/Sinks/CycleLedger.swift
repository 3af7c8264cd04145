import Synchronization

/// What was taken in hand for the sinks and is not in all their queues yet. Kept on disk, so that
/// another process goes on where this one was killed.
final class CycleLedger: Sendable {
    /// One thing to be done.
    enum Entry: Sendable, Hashable {
        /// A cycle in its turn.
        case whole(Int64)
        /// A node's cycle that was not in its batch.
        case part(node: String, cycle: Int64)
        /// Sums of a cycle that late data have changed.
        case sums(Int64)
    }

    private let state = Mutex(State())

    private struct State {
        var nextNumber = 0
        var open: [Int: Entry] = [:]
        var version = 0
    }

    /// Notes an entry; done when its receipt is let go of.
    ///
    /// - Parameter then: called when it is done.
    func open(_ entry: Entry, then: @escaping @Sendable () -> Void = {}) -> BatchReceipt {
        let number = state.withLock { state in
            state.nextNumber += 1
            state.version += 1
            state.open[state.nextNumber] = entry
            return state.nextNumber
        }
        return BatchReceipt { [self] in
            state.withLock { state in
                state.open[number] = nil
                state.version += 1
            }
            then()
        }
    }

    /// Another number after every change.
    var version: Int { state.withLock { $0.version } }

    private var entries: Set<Entry> { state.withLock { Set($0.open.values) } }

    /// A cursor without what is in hand.
    func cursor(from start: CycleCursor, resolution: Int64) -> CycleCursor {
        var cursor = start
        for entry in entries {
            switch entry {
            case .whole(let cycle): cursor.through = min(cursor.through, cycle &- resolution)
            case .part(let node, let cycle): cursor.late[node, default: []].insert(cycle)
            case .sums(let cycle): cursor.sums.insert(cycle)
            }
        }
        return cursor
    }
}
