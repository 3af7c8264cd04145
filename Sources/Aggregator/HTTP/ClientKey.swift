import Wire

/// Who a client is, for limits: a user where one was recognised, so that those who come through one
/// proxy are told apart; else an address.
enum ClientKey: Hashable, Sendable {
    case user(String)
    /// An IPv4 address; of IPv6, the network of 64 bits, whose addresses one client can choose.
    case address(UInt64)

    init(_ peer: SocketAddress) {
        switch peer {
        case .v4(let address, _): self = .address(UInt64(address))
        case .v6(let high, let low, _, _):
            // An IPv4 address in IPv6's clothes (RFC 4291, 2.5.5.2).
            self = .address(high == 0 ? low & 0xFFFF_FFFF : high)
        }
    }

    /// For messages: `address` or `user`.
    var word: StaticString {
        switch self {
        case .user: "user"
        case .address: "address"
        }
    }
}
