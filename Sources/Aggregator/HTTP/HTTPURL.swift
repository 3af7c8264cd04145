import Wire

/// `http[s]://[user[:password]@]host[:port][/path][?query]` (RFC 3986), as a client needs it.
struct HTTPURL: Hashable, Sendable {
    enum Scheme: String, Sendable { case http, https }

    var scheme: Scheme
    /// Without the brackets of an IPv6 address.
    var host: String
    var port: UInt16
    /// As written, without a slash at its end; empty for none.
    var path: String
    /// Without the question mark.
    var query: String
    /// `user:password`, percent-decoded.
    var userInfo: String?

    init(_ scheme: Scheme, host: String, port: UInt16) {
        self.scheme = scheme
        self.host = host
        self.port = port
        (path, query, userInfo) = ("", "", nil)
    }

    /// - Throws: `malformedURL`. A fragment is an error: it would silently not be sent.
    init(parsing text: String) throws(HTTPClientError) {
        func fault(_ reason: String) -> HTTPClientError {
            .malformedURL(text: Self.withoutPassword(text), reason: reason)
        }
        var rest = text[...]
        if rest.hasPrefix("https://") {
            (scheme, rest) = (.https, rest.dropFirst(8))
        } else if rest.hasPrefix("http://") {
            (scheme, rest) = (.http, rest.dropFirst(7))
        } else {
            throw fault("it must begin with http:// or https://")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), !text.contains("#") else {
            throw fault("it has a character that must be percent-encoded")
        }
        let authority = rest.prefix { $0 != "/" && $0 != "?" }
        rest = rest.dropFirst(authority.count)
        var hostAndPort = authority
        userInfo = nil
        if let at = authority.lastIndex(of: "@") {
            userInfo = PercentEncoding.decoded(String(authority[..<at]))
            hostAndPort = authority[authority.index(after: at)...]
        }
        do {
            let parsed = try HostAndPort(
                parsing: String(hostAndPort), defaultPort: scheme == .https ? 443 : 80)
            (host, port) = (parsed.host, parsed.port)
        } catch {
            throw fault("host and port are not HOST or HOST:PORT")
        }
        let written = rest.prefix { $0 != "?" }
        query = String(rest.dropFirst(written.count).dropFirst())
        path = String(written)
        while path.hasSuffix("/") { path.removeLast() }
    }

    /// For messages: credentials are never shown.
    private static func withoutPassword(_ text: String) -> String {
        guard let at = text.lastIndex(of: "@") else { return text }
        let start = text.range(of: "://")?.upperBound ?? text.startIndex
        return start < at ? text[..<start] + "…" + text[at...] : text
    }

    /// `host:port`, with brackets where the host has colons.
    var hostAndPort: HostAndPort { HostAndPort(host: host, port: port) }

    /// The value of the field `Host`: the port only where it is not the scheme's own.
    var hostField: String {
        let isDefault = port == (scheme == .https ? 443 : 80)
        return isDefault
            ? (host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]" : host)
            : hostAndPort.description
    }
}

extension HTTPURL: CustomStringConvertible {
    /// Without user, password and query.
    var description: String { "\(scheme.rawValue)://\(hostField)\(path)" }
}

extension StringProtocol {
    /// The first place of a text.
    fileprivate func range(of wanted: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(wanted) {
                return start..<index(start, offsetBy: wanted.count)
            }
            start = index(after: start)
        }
        return nil
    }
}

extension PercentEncoding {
    /// Decodes `%41`; not `+`.
    static func decoded(_ text: String) -> String {
        var text = text
        return text.withUTF8 { string(UnsafeRawBufferPointer($0), plusIsSpace: false) }
    }

    /// Encodes all but letters, digits and `-._~`: for one segment of a path, a key or a value.
    static func encoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: bytes.append(byte)
            default:
                let digits = Array("0123456789ABCDEF".utf8)
                bytes += [0x25, digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
