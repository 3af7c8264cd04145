import Wire
import WireTLS

/// Why a request got no usable answer. A status of 400 or more is an answer, not an error.
enum HTTPClientError: Error, Equatable, Sendable {
    case malformedURL(text: String, reason: String)
    case transport(TransportError)
    case tls(TLSError)
    /// There is no connection, for another reason.
    case cannotConnect(reason: String)
    /// Nothing happened for so long.
    case timedOut(what: TimedOut, host: String, seconds: Int)
    /// `Interruption.interrupt` was called.
    case interrupted
    /// The answer is not HTTP/1.1 as we read it.
    case malformedResponse(reason: String)
    /// The connection ended inside the answer.
    case truncated(host: String)
    /// A field of the request has bytes that would end it early: a token file with a line break.
    case malformedField(name: String)
    /// The proxy would not let us through.
    case proxyRefused(proxy: String, status: Int)
    case bodyTooLarge(limit: Int)

    /// What was waited for.
    enum TimedOut: String, Sendable {
        case connecting = "connecting to"
        case sending = "sending to"
        case answer = "an answer of"
        case body = "more data of"
    }
}

extension HTTPClientError: CustomStringConvertible {
    var description: String {
        switch self {
        case .malformedURL(let text, let reason): "\"\(text)\" is not a usable URL: \(reason)"
        case .transport(let error): error.description
        case .tls(let error): error.description
        case .cannotConnect(let reason): reason
        case .timedOut(let what, let host, let seconds):
            "gave up \(what.rawValue) \(host) after \(seconds) s"
        case .interrupted: "interrupted"
        case .malformedResponse(let reason): "the answer is not HTTP: \(reason)"
        case .truncated(let host): "\(host) ended the connection inside its answer"
        case .malformedField(let name): "the value for the field \(name) has a control character"
        case .proxyRefused(let proxy, let status):
            "the proxy \(proxy) refused the connection with status \(status)"
        case .bodyTooLarge(let limit): "the answer is longer than \(limit) bytes, the limit"
        }
    }
}
