import Wire

/// A question to the apiserver whose token this is (`authentication.k8s.io/v1`, TokenReview).
///
/// Source: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>
/// and, for a pod's tokens, `k8s.io/apiserver/pkg/authentication/serviceaccount` (the extra keys).
enum TokenReview {
    static let path = "/apis/authentication.k8s.io/v1/tokenreviews"
    static let purpose = APIServerClient.Purpose(
        verb: "create", group: "authentication.k8s.io", resource: "tokenreviews")

    /// Whose token it is.
    struct Identity: Equatable, Sendable {
        var namespace: String
        var serviceAccount: String
        /// The pod that the token was made for.
        var podName: String
        var podUID: ObjectUID
    }

    /// What the apiserver says of a token.
    enum Answer: Equatable, Sendable {
        case authenticated(Identity)
        /// With the apiserver's words, or ours.
        case refused(String)
    }

    static func request(token: String, audience: String) -> HTTPClientRequest {
        .review(path, version: "authentication.k8s.io/v1", kind: "TokenReview") { json in
            json.key("token")
            json.string(token)
            json.key("audiences")
            json.beginArray()
            json.string(audience)
            json.endArray()
        }
    }

    private struct Status {
        var isAuthenticated = false
        var userName = ""
        var audiences: [String] = []
        var error = ""
        var podName = ""
        var podUID = ""
    }

    /// Reads the answer. Only what says everything that is needed is believed: that the token is
    /// good, that it is for this audience, a service account's, and a pod's.
    static func answer(
        parsing bytes: UnsafeRawBufferPointer, audience: String
    ) throws(JSONError) -> Answer {
        var status = Status()
        var json = JSONScanner(bytes)
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "status": try read(&json, into: &status)
            default: try json.skip()
            }
        }
        try json.end()
        guard status.isAuthenticated else {
            return .refused(
                status.error.isEmpty ? "the apiserver does not know the token" : status.error)
        }
        guard status.audiences.contains(audience) else {
            return .refused("the token is not for the audience \(audience)")
        }
        let parts = status.userName.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "system", parts[1] == "serviceaccount" else {
            return .refused("the token is \(status.userName)'s, not a service account's")
        }
        guard !status.podName.isEmpty, !status.podUID.isEmpty else {
            return .refused(
                "the token is bound to no pod; it must be a projected one (serviceAccountToken)")
        }
        return .authenticated(
            Identity(
                namespace: String(parts[2]), serviceAccount: String(parts[3]),
                podName: status.podName, podUID: ObjectUID(status.podUID)))
    }

    private static func read(
        _ json: inout JSONScanner, into status: inout Status
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "authenticated": status.isAuthenticated = try json.boolean()
            case "error": status.error = String(try json.string().string.prefix(512))
            case "audiences": status.audiences = try texts(&json)
            case "user": try readUser(&json, into: &status)
            default: try json.skip()
            }
        }
    }

    private static func readUser(
        _ json: inout JSONScanner, into status: inout Status
    ) throws(JSONError) {
        if try json.takeNull() { return }
        try json.beginObject()
        while let key = try json.nextKey() {
            switch key {
            case "username": status.userName = try json.string().string
            case "extra":
                if try json.takeNull() { continue }
                try json.beginObject()
                while let key = try json.nextKey() {
                    switch key {
                    case "authentication.kubernetes.io/pod-name":
                        status.podName = try texts(&json).first ?? ""
                    case "authentication.kubernetes.io/pod-uid":
                        status.podUID = try texts(&json).first ?? ""
                    default: try json.skip()
                    }
                }
            default: try json.skip()
            }
        }
    }

    private static func texts(_ json: inout JSONScanner) throws(JSONError) -> [String] {
        if try json.takeNull() { return [] }
        var found: [String] = []
        try json.beginArray()
        while try json.nextElement() { found.append(try json.string().string) }
        return found
    }

    /// When a token ends, milliseconds since the epoch: the claim `exp` of a JSON web token
    /// (RFC 7519). `nil` where the token has none; nothing is verified here.
    static func expiry(of token: String) -> Int64? {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        var text = parts[1].map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        while text.count % 4 != 0 { text.append("=") }
        guard let claims = Base64.decode(String(text).utf8) else { return nil }
        return claims.withUnsafeBytes { bytes in
            do throws(JSONError) {
                var json = JSONScanner(bytes)
                try json.beginObject()
                while let key = try json.nextKey() {
                    switch key {
                    case "exp":
                        let seconds = try json.integer()
                        return seconds.multipliedReportingOverflow(by: 1_000).overflow
                            ? nil : seconds * 1_000
                    default: try json.skip()
                    }
                }
                return nil
            } catch {
                return nil
            }
        }
    }
}
