/// What a request's fields say about where it ends and what becomes of the connection.
///
/// Refuses every shape in which another server might see the end elsewhere (request smuggling,
/// RFC 9112, 11.2): two lengths, a length and a transfer coding, an unknown coding.
struct HeadSummary {
    private(set) var contentLength: Int?
    private(set) var isChunked = false
    private(set) var wantsClose = false
    private(set) var wantsKeepAlive = false
    private(set) var expectsContinue = false
    private var hostCount = 0

    /// Looks at one field. The length of the name decides, so most cost one comparison of numbers.
    mutating func note(
        name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer
    ) throws(HTTPRefusal) {
        switch name.count {
        case 4 where HTTPSyntax.equals(name, ignoringCase: "host"): try noteHost(value)
        case 6 where HTTPSyntax.equals(name, ignoringCase: "expect"):
            guard HTTPSyntax.equals(value, ignoringCase: "100-continue") else {
                throw HTTPRefusal(.expectationFailed, "unknown expectation")
            }
            expectsContinue = true
        case 10 where HTTPSyntax.equals(name, ignoringCase: "connection"): noteConnection(value)
        case 14 where HTTPSyntax.equals(name, ignoringCase: "content-length"):
            guard contentLength == nil else {
                throw HTTPRefusal(.badRequest, "more than one content length")
            }
            guard let length = HTTPSyntax.decimal(value) else {
                throw HTTPRefusal(.badRequest, "malformed content length")
            }
            contentLength = length
        case 17 where HTTPSyntax.equals(name, ignoringCase: "transfer-encoding"):
            guard !isChunked else {
                throw HTTPRefusal(.badRequest, "more than one transfer coding")
            }
            guard HTTPSyntax.equals(value, ignoringCase: "chunked") else {
                throw HTTPRefusal(.notImplemented, "unknown transfer coding")
            }
            isChunked = true
        default: break
        }
    }

    /// Looks at the whole.
    func check(minorVersion: Int) throws(HTTPRefusal) {
        if hostCount == 0, minorVersion == 1 { throw HTTPRefusal(.badRequest, "no host") }
        if isChunked, contentLength != nil {
            throw HTTPRefusal(.badRequest, "both content length and transfer coding")
        }
        if isChunked, minorVersion == 0 {
            throw HTTPRefusal(.badRequest, "transfer coding in HTTP/1.0")
        }
    }

    private mutating func noteHost(_ value: UnsafeRawBufferPointer) throws(HTTPRefusal) {
        hostCount &+= 1
        guard hostCount == 1 else { throw HTTPRefusal(.badRequest, "more than one host") }
        for byte in value {
            switch byte {
            case 0x21...0x7E where byte != 0x2F && byte != 0x40 && byte != 0x2C && byte != 0x3F:
                continue
            default: throw HTTPRefusal(.badRequest, "malformed host")
            }
        }
    }

    private mutating func noteConnection(_ value: UnsafeRawBufferPointer) {
        var close = false
        var keepAlive = false
        HTTPSyntax.forEachElement(value) {
            if HTTPSyntax.equals($0, ignoringCase: "close") { close = true }
            if HTTPSyntax.equals($0, ignoringCase: "keep-alive") { keepAlive = true }
        }
        wantsClose = wantsClose || close
        wantsKeepAlive = wantsKeepAlive || keepAlive
    }
}
