import COpenSSL

/// Digests and signatures by the operating system's OpenSSL, for the sinks' credentials.
enum Crypto {
    enum Hash: Sendable {
        case sha256, sha512

        fileprivate var name: String { self == .sha256 ? "SHA256" : "SHA512" }
        fileprivate var method: OpaquePointer? { self == .sha256 ? EVP_sha256() : EVP_sha512() }
        var byteCount: Int { self == .sha256 ? 32 : 64 }
    }

    static func digest(_ bytes: [UInt8], _ hash: Hash) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: hash.byteCount)
        let status = EVP_Digest(bytes, bytes.count, &result, nil, hash.method, nil)
        precondition(status == 1, "EVP_Digest: \(status)")
        return result
    }

    static func hmac(_ bytes: [UInt8], key: [UInt8], _ hash: Hash) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: hash.byteCount)
        var count = 0
        let made = EVP_Q_mac(
            nil, "HMAC", nil, hash.name, nil, key, key.count, bytes, bytes.count, &result,
            result.count, &count)
        precondition(made != nil && count == hash.byteCount, "EVP_Q_mac: \(count)")
        return result
    }

    /// PBKDF2 with HMAC (RFC 8018).
    static func stretch(
        password: [UInt8], salt: [UInt8], iterations: Int, _ hash: Hash
    ) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: hash.byteCount)
        let status = password.withUnsafeBufferPointer { password in
            password.withMemoryRebound(to: CChar.self) { password in
                PKCS5_PBKDF2_HMAC(
                    password.baseAddress, Int32(password.count), salt, Int32(salt.count),
                    Int32(iterations), hash.method, Int32(result.count), &result)
            }
        }
        precondition(status == 1, "PKCS5_PBKDF2_HMAC: \(status)")
        return result
    }

    /// RSASSA-PKCS1-v1_5 with SHA-256 (`RS256`); `nil` for a key that is none.
    static func signRS256(_ bytes: [UInt8], keyPEM: String) -> [UInt8]? {
        let pem = Array(keyPEM.utf8)
        guard let source = BIO_new_mem_buf(pem, Int32(pem.count)) else { return nil }
        defer { BIO_free(source) }
        guard let key = hw_pem_read_private_key(source) else { return nil }
        defer { EVP_PKEY_free(key) }
        guard let context = EVP_MD_CTX_new() else { return nil }
        defer { EVP_MD_CTX_free(context) }
        guard EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key) == 1 else { return nil }
        var count = Int(EVP_PKEY_get_size(key))
        guard count > 0 else { return nil }
        var result = [UInt8](repeating: 0, count: count)
        guard EVP_DigestSign(context, &result, &count, bytes, bytes.count) == 1 else { return nil }
        return Array(result[..<count])
    }

    static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
