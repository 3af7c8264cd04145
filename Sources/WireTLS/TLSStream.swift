import COpenSSL
import Glibc
import Wire

/// TLS over a TCP socket. Belongs to one thread at a time, like every `ByteStream`.
public final class TLSStream: ByteStream {
    /// How the far end is named, for host name checks.
    public enum PeerName: Sendable, Equatable {
        case host(String)
        /// An IP address in text, which is looked for among the certificate's IP addresses.
        case address(String)

        /// A name as it is in a URL or a flag: an address where it is one.
        public init(_ name: String) {
            let isAddress = SocketAddress(numericHost: name, port: 0) != nil
            self = isAddress ? .address(name) : .host(name)
        }
    }

    private let socket: SocketStream
    let ssl: OpaquePointer
    private let context: TLSContext
    private let isClient: Bool
    private let peerName: String
    private var isConnected = false
    private var isEstablished = false
    /// After a fatal error OpenSSL must not be asked to shut down.
    private var isBroken = false

    /// One for the whole process.
    private static let method = SharedMethod()

    /// This side opened the connection. The far end's certificate must name `peer`, unless the
    /// context trusts anyone.
    public init(
        client socket: SocketStream, _ context: TLSContext, peer: PeerName
    ) throws(TLSError) {
        self.socket = socket
        self.context = context
        isClient = true
        ssl = try Self.make(context, socket)
        switch peer {
        case .host(let name), .address(let name): peerName = name
        }
        SSL_set_connect_state(ssl)
        guard setPeer(peer) else { throw .library(reason: OpenSSLErrors.take()) }
    }

    /// This side accepted the connection.
    public init(server socket: SocketStream, _ context: TLSContext) throws(TLSError) {
        self.socket = socket
        self.context = context
        isClient = false
        ssl = try Self.make(context, socket)
        peerName = socket.peer.description
        SSL_set_accept_state(ssl)
    }

    deinit { SSL_free(ssl) }

    private static func make(
        _ context: TLSContext, _ socket: SocketStream
    ) throws(TLSError) -> OpaquePointer {
        OpenSSLErrors.clear()
        guard let method = method.value, let ssl = SSL_new(context.context) else {
            throw .library(reason: OpenSSLErrors.take())
        }
        guard hw_ssl_set_socket(ssl, method, socket.descriptor) == 1 else {
            SSL_free(ssl)
            throw .library(reason: OpenSSLErrors.take())
        }
        return ssl
    }

    private func setPeer(_ peer: PeerName) -> Bool {
        switch peer {
        case .host(let name):
            SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
            return hw_ssl_set_host_name(ssl, name) == 1
                && (!context.checksPeer || SSL_set1_host(ssl, name) == 1)
        case .address(let text):
            // Server names are never addresses (RFC 6066, 3).
            return !context.checksPeer
                || X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1
        }
    }

    // MARK: ByteStream

    public var descriptor: Int32 { socket.descriptor }
    public var hasBufferedInput: Bool { SSL_pending(ssl) > 0 }

    public func establish() -> StreamOutcome {
        if isEstablished { return .done(0) }
        if !isConnected {
            let outcome = socket.establish()
            guard outcome == .done(0) else { return outcome }
            isConnected = true
        }
        OpenSSLErrors.clear()
        let result = SSL_do_handshake(ssl)
        guard result == 1 else { return outcome(of: result, in: "the TLS handshake") }
        isEstablished = true
        return .done(0)
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamOutcome {
        OpenSSLErrors.clear()
        let result = SSL_read(ssl, buffer.baseAddress, Int32(clamping: buffer.count))
        return result > 0 ? .done(Int(result)) : outcome(of: result, in: "reading")
    }

    public func write(_ bytes: UnsafeRawBufferPointer) -> StreamOutcome {
        OpenSSLErrors.clear()
        let result = SSL_write(ssl, bytes.baseAddress, Int32(clamping: bytes.count))
        return result > 0 ? .done(Int(result)) : outcome(of: result, in: "writing")
    }

    public func finishWriting() {
        if isEstablished, !isBroken {
            OpenSSLErrors.clear()
            // Whether it could be sent is the peer's loss: it sees the socket end anyway.
            _ = SSL_shutdown(ssl)
        }
        socket.finishWriting()
    }

    public func close() {
        if isEstablished, !isBroken {
            OpenSSLErrors.clear()
            _ = SSL_shutdown(ssl)
        }
        socket.close()
    }

    private func outcome(of result: Int32, in action: String) -> StreamOutcome {
        // Before anything else may change errno.
        let error = errno
        switch SSL_get_error(ssl, result) {
        case SSL_ERROR_WANT_READ: return .wantsRead
        case SSL_ERROR_WANT_WRITE: return .wantsWrite
        case SSL_ERROR_ZERO_RETURN: return .endOfStream
        case SSL_ERROR_SYSCALL where error != 0:
            isBroken = true
            return .failed(.connectionFailed(errno: error))
        default:
            isBroken = true
            return .failed(.streamFailed(reason: reason(action)))
        }
    }

    /// Why a step failed; of a refused certificate, what was wrong with it.
    private func reason(_ action: String) -> String {
        let words = OpenSSLErrors.take()
        let verdict = SSL_get_verify_result(ssl)
        guard verdict != X509_V_OK else {
            return words == "no reason given"
                ? "\(peerName) closed the connection during \(action)"
                : "\(action) with \(peerName): \(words)"
        }
        let why = X509_verify_cert_error_string(verdict).map { String(cString: $0) } ?? words
        return "the certificate of \(peerName) is not accepted: \(why)\(certificateNames())"
    }

    // MARK: The peer

    /// Common name and organisations of the peer's certificate, which was checked; `nil` if it
    /// has none. In Kubernetes: user and groups.
    public var peerSubject: (commonName: String, organizations: [String])? {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        guard context.checksPeer, SSL_get_verify_result(ssl) == X509_V_OK else { return nil }
        var organizations: [String] = []
        for index in 0..<64 {
            guard let text = Self.subject(certificate, NID_organizationName, index) else { break }
            organizations.append(text)
        }
        return (Self.subject(certificate, NID_commonName, 0) ?? "", organizations)
    }

    private static func subject(
        _ certificate: OpaquePointer, _ attribute: Int32, _ index: Int
    ) -> String? {
        var room = [CChar](repeating: 0, count: 512)
        let count = hw_x509_subject_text(
            certificate, attribute, Int32(index), &room, Int32(room.count))
        guard count >= 0 else { return nil }
        return String(decoding: room[..<Int(count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The names that a refused certificate does have, for the message.
    private func certificateNames() -> String {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return "" }
        defer { X509_free(certificate) }
        let name = Self.subject(certificate, NID_commonName, 0) ?? ""
        return name.isEmpty ? "" : " (its common name is \(name))"
    }
}

/// OpenSSL's description of our socket I/O; immutable after it was made.
private struct SharedMethod: @unchecked Sendable {
    let value: OpaquePointer?
    init() { value = hw_bio_socket_method() }
}
