import Glibc

/// What a user writes where an address is asked for: `HOST:PORT` or `[IPV6]:PORT`.
///
/// Kept as text until it is used: a name may resolve to something else at the next attempt.
public struct HostAndPort: Hashable, Sendable, CustomStringConvertible {
    public let host: String
    public let port: UInt16

    public init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// - Parameter defaultPort: taken when the text has no port; nil makes the port a must.
    /// - Throws: `TransportError.malformedAddress` for an empty host, a port that is no number of
    ///   1...65535, or an IPv6 address without brackets and with a port missing or ambiguous.
    public init(parsing text: String, defaultPort: UInt16? = nil) throws(TransportError) {
        let bytes = Array(text.utf8)
        let bracketed = bytes.first == UInt8(ascii: "[")
        let hostBytes: ArraySlice<UInt8>
        var rest: ArraySlice<UInt8>
        if bracketed {
            guard let close = bytes.firstIndex(of: UInt8(ascii: "]")) else {
                throw .malformedAddress(text: text)
            }
            hostBytes = bytes[1..<close]
            rest = bytes[(close + 1)...]
        } else {
            let end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
            hostBytes = bytes[..<end]
            rest = bytes[end...]
        }
        guard !hostBytes.isEmpty, hostBytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw .malformedAddress(text: text)
        }
        host = String(decoding: hostBytes, as: UTF8.self)
        if rest.isEmpty, let defaultPort {
            port = defaultPort
            return
        }
        guard rest.popFirst() == UInt8(ascii: ":"), let number = Self.port(rest) else {
            throw .malformedAddress(text: text)
        }
        port = number
    }

    /// Digits only: `UInt16("+1")` would be accepted by the standard library.
    private static func port(_ digits: ArraySlice<UInt8>) -> UInt16? {
        guard !digits.isEmpty, digits.count <= 5 else { return nil }
        var value = 0
        for digit in digits {
            guard digit >= 0x30, digit <= 0x39 else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return value >= 1 && value <= 65_535 ? UInt16(value) : nil
    }

    /// Asks the resolver; blocks as long as it takes (seconds when a name server is silent).
    ///
    /// - Returns: at least one address, in the order to try.
    public func resolve() throws(TransportError) -> [SocketAddress] {
        try Resolver.addresses(of: host, port: port, numericOnly: false)
    }

    public var description: String {
        host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// getaddrinfo(3).
enum Resolver {
    static func addresses(
        of host: String, port: UInt16, numericOnly: Bool
    ) throws(TransportError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_NUMERICSERV | (numericOnly ? AI_NUMERICHOST : 0)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, String(port), &hints, &list)
        guard code == 0 else {
            throw .cannotResolve(host: host, code: code, errno: errno)
        }
        defer { freeaddrinfo(list) }
        var found: [SocketAddress] = []
        var next = list
        while let entry = next?.pointee {
            if let address = entry.ai_addr,
                let parsed = SocketAddress(address, byteCount: Int(entry.ai_addrlen)),
                !found.contains(parsed)
            {
                found.append(parsed)
            }
            next = entry.ai_next
        }
        guard !found.isEmpty else {
            throw .cannotResolve(host: host, code: EAI_NONAME, errno: 0)
        }
        return found
    }
}
