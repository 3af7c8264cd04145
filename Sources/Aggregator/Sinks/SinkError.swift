import Wire
import WireTLS

/// What can go wrong between a sink and its backend. Texts carry no secrets.
enum SinkError: Error, Equatable {
    case transport(TransportError)
    case tls(TLSError)
    case timedOut(what: String)
    case endOfStream(what: String)
    /// The backend's answer is not what its protocol says.
    case malformedAnswer(String)
    /// The backend answered, and its answer is no.
    case backend(String)
    case cannotReadFile(SmallFileError)
    /// TLS was asked for and this build's transport cannot.
    case unavailable(String)
}

extension SinkError: CustomStringConvertible {
    var description: String {
        switch self {
        case .transport(let error): error.description
        case .tls(let error): error.description
        case .timedOut(let what): "timed out \(what)"
        case .endOfStream(let what): "the backend closed the connection \(what)"
        case .malformedAnswer(let text): "malformed answer: \(text)"
        case .backend(let text): text
        case .cannotReadFile(let error): error.description
        case .unavailable(let text): text
        }
    }
}
