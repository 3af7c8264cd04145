import Wire

/// A question to the apiserver whether this account may do something
/// (`authorization.k8s.io/v1`, SelfSubjectAccessReview). Any account may ask it.
enum AccessReview {
    static let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    static let purpose = APIServerClient.Purpose(
        verb: "create", group: "authorization.k8s.io", resource: "selfsubjectaccessreviews")

    static func request(_ wanted: APIServerClient.Purpose) -> HTTPClientRequest {
        .review(path, version: "authorization.k8s.io/v1", kind: "SelfSubjectAccessReview") { json in
            json.key("resourceAttributes")
            json.beginObject()
            json.key("verb")
            json.string(wanted.verb)
            json.key("group")
            json.string(wanted.group)
            json.key("resource")
            json.string(wanted.resource)
            if !wanted.namespace.isEmpty {
                json.key("namespace")
                json.string(wanted.namespace)
            }
            json.endObject()
        }
    }

    /// `status.allowed`; false where it is not said.
    static func isAllowed(parsing bytes: UnsafeRawBufferPointer) throws(JSONError) -> Bool {
        var json = JSONScanner(bytes)
        let status = try AccessReviewStatus(&json)
        try json.end()
        return status.isAllowed
    }

    /// Asks.
    static func isAllowed(
        _ wanted: APIServerClient.Purpose, _ client: APIServerClient
    ) throws(SourceError) -> Bool {
        let body = try client.send(request(wanted), purpose)
        do throws(JSONError) {
            return try body.span.bytes.withUnsafeBytes { bytes throws(JSONError) in
                try isAllowed(parsing: bytes)
            }
        } catch {
            throw .list(url: "\(client.access.server)\(path)", .json(error))
        }
    }
}
