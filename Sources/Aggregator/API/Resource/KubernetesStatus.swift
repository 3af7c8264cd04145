/// The apiserver's `Status`: what its clients expect of an error.
struct KubernetesStatus {
    let status: HTTPStatus
    /// `NotFound`, `BadRequest`, …
    let reason: StaticString
    let message: String
    /// Name and resource, for `NotFound`.
    var name: String?
    var resource: String?
    var group = "metrics.k8s.io"

    /// `podmetrics.metrics.k8s.io "ns/p" not found`.
    static func notFound(_ resource: String, _ name: String) -> HTTPResponse {
        KubernetesStatus(
            status: .notFound, reason: "NotFound",
            message: "\(resource).metrics.k8s.io \"\(name)\" not found", name: name,
            resource: resource
        ).response
    }

    static func badRequest(_ message: String) -> HTTPResponse {
        KubernetesStatus(status: .badRequest, reason: "BadRequest", message: message).response
    }

    static let notAcceptable = KubernetesStatus(
        status: .notAcceptable, reason: "NotAcceptable",
        message:
            "only the following media types are accepted: application/json, application/vnd.kubernetes.protobuf"
    ).response

    static let watchNotAllowed = KubernetesStatus(
        status: .methodNotAllowed, reason: "MethodNotAllowed",
        message: "the server does not allow this method on the requested resource"
    ).response

    var response: HTTPResponse {
        var writer = JSONWriter()
        writer.beginObject()
        writer.key("kind")
        writer.string("Status")
        writer.key("apiVersion")
        writer.string("v1")
        writer.key("metadata")
        writer.beginObject()
        writer.endObject()
        writer.key("status")
        writer.string("Failure")
        writer.key("message")
        writer.string(message)
        writer.key("reason")
        writer.string(reason.description)
        if let name, let resource {
            writer.key("details")
            writer.beginObject()
            writer.key("name")
            writer.string(name)
            writer.key("group")
            writer.string(group)
            writer.key("kind")
            writer.string(resource)
            writer.endObject()
        }
        writer.key("code")
        writer.integer(Int64(status.code))
        writer.endObject()
        writer.bytes.append(UInt8(ascii: "\n"))
        return .json(writer.bytes, status: status)
    }
}
