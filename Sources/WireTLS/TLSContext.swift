import COpenSSL
import Wire

/// Who one side is: a certificate, the chain to its authority, and the key. PEM.
public struct TLSIdentity: Sendable {
    public let certificateChain: [UInt8]
    public let key: [UInt8]
    /// Where they came from, for messages.
    public let source: String

    public init(certificateChain: [UInt8], key: [UInt8], source: String) {
        self.certificateChain = certificateChain
        self.key = key
        self.source = source
    }
}

/// Whose certificates are believed.
public enum TLSTrust: Sendable {
    /// The authorities that the operating system ships.
    case system
    /// The PEM certificates of a file, and no others.
    case authorities([UInt8], source: String)
    /// Anybody's: protects from listeners, not from impostors.
    case anyone
}

/// The oldest version of TLS that is spoken.
public enum TLSVersion: Sendable {
    case tls12
    /// Between our own programs.
    case tls13

    var number: Int32 {
        switch self {
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }
}

/// Settings of many TLS connections: identity, trust, versions. Immutable once made, used from any
/// thread. TLS 1.2 and 1.3, no renegotiation, no compression, no session cache.
public final class TLSContext: @unchecked Sendable {
    // OpenSSL counts references and locks what it changes; nothing is set after init.
    let context: OpaquePointer
    let checksPeer: Bool

    /// For connections that this side opens. Host names are checked unless `trust` is `anyone`.
    public static func client(
        trust: TLSTrust, identity: TLSIdentity? = nil, minimum: TLSVersion = .tls12
    ) throws(TLSError) -> TLSContext {
        let context = try TLSContext(TLS_client_method(), minimum, checksPeer: trust.isChecked)
        try context.set(trust)
        if let identity { try context.set(identity) }
        SSL_CTX_set_verify(
            context.context, trust.isChecked ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nil)
        return context
    }

    /// For connections that this side accepts.
    ///
    /// - Parameters:
    ///   - clientTrust: asks clients for a certificate, and refuses one that these authorities did
    ///     not sign; `nil` does not ask.
    ///   - requiresClient: refuses clients without a certificate.
    public static func server(
        identity: TLSIdentity, clientTrust: TLSTrust? = nil, requiresClient: Bool = false,
        minimum: TLSVersion = .tls12
    ) throws(TLSError) -> TLSContext {
        let context = try TLSContext(TLS_server_method(), minimum, checksPeer: clientTrust != nil)
        try context.set(identity)
        if let clientTrust {
            try context.set(clientTrust)
            let required = requiresClient ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0
            SSL_CTX_set_verify(context.context, SSL_VERIFY_PEER | required, nil)
        }
        // Resumption would need keys that outlive the certificate; handshakes are cheap here.
        SSL_CTX_set_num_tickets(context.context, 0)
        return context
    }

    /// For connections that this side accepts from clients whose certificate, if they have one, is
    /// looked at afterwards: see `TLSStream.peerCertificate` and `TLSAuthorities`.
    public static func askingServer(
        identity: TLSIdentity, minimum: TLSVersion = .tls12
    ) throws(TLSError) -> TLSContext {
        let context = try server(identity: identity, minimum: minimum)
        hw_ssl_ctx_ask_for_certificate(context.context)
        return context
    }

    private init(
        _ method: OpaquePointer?, _ minimum: TLSVersion, checksPeer: Bool
    ) throws(TLSError) {
        OpenSSLErrors.clear()
        guard let context = SSL_CTX_new(method) else {
            throw .library(reason: OpenSSLErrors.take())
        }
        self.context = context
        self.checksPeer = checksPeer
        guard hw_ssl_ctx_set_min_version(context, minimum.number) == 1 else {
            throw .library(reason: OpenSSLErrors.take())
        }
        hw_ssl_ctx_set_safe_options(context)
        // Idle connections give their 34 KB of buffers back; a repeated write may come from
        // another address, because queues move.
        _ = hw_ssl_ctx_set_mode(
            context,
            Int(
                SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                    | SSL_MODE_RELEASE_BUFFERS))
        _ = hw_ssl_ctx_session_cache_off(context)
    }

    deinit { SSL_CTX_free(context) }

    // MARK: Trust

    private func set(_ trust: TLSTrust) throws(TLSError) {
        switch trust {
        case .anyone: return
        case .system:
            guard SSL_CTX_set_default_verify_paths(context) == 1 else {
                throw .library(reason: OpenSSLErrors.take())
            }
        case .authorities(let pem, let source):
            let certificates = try Certificates(pem: pem, source: source)
            guard !certificates.all.isEmpty else { throw .noCertificate(what: source) }
            let store = SSL_CTX_get_cert_store(context)
            for certificate in certificates.all {
                // One that is there already is no error since OpenSSL 1.1.1.
                guard X509_STORE_add_cert(store, certificate) == 1 else {
                    throw .library(reason: OpenSSLErrors.take())
                }
            }
        }
    }

    // MARK: Identity

    private func set(_ identity: TLSIdentity) throws(TLSError) {
        let certificates = try Certificates(
            pem: identity.certificateChain, source: identity.source)
        guard let own = certificates.all.first else {
            throw .noCertificate(what: identity.source)
        }
        guard SSL_CTX_use_certificate(context, own) == 1 else {
            throw .unreadableCertificate(what: identity.source, reason: OpenSSLErrors.take())
        }
        for authority in certificates.all.dropFirst() {
            X509_up_ref(authority)
            guard hw_ssl_ctx_add_chain_certificate(context, authority) == 1 else {
                X509_free(authority)
                throw .library(reason: OpenSSLErrors.take())
            }
        }
        let key = try Self.key(pem: identity.key, source: identity.source)
        defer { EVP_PKEY_free(key) }
        guard X509_check_private_key(own, key) == 1 else {
            OpenSSLErrors.clear()
            throw .keyMismatch(what: identity.source)
        }
        guard SSL_CTX_use_PrivateKey(context, key) == 1 else {
            throw .unreadableKey(what: identity.source, reason: OpenSSLErrors.take())
        }
    }

    private static func key(pem: [UInt8], source: String) throws(TLSError) -> OpaquePointer {
        let key: OpaquePointer? = pem.withUnsafeBytes { bytes in
            guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else {
                return nil
            }
            defer { BIO_free(bio) }
            return hw_pem_read_private_key(bio)
        }
        guard let key else {
            throw .unreadableKey(what: source, reason: OpenSSLErrors.take())
        }
        return key
    }
}

extension TLSTrust {
    fileprivate var isChecked: Bool {
        if case .anyone = self { return false }
        return true
    }
}

/// The certificates of a PEM text, in its order.
final class Certificates {
    private(set) var all: [OpaquePointer] = []

    init(pem: [UInt8], source: String) throws(TLSError) {
        OpenSSLErrors.clear()
        let isWhole = pem.withUnsafeBytes { bytes in
            guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else {
                return false
            }
            defer { BIO_free(bio) }
            while let certificate = PEM_read_bio_X509(bio, nil, nil, nil) {
                all.append(certificate)
            }
            // The text's end shows as a missing start line.
            let reason = ERR_reason_error_string(ERR_peek_last_error()).map { String(cString: $0) }
            return reason == "no start line"
        }
        guard isWhole else {
            throw .unreadableCertificate(what: source, reason: OpenSSLErrors.take())
        }
        OpenSSLErrors.clear()
    }

    deinit { for certificate in all { X509_free(certificate) } }
}
