/// Why somebody may not ask.
enum AccessRefusal: Sendable, Equatable {
    /// Nobody knows who it is.
    case unauthenticated
    /// A certificate that --allowed-users does not name.
    case notAllowed
    /// The apiserver says no.
    case forbidden(user: String, String)
    /// The apiserver cannot be asked.
    case unavailable
    /// The client has too many questions before the apiserver already.
    case tooMany

    var counter: AccessCounters.Event {
        switch self {
        case .unauthenticated: .unauthenticated
        case .notAllowed, .forbidden: .forbidden
        case .unavailable: .unavailable
        case .tooMany: .tooManyReviews
        }
    }

    /// In Heapster's words; below `/apis` as the apiserver's `Status`, which its clients print.
    func response(to request: HTTPRequest) -> HTTPResponse {
        let status: HTTPStatus
        let reason: StaticString
        var message: String
        switch self {
        case .unauthenticated: (status, reason, message) = (.unauthorized, "Unauthorized", "")
        case .notAllowed: (status, reason, message) = (.forbidden, "Forbidden", "")
        case .forbidden(let user, let what):
            (status, reason) = (.forbidden, "Forbidden")
            message = "User \"\(user)\" cannot \(what)"
        case .unavailable:
            (status, reason) = (.serviceUnavailable, "ServiceUnavailable")
            message = "the apiserver cannot be asked who may do this"
        case .tooMany:
            (status, reason) = (.tooManyRequests, "TooManyRequests")
            message = "too many requests of this client wait for the apiserver"
        }
        let text = message.isEmpty ? reason.description : "\(reason): \(message)"
        var response: HTTPResponse
        if request.rawPath.hasPrefix("/apis/") {
            response = Self.status(status, reason, text)
        } else {
            response = .text(status, text)
        }
        switch self {
        case .unauthenticated:
            response.fields.append(HTTPField("WWW-Authenticate", "Bearer realm=\"heapwire\""))
        case .unavailable, .tooMany: response.retry(afterSeconds: 1)
        case .notAllowed, .forbidden: break
        }
        return response
    }

    private static func status(
        _ status: HTTPStatus, _ reason: StaticString, _ message: String
    ) -> HTTPResponse {
        var json = JSONWriter()
        json.beginObject()
        for (key, value) in [
            ("kind", "Status"), ("apiVersion", "v1"), ("status", "Failure"), ("message", message),
            ("reason", reason.description),
        ] {
            json.key(key)
            json.string(value)
        }
        json.key("metadata")
        json.beginObject()
        json.endObject()
        json.key("code")
        json.integer(Int64(status.code))
        json.endObject()
        json.bytes.append(UInt8(ascii: "\n"))
        return .json(json.bytes, status: status)
    }
}
