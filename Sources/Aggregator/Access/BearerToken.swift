/// `Authorization: Bearer TOKEN` (RFC 6750, 2.1).
enum BearerToken {
    /// Longer ones are nobody's.
    private static let byteCountMax = 16_384

    /// The token; `nil` without exactly one of visible characters. It goes to the apiserver and
    /// nowhere else.
    static func value(of request: HTTPRequest) -> [UInt8]? {
        var found: [UInt8]?
        var count = 0
        request.forEachValue(of: "authorization") { value in
            count += 1
            guard value.count > 7, value.count <= byteCountMax,
                HTTPSyntax.equals(
                    UnsafeRawBufferPointer(rebasing: value[..<7]), ignoringCase: "bearer ")
            else { return }
            let token = HTTPSyntax.trimmed(UnsafeRawBufferPointer(rebasing: value[7...]))
            if !token.isEmpty, token.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) {
                found = Array(token)
            }
        }
        return count == 1 ? found : nil
    }
}
