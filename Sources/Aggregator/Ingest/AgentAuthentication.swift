import Synchronization
import Wire

/// How agents prove who they are. Whatever is asked for must be given; with nothing asked for,
/// anyone who reaches the port is believed, which is for loopback and trusted networks.
struct AgentAuthentication: Sendable {
    /// The secret that all agents share.
    var token: TokenFile?
    /// The connection's client certificate must be the node's.
    var requiresCertificate = false
    /// Asks the apiserver whose token it is.
    var reviewer: TokenReviewer?

    /// What a certificate may call the agent of a node: the node's name, or the kubelet's user.
    static func names(of node: String) -> [String] { [node, "system:node:\(node)"] }

    /// Why this hello is refused; `nil` when it is not.
    ///
    /// - Parameter certificateName: the common name in the connection's certificate, which was
    ///   checked; `nil` without one.
    func refusal(of hello: Hello, certificateName: String?) -> Farewell? {
        if requiresCertificate {
            guard let certificateName else {
                return Farewell(
                    .unauthenticated,
                    "the aggregator wants a client certificate; give the agent --client-cert and "
                        + "--client-key")
            }
            guard Self.names(of: hello.nodeName).contains(certificateName) else {
                return Farewell(
                    .forbidden,
                    "the certificate is \(certificateName)'s, it cannot speak for node "
                        + "\(hello.nodeName)", retryAfterMilliseconds: 30_000)
            }
        }
        guard let token else { return nil }
        guard case .sharedToken(let given) = hello.credential else {
            return Farewell(
                .unauthenticated,
                "the aggregator wants a token; give the agent --agent-token-file")
        }
        guard isEqualInConstantTime(Array(given.utf8), token.current()) else {
            return Farewell(
                .unauthenticated,
                "the agent's token is not the aggregator's; compare the two token files",
                retryAfterMilliseconds: 30_000)
        }
        return nil
    }
}

/// A secret in a file, read again when the file has changed.
final class TokenFile: Sendable {
    private let path: String
    private let state: Mutex<State>
    private let limited = LimitedDiagnostics()

    private struct State {
        var token: [UInt8]
        var stamp: FileStamp?
    }

    static let byteCountMin = 16
    private static let byteLimit = 16_384

    /// - Throws: when it cannot be read, or is too short to be a secret.
    init(_ path: String) throws(SmallFileError) {
        self.path = path
        let stamp = FileStamp(path)
        state = Mutex(State(token: try Self.read(path), stamp: stamp))
    }

    func current() -> [UInt8] {
        let seen = FileStamp(path)
        return state.withLock { state in
            guard seen != state.stamp else { return state.token }
            do throws(SmallFileError) {
                state.token = try Self.read(path)
                state.stamp = seen
            } catch {
                limited.warning("\(error); the token from before stays in use")
            }
            return state.token
        }
    }

    private static func read(_ path: String) throws(SmallFileError) -> [UInt8] {
        let token = try SmallFile.read(path, byteLimit: byteLimit).trimmingWhitespace()
        guard token.count >= byteCountMin else {
            throw SmallFileError(
                path: path,
                reason: "it holds \(token.count) bytes; a token has at least \(byteCountMin)")
        }
        return token
    }
}

/// Takes as long for a wrong first byte as for a wrong last one; the length may be learnt.
func isEqualInConstantTime(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    guard a.count == b.count else { return false }
    var difference: UInt8 = 0
    for index in a.indices { difference |= a[index] ^ b[index] }
    return difference == 0
}
