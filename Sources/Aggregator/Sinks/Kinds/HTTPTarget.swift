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

extension HTTPCredentials {
    /// The options that sinks with the usual credentials have.
    static let options = [
        SinkOption("user", "user name"),
        SinkOption("pw", "password", secret: true),
        SinkOption("token", "bearer token", secret: true),
    ]

    init(_ options: SinkOptions) throws(SinkConfigurationError) {
        if let token = options.secret("token") {
            self = .token(scheme: "Bearer", token)
        } else if let user = options.string("user") {
            self = .basic(user: user, password: try options.requiredSecret("pw"))
        } else {
            self = .none
        }
    }
}

extension SinkOptions {
    /// The option `header`, which may be repeated: further fields of each request.
    func headerFields(kind: String) throws(SinkConfigurationError) -> [(
        name: String, value: String
    )] {
        var fields: [(name: String, value: String)] = []
        for header in strings("header") {
            guard let colon = header.firstIndex(of: ":") else {
                throw .badValue(sink: kind, option: "header", expected: "NAME:VALUE")
            }
            fields.append(
                (String(header[..<colon]), String(header[header.index(after: colon)...])))
        }
        return fields
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
