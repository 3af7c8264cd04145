import Synchronization

/// How many of something each client has at once: a bound for one that takes more than its share.
final class ClientQuota: Sendable {
    let countMax: Int
    private let counts = Mutex<[ClientKey: Int]>([:])

    init(countMax: Int) { self.countMax = countMax }

    /// False, and nothing counted, when the client has as many as it may.
    func enter(_ client: ClientKey) -> Bool {
        counts.withLock { counts in
            let count = counts[client, default: 0]
            guard count < countMax else { return false }
            counts[client] = count + 1
            return true
        }
    }

    /// Follows each `enter` that was true.
    func leave(_ client: ClientKey) {
        counts.withLock { counts in
            let count = counts[client, default: 0]
            precondition(count > 0, "a client left that had not entered")
            counts[client] = count == 1 ? nil : count - 1
        }
    }
}
