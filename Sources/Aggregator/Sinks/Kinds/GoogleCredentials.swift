import Wire

/// Access tokens for Google's interfaces: from a service account's key file by a signed assertion
/// (<https://developers.google.com/identity/protocols/oauth2/service-account>), else from the metadata
/// server of the machine (<https://cloud.google.com/compute/docs/metadata/overview>).
struct GoogleCredentials: Sendable {
    /// `nil`: the metadata server.
    let keyFile: String?
    let scope: String
    /// Another address of the metadata server, for tests and emulators.
    let metadataHost: HostAndPort
    private var token = ""
    /// Monotonic nanoseconds.
    private var renewAt: UInt64 = 0
    private(set) var project: String?

    static let options = [
        SinkOption("project", "the project; default from the key file or the machine"),
        SinkOption(
            "credentials",
            "a service account's key file; default from GOOGLE_APPLICATION_CREDENTIALS"),
        SinkOption("api", "another server than Google's, for tests"),
        SinkOption("metadata", "HOST:PORT of the metadata server"),
    ]

    init(_ options: SinkOptions, kind: String, scope: String) throws(SinkConfigurationError) {
        let variable = SinkURI.processEnvironment("GOOGLE_APPLICATION_CREDENTIALS")
        keyFile = options.string("credentials") ?? variable
        self.scope = scope
        project = options.string("project")
        do throws(TransportError) {
            metadataHost = try HostAndPort(
                parsing: options.string("metadata", default: "metadata.google.internal"),
                defaultPort: 80)
        } catch {
            throw .badValue(sink: kind, option: "metadata", expected: "HOST:PORT")
        }
    }

    /// A token that is good for a while yet.
    mutating func fields(
        _ exchange: HTTPExchange
    ) throws(SinkError) -> [(name: String, value: String)] {
        let now = exchange.environment.clock.monotonicNanoseconds
        if now >= renewAt {
            let answer: [UInt8]
            if let keyFile {
                answer = try assertion(keyFile, exchange)
            } else {
                answer = try metadata("instance/service-accounts/default/token", exchange)
            }
            guard let fresh = FlatJSON.text("access_token", in: answer) else {
                throw .malformedAnswer("no access token")
            }
            let lifetime = FlatJSON.number("expires_in", in: answer) ?? 300
            token = fresh
            renewAt = now + UInt64(max(30, lifetime - 60)) * 1_000_000_000
        }
        return [("Authorization", "Bearer \(token)")]
    }

    /// Asks for the project where nobody has said it.
    mutating func findProject(_ exchange: HTTPExchange) throws(SinkError) -> String {
        if let project { return project }
        let found: String
        if let keyFile {
            let key = Array(try Secret.file(keyFile).reveal().utf8)
            guard let name = FlatJSON.text("project_id", in: key) else {
                throw .malformedAnswer("no project_id in \(keyFile)")
            }
            found = name
        } else {
            found = String(
                decoding: try metadata("project/project-id", exchange), as: UTF8.self)
        }
        project = found
        return found
    }

    private func metadata(_ path: String, _ exchange: HTTPExchange) throws(SinkError) -> [UInt8] {
        let response = try exchange.other(
            SinkEndpoint(address: metadataHost),
            HTTPClientRequest(
                .get, "/computeMetadata/v1/\(path)", fields: [("Metadata-Flavor", "Google")]))
        guard response.status == 200 else {
            throw .backend("metadata server: HTTP \(response.status)")
        }
        return response.body
    }

    private func assertion(
        _ path: String, _ exchange: HTTPExchange
    ) throws(SinkError) -> [UInt8] {
        let key = Array(try Secret.file(path).reveal().utf8)
        guard let account = FlatJSON.text("client_email", in: key),
            let pem = FlatJSON.text("private_key", in: key)
        else { throw .malformedAnswer("\(path) is not a service account's key") }
        let server = FlatJSON.text("token_uri", in: key) ?? "https://oauth2.googleapis.com/token"
        let now = exchange.environment.clock.realtimeNanoseconds / 1_000_000_000
        var claims = JSONWriter()
        claims.beginObject()
        for (name, value) in [("iss", account), ("scope", scope), ("aud", server)] {
            claims.key(name)
            claims.string(value)
        }
        claims.key("iat")
        claims.unsigned(now)
        claims.key("exp")
        claims.unsigned(now + 3_600)
        claims.endObject()
        let header = Array("{\"alg\":\"RS256\",\"typ\":\"JWT\"}".utf8)
        let signed =
            "\(Base64.encode(header, isForURLs: true)).\(Base64.encode(claims.bytes, isForURLs: true))"
        guard let signature = Crypto.signRS256(Array(signed.utf8), keyPEM: pem) else {
            throw .backend("the private key in \(path) cannot sign")
        }
        let token = "\(signed).\(Base64.encode(signature, isForURLs: true))"
        let (endpoint, target) = try Self.server(server)
        let response = try exchange.other(
            endpoint,
            HTTPClientRequest(
                .post, target, fields: [("Content-Type", "application/x-www-form-urlencoded")],
                body: Array(
                    ("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
                        + "&assertion=\(token)").utf8)))
        guard response.status == 200 else {
            throw .backend("token server: HTTP \(response.status) \(response.excerpt)")
        }
        return response.body
    }

    private static func server(
        _ url: String
    ) throws(SinkError) -> (SinkEndpoint, target: String) {
        do throws(SinkConfigurationError) {
            let uri = try SinkURI(parsing: "token:\(url)")
            let isSecure = uri.scheme == "https"
            let address = HostAndPort(host: uri.host, port: uri.port ?? (isSecure ? 443 : 80))
            return (SinkEndpoint(address: address, tls: isSecure ? SinkTLS() : nil), uri.path)
        } catch {
            throw .malformedAnswer("token server: \(error)")
        }
    }
}

/// Members of a JSON object, without the rest.
enum FlatJSON {
    static func text(_ name: String, in document: [UInt8]) -> String? {
        member(name, in: document) { (json) throws(JSONError) in
            try json.peek() == UInt8(ascii: "\"") ? try json.string().string : nil
        }
    }

    static func number(_ name: String, in document: [UInt8]) -> Int64? {
        member(name, in: document) { (json) throws(JSONError) in try json.number().int64 }
    }

    private static func member<Value>(
        _ name: String, in document: [UInt8],
        _ read: (inout JSONScanner) throws(JSONError) -> Value?
    ) -> Value? {
        document.withUnsafeBytes { raw -> Value? in
            var json = JSONScanner(raw)
            do throws(JSONError) {
                try json.beginObject()
                while let key = try json.nextKey() {
                    if key.string == name { return try read(&json) }
                    try json.skip()
                }
                return nil
            } catch {
                return nil
            }
        }
    }
}
