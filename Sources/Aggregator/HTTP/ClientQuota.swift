import Synchronization
import Wire

/// How many of something each client has at once: a bound for one that takes more than its share.
/// Clients are told apart by their address, IPv6 ones by their network.
final class ClientQuota: Sendable {
    let countMax: Int
    private let counts = Mutex<[UInt64: Int]>([:])

    init(countMax: Int) { self.countMax = countMax }

    /// False, and nothing counted, when the client has as many as it may.
    func enter(_ peer: SocketAddress) -> Bool {
        counts.withLock { counts in
            let count = counts[Self.key(peer), default: 0]
            guard count < countMax else { return false }
            counts[Self.key(peer)] = count + 1
            return true
        }
    }

    /// Follows each `enter` that was true.
    func leave(_ peer: SocketAddress) {
        counts.withLock { counts in
            let count = counts[Self.key(peer), default: 0]
            precondition(count > 0, "a client left that had not entered")
            counts[Self.key(peer)] = count == 1 ? nil : count - 1
        }
    }

    /// An IPv4 address; of IPv6, the network of 64 bits, whose addresses one client can choose.
    private static func key(_ peer: SocketAddress) -> UInt64 {
        switch peer {
        case .v4(let address, _): return UInt64(address)
        case .v6(let high, let low, _, _):
            // An IPv4 address in IPv6's clothes (RFC 4291, 2.5.5.2).
            return high == 0 ? low & 0xFFFF_FFFF : high
        }
    }
}
