import Wire

/// Adds to a request what its server wants to see of the sender in each request anew.
protocol HTTPRequestSigner: Sendable {
    /// - Parameter unixSeconds: the time of the request.
    func sign(
        _ request: HTTPClientRequest, to endpoint: SinkEndpoint, unixSeconds: Int64
    ) throws(SinkError) -> HTTPClientRequest
}

/// AWS Signature Version 4 (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>)
/// for Amazon OpenSearch Service (`es`) and Serverless (`aoss`).
struct AWSSigner: HTTPRequestSigner {
    var accessKey: String
    var secretKey: Secret
    /// Of temporary credentials.
    var sessionToken: Secret?
    var region: String
    var service: String

    static let options = [
        SinkOption("aws_region", "sign requests for this region; default from AWS_REGION"),
        SinkOption("aws_service", "es (default) or aoss"),
        SinkOption("aws_access_key", "access key id; default from AWS_ACCESS_KEY_ID"),
        SinkOption(
            "aws_secret_key", "secret access key; default from AWS_SECRET_ACCESS_KEY", secret: true),
        SinkOption(
            "aws_session_token", "session token; default from AWS_SESSION_TOKEN", secret: true),
    ]

    /// `nil` where neither options nor environment have credentials. Names of variables as in Heapster.
    init?(
        _ options: SinkOptions, kind: String,
        environment: (String) -> String? = SinkURI.processEnvironment
    ) throws(SinkConfigurationError) {
        func variable(_ names: String...) -> String? {
            for name in names {
                if let value = environment(name), !value.isEmpty { return value }
            }
            return nil
        }
        let fromEnvironment = variable("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
        let access =
            options.string("aws_access_key") ?? variable("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY")
        let secret = options.secret("aws_secret_key") ?? fromEnvironment.map { .value($0) }
        let region = options.string("aws_region") ?? variable("AWS_REGION", "AWS_DEFAULT_REGION")
        service = try options.choice("aws_service", default: "es", of: ["es", "aoss"])
        // Only the region may be there for other reasons: pods on AWS have it.
        if access == nil, secret == nil, options.string("aws_region") == nil { return nil }
        guard let access else { throw .missingOption(sink: kind, option: "aws_access_key") }
        guard let secret else { throw .missingOption(sink: kind, option: "aws_secret_key") }
        guard let region else { throw .missingOption(sink: kind, option: "aws_region") }
        (accessKey, secretKey, self.region) = (access, secret, region)
        sessionToken =
            options.secret("aws_session_token")
            ?? variable("AWS_SESSION_TOKEN").map { .value($0) }
    }

    init(accessKey: String, secretKey: Secret, region: String, service: String) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.region = region
        self.service = service
    }

    func sign(
        _ request: HTTPClientRequest, to endpoint: SinkEndpoint, unixSeconds: Int64
    ) throws(SinkError) -> HTTPClientRequest {
        let time = Self.compactTime(unixSeconds)
        let bodyHash = Crypto.hexadecimal(Crypto.digest(request.body, .sha256))
        var signed = [
            ("host", endpoint.hostField), ("x-amz-content-sha256", bodyHash), ("x-amz-date", time),
        ]
        if let sessionToken { signed.append(("x-amz-security-token", try sessionToken.reveal())) }
        var request = request
        request.fields += signed.dropFirst().map { (name: $0.0, value: $0.1) }
        request.fields.append(
            (
                "Authorization",
                try authorization(
                    "\(request.method.name)", request.target, fields: signed, bodyHash: bodyHash,
                    time: time)
            ))
        return request
    }

    /// The value of the field `Authorization`. Pure.
    ///
    /// - Parameters:
    ///   - fields: those to sign, names in small letters and in their order.
    ///   - time: `20150830T123600Z`.
    func authorization(
        _ method: String, _ target: String, fields: [(String, String)], bodyHash: String,
        time: String
    ) throws(SinkError) -> String {
        let mark = target.firstIndex(of: "?") ?? target.endIndex
        let names = fields.map(\.0).joined(separator: ";")
        let canonical = [
            method, Self.canonicalPath(target[..<mark]), Self.canonicalQuery(target[mark...]),
            fields.map { "\($0.0):\($0.1)\n" }.joined(), names, bodyHash,
        ].joined(separator: "\n")
        let scope = "\(time.prefix(8))/\(region)/\(service)/aws4_request"
        let digest = Crypto.hexadecimal(Crypto.digest(Array(canonical.utf8), .sha256))
        let text = "AWS4-HMAC-SHA256\n\(time)\n\(scope)\n\(digest)"
        var key = Array("AWS4\(try secretKey.reveal())".utf8)
        for part in [String(time.prefix(8)), region, service, "aws4_request"] {
            key = Crypto.hmac(Array(part.utf8), key: key, .sha256)
        }
        let signature = Crypto.hexadecimal(Crypto.hmac(Array(text.utf8), key: key, .sha256))
        return "AWS4-HMAC-SHA256 Credential=\(accessKey)/\(scope), SignedHeaders=\(names), "
            + "Signature=\(signature)"
    }

    /// The path as it is sent, encoded once more, as all services but S3 want it.
    private static func canonicalPath(_ path: Substring) -> String {
        path.isEmpty
            ? "/"
            : path.split(separator: "/", omittingEmptySubsequences: false).map {
                URLText.encode(String($0))
            }.joined(separator: "/")
    }

    /// The query's parameters, which are encoded already, in the order of their bytes.
    private static func canonicalQuery(_ query: Substring) -> String {
        query.dropFirst().split(separator: "&").map { $0.contains("=") ? String($0) : "\($0)=" }
            .map { pair -> (name: String, value: String) in
                let equals = pair.firstIndex(of: "=") ?? pair.endIndex
                return (String(pair[..<equals]), String(pair[equals...]))
            }
            .sorted { ($0.name, $0.value) < ($1.name, $1.value) }
            .map { $0.name + $0.value }.joined(separator: "&")
    }

    /// `20150830T123600Z`.
    private static func compactTime(_ unixSeconds: Int64) -> String {
        RFC3339.string(milliseconds: unixSeconds * 1_000).filter { $0 != "-" && $0 != ":" }
    }
}
