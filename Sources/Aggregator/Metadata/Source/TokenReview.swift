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

    /// - Parameter audience: `nil` for the apiserver's own.
    static func request(token: String, audience: String? = nil) -> HTTPClientRequest {
        .review(path, version: "authentication.k8s.io/v1", kind: "TokenReview") { json in
            json.key("token")
            json.string(token)
            guard let audience else { return }
            json.key("audiences")
            json.beginArray()
            json.string(audience)
            json.endArray()
        }
    }

    /// Reads the answer. Only what says everything that is needed is believed: that the token is
    /// good, that it is for this audience, a service account's, and a pod's.
    static func answer(
        parsing bytes: UnsafeRawBufferPointer, audience: String
    ) throws(JSONError) -> Answer {
        var json = JSONScanner(bytes)
        let status = try TokenReviewStatus(&json)
        try json.end()
        guard status.isAuthenticated else {
            return .refused(
                status.error.isEmpty ? "the apiserver does not know the token" : status.error)
        }
        guard status.audiences.contains(audience) else {
            return .refused("the token is not for the audience \(audience)")
        }
        let parts = status.user.name.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0] == "system", parts[1] == "serviceaccount" else {
            return .refused("the token is \(status.user.name)'s, not a service account's")
        }
        let podName = status.user.value(ofExtra: "authentication.kubernetes.io/pod-name")
        let podUID = status.user.value(ofExtra: "authentication.kubernetes.io/pod-uid")
        guard !podName.isEmpty, !podUID.isEmpty else {
            return .refused(
                "the token is bound to no pod; it must be a projected one (serviceAccountToken)")
        }
        return .authenticated(
            Identity(
                namespace: String(parts[2]), serviceAccount: String(parts[3]),
                podName: podName, podUID: ObjectUID(podUID)))
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
