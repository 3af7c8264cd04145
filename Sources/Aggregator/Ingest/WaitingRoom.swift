import Synchronization

/// The connections that have not been welcomed yet, in the order in which they came. When there are too
/// many, the one that has waited longest goes: an agent needs a moment to say who it is, and whoever holds
/// a connection without a word needs more. So strangers cannot keep agents out.
final class WaitingRoom: Sendable {
    private struct State {
        /// What sends a waiting connection away, by its number.
        var waiting: [UInt64: @Sendable () -> Void] = [:]
        /// Numbers below it do not wait any more.
        var oldest: UInt64 = 0
        var next: UInt64 = 0
    }

    private let countMax: Int
    private let state = Mutex(State())

    init(countMax: Int) {
        precondition(countMax > 0)
        self.countMax = countMax
    }

    var count: Int { state.withLock { $0.waiting.count } }

    /// Takes one in, and sends the longest waiting away if there are too many then.
    ///
    /// - Parameter sendAway: called at most once, from whatever thread takes another one in.
    /// - Returns: its number, for `leave`.
    func enter(_ sendAway: @escaping @Sendable () -> Void) -> UInt64 {
        let (number, victim) = state.withLock { state in
            let number = state.next
            state.next += 1
            state.waiting[number] = sendAway
            var victim: (@Sendable () -> Void)?
            if state.waiting.count > countMax {
                while victim == nil {
                    victim = state.waiting.removeValue(forKey: state.oldest)
                    state.oldest += 1
                }
            }
            return (number, victim)
        }
        victim?()
        return number
    }

    /// It was welcomed, or has gone. Once is enough.
    func leave(_ number: UInt64) {
        state.withLock { state in
            state.waiting[number] = nil
            while state.oldest < state.next, state.waiting[state.oldest] == nil {
                state.oldest += 1
            }
        }
    }
}
