import Synchronization

/// What ingest may still add while memory is short. Set by `MemoryKeeper`; the way of a frame asks it
/// with one atomic load.
final class MemoryGate: Sendable {
    enum Level: Int, Comparable, Sendable {
        case open = 0
        /// The node with the most subjects may have no more.
        case narrow = 1
        /// No node may have more, and no new node comes.
        case closed = 2

        static func < (a: Level, b: Level) -> Bool { a.rawValue < b.rawValue }
    }

    private let levelNumber = Atomic<Int>(0)
    /// Subjects that may be added until somebody looks again; thousands can come between two looks.
    private let subjectsLeft = Atomic<Int>(.max)
    private let admitted = Atomic<Int>(0)
    private let state = Mutex(State())

    private struct State {
        var largest: NodeModel?
        var words = ""
        var refusals = Refusals()
    }

    struct Refusals: Sendable, Equatable {
        /// Connections of nodes that sent more subjects than they had.
        var subjects: UInt64 = 0
        /// Connections of nodes that were not known.
        var nodes: UInt64 = 0
    }

    var level: Level { Level(rawValue: levelNumber.load(ordering: .relaxed)) ?? .open }

    /// Subjects that were ever admitted; most take their memory with the frames after that.
    var admittedCount: Int { admitted.load(ordering: .relaxed) }

    /// How short it is, for whoever is refused.
    var words: String { state.withLock { $0.words } }

    var refusals: Refusals { state.withLock { $0.refusals } }

    /// - Parameters:
    ///   - largest: the node that may have no more at `narrow`.
    ///   - subjects: how many may be added until the next call.
    func set(_ level: Level, largest: NodeModel?, subjects: Int, words: String) {
        subjectsLeft.store(subjects, ordering: .relaxed)
        state.withLock { state in
            state.largest = level == .open ? nil : largest
            state.words = words
        }
        levelNumber.store(level.rawValue, ordering: .releasing)
    }

    /// - Returns: whether a node may have so many subjects more.
    func admits(_ count: Int, of node: NodeModel) -> Bool {
        let isAllowed =
            switch level {
            case .open: true
            case .narrow: state.withLock { $0.largest !== node }
            case .closed: false
            }
        if isAllowed {
            let left = subjectsLeft.wrappingSubtract(count, ordering: .relaxed).newValue
            if left >= 0 {
                admitted.wrappingAdd(count, ordering: .relaxed)
                return true
            }
        }
        state.withLock { $0.refusals.subjects &+= 1 }
        return false
    }

    /// Why a node that nobody knows is not taken now; `nil` when it is.
    func refusalOfNode() -> String? {
        guard level == .closed else { return nil }
        return state.withLock { state in
            state.refusals.nodes &+= 1
            return "memory is short (\(state.words)): no new node is taken"
        }
    }
}
