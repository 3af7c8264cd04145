import Wire

/// The server and path that a sink's URI and options name, for backends over HTTP.
struct HTTPTarget: Sendable {
    var endpoints: [SinkEndpoint]
    /// Before every path; no slash at its end.
    var basePath: String

    init(
        _ uri: SinkURI, _ options: SinkOptions, defaultHost: String?, defaultPort: UInt16,
        isSecure: Bool = false
    ) throws(SinkConfigurationError) {
        guard ["", "http", "https"].contains(uri.scheme) else {
            throw .malformedURI(sink: uri.kind, reason: "\(uri.scheme) is not http or https")
        }
        guard let host = uri.host.isEmpty ? defaultHost : uri.host else {
            throw .malformedURI(sink: uri.kind, reason: "write the server's address")
        }
        let usesTLS = uri.scheme == "https" || uri.scheme.isEmpty && isSecure
        let tls = try usesTLS ? SinkTLS(options) : nil
        // A host without a port has the scheme's, one without a scheme the backend's own.
        let fallback = uri.scheme.isEmpty ? defaultPort : usesTLS ? 443 : 80
        let port = uri.port ?? (uri.host.isEmpty || uri.scheme.isEmpty ? defaultPort : fallback)
        endpoints = [SinkEndpoint(address: HostAndPort(host: host, port: port), tls: tls)]
        var path = uri.path[...]
        while path.last == "/" { path.removeLast() }
        basePath = String(path)
    }
}

extension SinkTLS {
    init(_ options: SinkOptions) throws(SinkConfigurationError) {
        self.init(
            authorityFile: options.string("cacert"), certificateFile: options.string("cert"),
            keyFile: options.string("key"),
            skipsVerification: try options.boolean("insecuressl", default: false))
    }
}

/// Who asks, for backends over HTTP. Secrets are read at each request.
enum HTTPCredentials: Sendable {
    case none
    case basic(user: String, password: Secret)
    /// `Authorization: SCHEME SECRET`, as `Bearer`, `Token`, `ApiKey`.
    case token(scheme: String, Secret)
    /// A field of its own.
    case field(String, Secret)

    func fields() throws(SinkError) -> [(name: String, value: String)] {
        switch self {
        case .none: return []
        case .basic(let user, let password):
            let pair = Array("\(user):\(try password.reveal())".utf8)
            return [("Authorization", "Basic \(Base64.encode(pair))")]
        case .token(let scheme, let secret):
            return [("Authorization", "\(scheme) \(try secret.reveal())")]
        case .field(let name, let secret):
            return [(name, try secret.reveal())]
        }
    }
}

/// RFC 4648.
enum Base64 {
    static func encode(_ bytes: [UInt8], isForURLs: Bool = false) -> String {
        let alphabet = Array(
            ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                + (isForURLs ? "-_" : "+/")).utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let piece = bytes[start..<min(start + 3, bytes.count)]
            let group = piece.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - piece.count))
            for index in 0..<4 {
                if index <= piece.count {
                    text.append(alphabet[group >> (18 - 6 * index) & 63])
                } else if !isForURLs {
                    text.append(UInt8(ascii: "="))
                }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// `nil` for text that is not base64 with padding.
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var group = 0
        var count = 0
        for byte in text.utf8 where byte != UInt8(ascii: "=") {
            let value: Int
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = Int(byte) - 65
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = Int(byte) - 97 + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = Int(byte) - 48 + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            default: return nil
            }
            group = (group << 6 | value) & 0xFFFFFF
            count += 1
            if count % 4 == 2 { bytes.append(UInt8(truncatingIfNeeded: group >> 4)) }
            if count % 4 == 3 { bytes.append(UInt8(truncatingIfNeeded: group >> 2)) }
            if count % 4 == 0 { bytes.append(UInt8(truncatingIfNeeded: group)) }
        }
        return count % 4 == 1 ? nil : bytes
    }
}

/// Text in a query or path, percent-encoded (RFC 3986): letters, digits and `-._~` stand.
enum URLText {
    static func encode(_ text: String) -> String {
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                UInt8(ascii: "_"), UInt8(ascii: "~"):
                bytes.append(byte)
            default:
                bytes += [UInt8(ascii: "%")]
                for digit in [byte >> 4, byte & 15] {
                    bytes.append(digit < 10 ? 48 + digit : 55 + digit)
                }
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
