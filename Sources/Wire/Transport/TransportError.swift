import Glibc

/// What can go wrong between this process and a socket.
public enum TransportError: Error, Equatable, Sendable {
    /// Text that is no `HOST:PORT`.
    case malformedAddress(text: String)
    /// getaddrinfo(3) refused; `code` is its EAI_ value, `errno` holds for EAI_SYSTEM.
    case cannotResolve(host: String, code: Int32, errno: Int32)
    /// `remedy` is the flag with which a user picks another address.
    case cannotListen(address: String, errno: Int32, remedy: String)
    case cannotConnect(address: String, errno: Int32)
    /// The peer broke the connection, or the network did.
    case connectionFailed(errno: Int32)
    /// The layer above the socket (TLS) gave up.
    case streamFailed(reason: String)
    /// A call that fails only when the machine is out of something.
    case system(call: StaticText, errno: Int32)
}

extension TransportError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .malformedAddress(let text):
            return "\"\(text)\" is not an address; write HOST:PORT, or [IPV6]:PORT"
        case .cannotResolve(let host, let code, let error):
            let reason =
                code == EAI_SYSTEM
                ? systemErrorText(error)
                : String(cString: gai_strerror(code)).lowercased()
            return "cannot resolve \(host): \(reason)"
        case .cannotListen(let address, let error, let remedy):
            return "cannot listen on \(address): \(systemErrorText(error))"
                + Self.advice(errno: error, remedy: remedy)
        case .cannotConnect(let address, let error):
            return "cannot connect to \(address): \(systemErrorText(error))"
        case .connectionFailed(let error):
            return "connection failed: \(systemErrorText(error))"
        case .streamFailed(let reason):
            return "connection failed: \(reason)"
        case .system(let call, let error):
            return "\(call) failed: \(systemErrorText(error))"
        }
    }

    private static func advice(errno: Int32, remedy: String) -> String {
        switch errno {
        case EADDRINUSE: "; choose another with \(remedy) or stop what listens there"
        case EACCES: "; ports below 1024 need privileges, choose another with \(remedy)"
        case EADDRNOTAVAIL: "; no interface of this machine has that address"
        case EMFILE, ENFILE: "; raise the limit of open files (ulimit -n)"
        default: ""
        }
    }
}
