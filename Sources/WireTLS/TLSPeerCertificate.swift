import COpenSSL

/// The certificate that the far end of a connection presented and, as the handshake proved, has the
/// key of. What it is worth is for `TLSAuthorities` to say. Immutable, from any thread.
public final class TLSPeerCertificate: @unchecked Sendable {
    // OpenSSL counts references; verifying only reads.
    let certificate: OpaquePointer
    let chain: OpaquePointer?
    /// In Kubernetes: user and groups.
    public let commonName: String
    public let organizations: [String]

    /// Organisations beyond these are not looked at.
    private static let organizationCountMax = 64

    /// Takes over both references.
    fileprivate init(_ certificate: OpaquePointer, _ chain: OpaquePointer?) {
        self.certificate = certificate
        self.chain = chain
        commonName = Self.subject(certificate, NID_commonName, 0) ?? ""
        var organizations: [String] = []
        for index in 0..<Self.organizationCountMax {
            guard let text = Self.subject(certificate, NID_organizationName, index) else { break }
            organizations.append(text)
        }
        self.organizations = organizations
    }

    deinit {
        X509_free(certificate)
        if let chain { hw_x509_chain_free(chain) }
    }

    /// A text of the subject; `nil` where there is none, or one that is too long or has a zero byte
    /// inside, which would look like another name to who stops reading there.
    private static func subject(
        _ certificate: OpaquePointer, _ attribute: Int32, _ index: Int
    ) -> String? {
        var room = [CChar](repeating: 0, count: 512)
        let count = hw_x509_subject_text(
            certificate, attribute, Int32(index), &room, Int32(room.count))
        guard count >= 0 else { return nil }
        let bytes = room[..<Int(count)].map { UInt8(bitPattern: $0) }
        return bytes.contains(0) ? nil : String(decoding: bytes, as: UTF8.self)
    }
}

extension TLSStream {
    /// What the peer presented, not checked against any authority; `nil` without one.
    public var peerCertificate: TLSPeerCertificate? {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        return TLSPeerCertificate(certificate, hw_ssl_take_chain(ssl))
    }
}

/// Authorities whose clients are believed. Immutable, from any thread.
public final class TLSAuthorities: @unchecked Sendable {
    // Filled before anyone else has it; OpenSSL locks its own look-ups.
    private let store: OpaquePointer

    /// - Parameters:
    ///   - pem: one or more certificates.
    ///   - source: where they came from, for the error.
    public init(pem: [UInt8], source: String) throws(TLSError) {
        let certificates = try Certificates(pem: pem, source: source)
        guard !certificates.all.isEmpty else { throw .noCertificate(what: source) }
        guard let store = X509_STORE_new() else { throw .library(reason: OpenSSLErrors.take()) }
        self.store = store
        for certificate in certificates.all {
            guard X509_STORE_add_cert(store, certificate) == 1 else {
                throw .library(reason: OpenSSLErrors.take())
            }
        }
    }

    deinit { X509_STORE_free(store) }

    /// Whether one of them signed this certificate, it is valid now, and is one for clients. A chain
    /// is followed through what the peer sent. Costs a signature check for each link: 50 to 200 µs.
    public func trusts(_ certificate: TLSPeerCertificate) -> Bool {
        withExtendedLifetime((self, certificate)) {
            hw_x509_is_client_of(store, certificate.certificate, certificate.chain) == 1
        }
    }
}
