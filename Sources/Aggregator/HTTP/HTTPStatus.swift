/// A status code (RFC 9110, 15).
struct HTTPStatus: Equatable, Hashable, Sendable {
    let code: Int

    init(_ code: Int) {
        precondition((100...599).contains(code))
        self.code = code
    }

    static let `continue` = HTTPStatus(100)
    static let ok = HTTPStatus(200)
    static let created = HTTPStatus(201)
    static let noContent = HTTPStatus(204)
    static let badRequest = HTTPStatus(400)
    static let unauthorized = HTTPStatus(401)
    static let forbidden = HTTPStatus(403)
    static let notFound = HTTPStatus(404)
    static let methodNotAllowed = HTTPStatus(405)
    static let notAcceptable = HTTPStatus(406)
    static let requestTimeout = HTTPStatus(408)
    static let contentTooLarge = HTTPStatus(413)
    static let uriTooLong = HTTPStatus(414)
    static let unsupportedMediaType = HTTPStatus(415)
    static let expectationFailed = HTTPStatus(417)
    static let unprocessableContent = HTTPStatus(422)
    static let tooManyRequests = HTTPStatus(429)
    static let fieldsTooLarge = HTTPStatus(431)
    static let internalServerError = HTTPStatus(500)
    static let notImplemented = HTTPStatus(501)
    static let serviceUnavailable = HTTPStatus(503)
    static let versionNotSupported = HTTPStatus(505)

    /// 1...5.
    var statusClass: Int { code / 100 }

    /// Such an answer has no body, whatever its fields say (RFC 9112, 6.3).
    var forbidsBody: Bool { code < 200 || code == 204 || code == 304 }

    var reasonPhrase: StaticString {
        switch code {
        case 100: "Continue"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 410: "Gone"
        case 411: "Length Required"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 422: "Unprocessable Content"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: "Unknown"
        }
    }
}
