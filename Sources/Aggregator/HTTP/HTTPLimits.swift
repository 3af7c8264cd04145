/// What a request may cost before anyone looked at what it wants.
struct HTTPLimits: Sendable {
    /// The request line, bytes. Above: 414.
    var requestLineByteCountMax = 8_192
    /// Request line and all fields, bytes. Above: 431. At most 65,535.
    var headByteCountMax = 32_768
    /// Fields. Above: 431.
    var fieldCountMax = 100
    /// The decoded body, bytes. Above: 413.
    var bodyByteCountMax = 4 << 20
    /// A chunk's size with its extensions, bytes. Above: 400.
    var chunkLineByteCountMax = 256

    /// What the client, or who runs the server, can do about a refusal.
    func remedy(_ status: HTTPStatus) -> String {
        switch status {
        case .uriTooLong: " (--api-max-uri-bytes allows \(requestLineByteCountMax))"
        case .fieldsTooLarge:
            " (--api-max-header-bytes allows \(headByteCountMax), in "
                + "\(fieldCountMax) fields)"
        case .contentTooLarge: " (--api-max-body-bytes allows \(bodyByteCountMax))"
        default: ""
        }
    }

    func validate() {
        precondition(headByteCountMax <= 65_535 && fieldCountMax <= 1_000)
        precondition(requestLineByteCountMax <= headByteCountMax)
    }
}

/// Why a message is refused, and with which status. The connection is closed afterwards: where the
/// next message would begin is not known.
struct HTTPRefusal: Error, Equatable, Sendable {
    let status: HTTPStatus
    /// For the answer's body and for tests; says nothing of the message's content.
    let reason: StaticString

    init(_ status: HTTPStatus, _ reason: StaticString) {
        self.status = status
        self.reason = reason
    }

    static func == (a: Self, b: Self) -> Bool {
        a.status == b.status && a.reason.description == b.reason.description
    }
}
