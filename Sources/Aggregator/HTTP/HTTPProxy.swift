import Glibc
import Wire

/// A proxy that requests go through: CONNECT for https, the whole URL in the request for http.
struct HTTPProxy: Hashable, Sendable {
    let url: HTTPURL

    /// - Throws: `malformedURL`, also for the kinds of proxies that are not supported (SOCKS, TLS).
    init(parsing text: String) throws(HTTPClientError) {
        for kind in ["https://", "socks4://", "socks5://", "socks5h://"] where text.hasPrefix(kind)
        {
            throw .malformedURL(text: kind + "…", reason: "proxies must be http://HOST:PORT")
        }
        // The environment may have it without a scheme.
        let whole = text.hasPrefix("http://") ? text : "http://\(text)"
        url = try HTTPURL(parsing: whole)
    }

    /// The value of `Proxy-Authorization`; `nil` without user.
    var authorization: String? {
        url.userInfo.map { "Basic " + Base64.encode(Array($0.utf8)) }
    }

    /// What `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` (or in small letters) say about a destination.
    ///
    /// As Go's `net/http`, and so kubectl, reads them: loopback never goes through a proxy; entries
    /// of NO_PROXY are a host with its subdomains, `.domain` for subdomains only, an address, a range
    /// in CIDR, each with an optional port, or `*`.
    static func fromEnvironment(
        for url: HTTPURL, _ environment: [String: String]
    ) throws(HTTPClientError) -> HTTPProxy? {
        func value(_ name: String) -> String? {
            let found = environment[name] ?? environment[name.lowercased()]
            return found.flatMap { $0.isEmpty ? nil : $0 }
        }
        guard let text = value(url.scheme == .https ? "HTTPS_PROXY" : "HTTP_PROXY") else {
            return nil
        }
        let address = SocketAddress(numericHost: url.host, port: url.port)
        if url.host == "localhost" || address?.isLoopback == true { return nil }
        for entry in (value("NO_PROXY") ?? "").split(separator: ",") {
            let rule = entry.filter { $0 != " " }.lowercased()
            if excludes(rule, url.host.lowercased(), url.port, address) { return nil }
        }
        return try HTTPProxy(parsing: text)
    }

    private static func excludes(
        _ rule: String, _ host: String, _ port: UInt16, _ address: SocketAddress?
    ) -> Bool {
        if rule == "*" { return true }
        if rule.isEmpty { return false }
        if rule.contains("/") {
            guard let address, let range = AddressRange(rule) else { return false }
            return range.contains(address)
        }
        var name = rule
        // `host:port`, but not the colons of an IPv6 address.
        if rule.utf8.count(where: { $0 == UInt8(ascii: ":") }) == 1,
            let colon = rule.firstIndex(of: ":")
        {
            guard rule[rule.index(after: colon)...] == String(port) else { return false }
            name = String(rule[..<colon])
        }
        if let address, let other = SocketAddress(numericHost: name, port: port) {
            return address == other
        }
        if name.hasPrefix(".") { return host.hasSuffix(name) }
        return host == name || host.hasSuffix(".\(name)")
    }
}

/// `10.0.0.0/8`, `fd00::/8`.
private struct AddressRange {
    private let address: SocketAddress
    private let bits: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let bits = Int(parts[1]), bits >= 0,
            let address = SocketAddress(numericHost: String(parts[0]), port: 1)
        else { return nil }
        if case .v4 = address, bits > 32 { return nil }
        if bits > 128 { return nil }
        (self.address, self.bits) = (address, bits)
    }

    func contains(_ other: SocketAddress) -> Bool {
        switch (address, other) {
        case (.v4(let a, _), .v4(let b, _)): bits == 0 || (a ^ b) >> UInt32(32 - bits) == 0
        case (.v6(let a, let c, _, _), .v6(let b, let d, _, _)):
            bits == 0
                || (bits <= 64
                    ? (a ^ b) >> UInt64(64 - bits) == 0
                    : a == b && (c ^ d) >> UInt64(128 - bits) == 0)
        default: false
        }
    }
}
