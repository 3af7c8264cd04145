import Glibc

/// An IPv4 or IPv6 address with a port: what a socket is bound or connected to.
public enum SocketAddress: Hashable, Sendable {
    /// Address and port as numbers (192.0.2.1 is 0xC0000201), not in network order.
    case v4(address: UInt32, port: UInt16)
    /// The upper and lower half of the address as numbers; `scope` is the interface index of a
    /// link-local address, else 0.
    case v6(high: UInt64, low: UInt64, port: UInt16, scope: UInt32)

    public static func loopback(port: UInt16) -> SocketAddress {
        .v4(address: 0x7F00_0001, port: port)
    }

    public var port: UInt16 {
        switch self {
        case .v4(_, let port): port
        case .v6(_, _, let port, _): port
        }
    }

    /// The same address with another port.
    public func withPort(_ port: UInt16) -> SocketAddress {
        switch self {
        case .v4(let address, _): .v4(address: address, port: port)
        case .v6(let high, let low, _, let scope):
            .v6(high: high, low: low, port: port, scope: scope)
        }
    }

    /// True for 127.0.0.0/8, ::1 and ::ffff:127.0.0.0/104.
    public var isLoopback: Bool {
        switch self {
        case .v4(let address, _):
            return address >> 24 == 127
        case .v6(let high, let low, _, _):
            if high != 0 { return false }
            return low == 1 || (low >> 32 == 0xFFFF && low >> 24 & 0xFF == 127)
        }
    }

    /// AF_INET or AF_INET6.
    var family: Int32 {
        switch self {
        case .v4: AF_INET
        case .v6: AF_INET6
        }
    }

    /// An address without a name, as getaddrinfo's AI_NUMERICHOST reads it; nil when it is a name
    /// or nonsense. Never asks the network.
    public init?(numericHost host: String, port: UInt16) {
        do throws(TransportError) {
            let found = try Resolver.addresses(of: host, port: port, numericOnly: true)
            self = found[0]
        } catch {
            return nil
        }
    }

    /// Reads what the kernel wrote; nil for a family other than AF_INET and AF_INET6.
    init?(_ storage: UnsafeRawPointer, byteCount: Int) {
        guard byteCount >= MemoryLayout<sa_family_t>.size else { return nil }
        switch Int32(storage.loadUnaligned(as: sa_family_t.self)) {
        case AF_INET where byteCount >= MemoryLayout<sockaddr_in>.size:
            let value = storage.loadUnaligned(as: sockaddr_in.self)
            self = .v4(
                address: UInt32(bigEndian: value.sin_addr.s_addr),
                port: UInt16(bigEndian: value.sin_port))
        case AF_INET6 where byteCount >= MemoryLayout<sockaddr_in6>.size:
            let value = storage.loadUnaligned(as: sockaddr_in6.self)
            let halves = withUnsafeBytes(of: value.sin6_addr) {
                (
                    $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                    $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                )
            }
            self = .v6(
                high: UInt64(bigEndian: halves.0), low: UInt64(bigEndian: halves.1),
                port: UInt16(bigEndian: value.sin6_port), scope: value.sin6_scope_id)
        default:
            return nil
        }
    }

    /// Calls `body` with the address in the kernel's form.
    func withSocketAddress<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
        switch self {
        case .v4(let address, let port):
            var value = sockaddr_in()
            value.sin_family = sa_family_t(AF_INET)
            value.sin_port = port.bigEndian
            value.sin_addr.s_addr = address.bigEndian
            return Self.lend(&value, body)
        case .v6(let high, let low, let port, let scope):
            var value = sockaddr_in6()
            value.sin6_family = sa_family_t(AF_INET6)
            value.sin6_port = port.bigEndian
            value.sin6_scope_id = scope
            withUnsafeMutableBytes(of: &value.sin6_addr) {
                $0.storeBytes(of: high.bigEndian, toByteOffset: 0, as: UInt64.self)
                $0.storeBytes(of: low.bigEndian, toByteOffset: 8, as: UInt64.self)
            }
            return Self.lend(&value, body)
        }
    }

    private static func lend<T, R>(
        _ value: inout T, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
    ) -> R {
        withUnsafePointer(to: &value) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<T>.size))
            }
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `192.0.2.1:8082` or `[2001:db8::1]:8082`.
    public var description: String {
        switch self {
        case .v4: "\(host):\(port)"
        case .v6: "[\(host)]:\(port)"
        }
    }

    /// The address alone, without brackets; a scope as `%INDEX`.
    public var host: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        switch self {
        case .v4(let address, _):
            var value = in_addr(s_addr: address.bigEndian)
            inet_ntop(AF_INET, &value, &text, socklen_t(text.count))
        case .v6(let high, let low, _, _):
            var value = (high.bigEndian, low.bigEndian)
            inet_ntop(AF_INET6, &value, &text, socklen_t(text.count))
        }
        let end = text.firstIndex(of: 0) ?? text.count
        let printed = String(decoding: text[..<end].map(UInt8.init(bitPattern:)), as: UTF8.self)
        if case .v6(_, _, _, let scope) = self, scope != 0 { return "\(printed)%\(scope)" }
        return printed
    }
}
