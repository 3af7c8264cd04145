import COpenSSL

/// Keys, certificates or trust that cannot be used. What goes wrong on a connection is a
/// `TransportError.streamFailed`.
public enum TLSError: Error, Equatable, Sendable {
    /// No certificate in text that should have one.
    case noCertificate(what: String)
    case unreadableCertificate(what: String, reason: String)
    case unreadableKey(what: String, reason: String)
    /// The key is not the certificate's.
    case keyMismatch(what: String)
    /// OpenSSL refused for another reason: no memory, a policy of the system.
    case library(reason: String)
}

extension TLSError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .noCertificate(let what): "\(what) holds no PEM certificate"
        case .unreadableCertificate(let what, let reason):
            "cannot read the certificate in \(what): \(reason)"
        case .unreadableKey(let what, let reason): "cannot read the key in \(what): \(reason)"
        case .keyMismatch(let what): "the key in \(what) does not belong to the certificate"
        case .library(let reason): "OpenSSL: \(reason)"
        }
    }
}

enum OpenSSLErrors {
    /// What the calling thread's last failed call left behind, as words; the queue is emptied.
    static func take() -> String {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            let words = ERR_reason_error_string(code).map { String(cString: $0) } ?? "error \(code)"
            if reasons.last != words { reasons.append(words) }
        }
        return reasons.isEmpty ? "no reason given" : reasons.joined(separator: ", ")
    }

    static func clear() { ERR_clear_error() }
}
