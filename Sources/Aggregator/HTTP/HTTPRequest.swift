import Synchronization
import Wire

/// A request: a copy of its head with the places of its parts, and its body.
///
/// Nothing is decoded before somebody asks, so a request costs no String and no Dictionary. It is
/// filled by one thread and then only read, so it may go to another; its memory is used again for
/// the next request when nobody has kept it.
final class HTTPRequest: @unchecked Sendable {
    struct Field: Equatable {
        var name: HTTPSyntax.Extent
        var value: HTTPSyntax.Extent
    }

    private(set) var method = HTTPMethod.other
    /// The target as sent, and its parts. `query` is without the question mark.
    private(set) var targetRange = HTTPSyntax.Extent.empty
    private(set) var pathRange = HTTPSyntax.Extent.empty
    private(set) var queryRange = HTTPSyntax.Extent.empty
    /// 0 or 1: HTTP/1.0 or HTTP/1.1.
    private(set) var minorVersion = 1
    /// Whether the client wants to use the connection again.
    private(set) var keepsAlive = true
    private(set) var expectsContinue = false
    private(set) var framing = Framing.none
    /// The decoded body.
    private(set) var body: [UInt8] = []
    /// Values of the route's parameters, not decoded.
    private(set) var parameterRanges = RouteParameters()
    /// Who asks.
    private(set) var peer = SocketAddress.loopback(port: 0)
    /// Of a client that presented a certificate. It need not be anybody's who is known here.
    private(set) var identity: HTTPClientIdentity?
    /// The user that the client proved to be, or may speak for; `nil` where nobody has to.
    private(set) var userName: String?

    /// Whose share of everything this request takes.
    var client: ClientKey { userName.map { .user($0) } ?? ClientKey(peer) }

    enum Framing: Equatable {
        case none
        case length(Int)
        case chunked
    }

    private var head: UnsafeMutableRawPointer
    private var headCapacity: Int
    private var headByteCount = 0
    private var fields: [Field] = []
    private let cancelled = Atomic<Bool>(false)

    init() {
        headCapacity = 1_024
        head = .allocate(byteCount: headCapacity, alignment: 16)
        fields.reserveCapacity(16)
    }

    deinit { head.deallocate() }

    // MARK: Reading

    /// Bytes of the head; valid as long as the request, so keep that alive.
    func bytes(_ range: HTTPSyntax.Extent) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: head + Int(range.start), count: range.count)
    }

    private func string(_ range: HTTPSyntax.Extent) -> String {
        withExtendedLifetime(self) { String(decoding: bytes(range), as: UTF8.self) }
    }

    /// The path as sent, percent-encoding and all.
    var rawPath: String { string(pathRange) }
    var rawQuery: String { string(queryRange) }

    /// The value of a field; several of one name are joined with commas (RFC 9110, 5.3).
    ///
    /// - Parameter name: lower case.
    func field(_ name: StaticString) -> String? {
        var joined: String?
        forEachValue(of: name) {
            let value = String(decoding: $0, as: UTF8.self)
            joined = joined.map { "\($0), \(value)" } ?? value
        }
        return joined
    }

    /// Calls `body` with each value of the fields of that name. Allocates nothing.
    func forEachValue(of name: StaticString, _ body: (UnsafeRawBufferPointer) -> Void) {
        for field in fields where HTTPSyntax.equals(bytes(field.name), ignoringCase: name) {
            body(bytes(field.value))
        }
    }

    var fieldCount: Int { fields.count }

    /// Calls `body` with the name and the value of each field, in the order sent.
    func forEachField(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void) {
        withExtendedLifetime(self) {
            for field in fields { body(bytes(field.name), bytes(field.value)) }
        }
    }

    /// The route's parameter number `index`, percent-decoded: `%2F` has become a slash here, not
    /// before the path was split.
    func parameter(_ index: Int) -> String {
        withExtendedLifetime(self) {
            PercentEncoding.string(bytes(parameterRanges[index]), plusIsSpace: false)
        }
    }

    /// The first value of a query parameter, decoded; nil when it is absent, "" when it has none.
    func queryValue(_ name: StaticString) -> String? {
        withExtendedLifetime(self) { PercentEncoding.queryValue(bytes(queryRange), name) }
    }

    /// All values of a query parameter, in the order sent.
    func queryValues(_ name: StaticString) -> [String] {
        withExtendedLifetime(self) { PercentEncoding.queryValues(bytes(queryRange), name) }
    }

    /// True when the client has gone or the time is up: nobody waits for the answer any more.
    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }

    func cancel() { cancelled.store(true, ordering: .relaxed) }

    // MARK: Filling

    func append(bodyBytes: UnsafeRawBufferPointer) { body.append(contentsOf: bodyBytes) }
    func setParameters(_ parameters: RouteParameters) { parameterRanges = parameters }
    func setUser(_ name: String) { userName = name }

    /// Takes a complete head.
    ///
    /// - Parameter bytes: from the request line to the empty line, at most 65,535 bytes.
    /// - Throws: the refusal; the request must not be used then.
    func parse(
        head bytes: UnsafeRawBufferPointer, peer: SocketAddress,
        identity: HTTPClientIdentity? = nil
    ) throws(HTTPRefusal) {
        reset(byteCount: bytes.count)
        self.peer = peer
        self.identity = identity
        if let source = bytes.baseAddress {
            head.copyMemory(from: source, byteCount: bytes.count)
        }
        let own = UnsafeRawBufferPointer(start: head, count: bytes.count)
        var lineStart = try parseRequestLine(own)
        var summary = HeadSummary()
        while true {
            let end = Self.lineEnd(own, lineStart)
            if end == lineStart { break }
            let line = try FieldLine(own, lineStart, end)
            fields.append(Field(name: line.name, value: line.value))
            try summary.note(name: self.bytes(line.name), value: self.bytes(line.value))
            lineStart = end &+ 2
        }
        try summary.check(minorVersion: minorVersion)
        framing = summary.isChunked ? .chunked : summary.contentLength.map(Framing.length) ?? .none
        keepsAlive = !summary.wantsClose && (minorVersion == 1 || summary.wantsKeepAlive)
        expectsContinue = summary.expectsContinue && minorVersion == 1
    }

    private func reset(byteCount: Int) {
        if byteCount > headCapacity {
            head.deallocate()
            headCapacity = byteCount
            head = .allocate(byteCount: headCapacity, alignment: 16)
        }
        headByteCount = byteCount
        fields.removeAll(keepingCapacity: true)
        // A large body's memory is not kept for the small ones after it.
        if body.capacity > 65_536 { body = [] } else { body.removeAll(keepingCapacity: true) }
        parameterRanges = RouteParameters()
        userName = nil
        cancelled.store(false, ordering: .relaxed)
    }

    /// The scanner has seen to it that every line ends in CR LF.
    private static func lineEnd(_ bytes: UnsafeRawBufferPointer, _ start: Int) -> Int {
        var position = start
        while position < bytes.count, bytes[position] != 0x0A { position &+= 1 }
        return position &- 1
    }

    /// Reads `METHOD SP TARGET SP HTTP/1.x CR LF`; returns where the next line begins.
    private func parseRequestLine(_ bytes: UnsafeRawBufferPointer) throws(HTTPRefusal) -> Int {
        let end = Self.lineEnd(bytes, 0)
        var position = 0
        while position < end, HTTPSyntax.isToken(bytes[position]) { position &+= 1 }
        guard position > 0, position < end, bytes[position] == 0x20 else {
            throw HTTPRefusal(.badRequest, "malformed request line")
        }
        method = HTTPMethod(UnsafeRawBufferPointer(rebasing: bytes[..<position]))
        let targetStart = position &+ 1
        position = targetStart
        while position < end, bytes[position] > 0x20, bytes[position] < 0x7F { position &+= 1 }
        guard position > targetStart, position < end, bytes[position] == 0x20 else {
            throw HTTPRefusal(.badRequest, "malformed request target")
        }
        targetRange = HTTPSyntax.Extent(targetStart, position)
        try parseVersion(UnsafeRawBufferPointer(rebasing: bytes[(position &+ 1)..<end]))
        try splitTarget(bytes)
        return end &+ 2
    }

    private func parseVersion(_ bytes: UnsafeRawBufferPointer) throws(HTTPRefusal) {
        let name: StaticString = "HTTP/"
        guard bytes.count == 8, bytes[6] == 0x2E,
            bytes[..<5].elementsEqual(UnsafeBufferPointer(start: name.utf8Start, count: 5)),
            HTTPSyntax.isDigit(bytes[5]), HTTPSyntax.isDigit(bytes[7])
        else { throw HTTPRefusal(.badRequest, "malformed HTTP version") }
        guard bytes[5] == 0x31 else {
            throw HTTPRefusal(.versionNotSupported, "only HTTP/1.0 and HTTP/1.1 are spoken here")
        }
        minorVersion = bytes[7] == 0x30 ? 0 : 1
    }

    /// Finds path and query in the origin form, the absolute form, or `*` (RFC 9112, 3.2).
    private func splitTarget(_ bytes: UnsafeRawBufferPointer) throws(HTTPRefusal) {
        var start = Int(targetRange.start)
        let end = Int(targetRange.end)
        for index in start..<end where bytes[index] == 0x23 {
            throw HTTPRefusal(.badRequest, "fragment in request target")
        }
        if bytes[start] != 0x2F {
            let isAsterisk = end - start == 1 && bytes[start] == 0x2A && method == .options
            if !isAsterisk { start = try Self.pathStart(absolute: bytes, start, end) }
        }
        var question = start
        while question < end, bytes[question] != 0x3F { question &+= 1 }
        pathRange = HTTPSyntax.Extent(start, question)
        queryRange = HTTPSyntax.Extent(min(question &+ 1, end), end)
    }

    /// After `http://authority`. The path may be empty, which the router reads as `/`.
    private static func pathStart(
        absolute bytes: UnsafeRawBufferPointer, _ start: Int, _ end: Int
    ) throws(HTTPRefusal) -> Int {
        for scheme in ["http://", "https://"] as [StaticString] {
            let length = scheme.utf8CodeUnitCount
            guard end - start > length else { continue }
            let prefix = UnsafeRawBufferPointer(rebasing: bytes[start..<(start + length)])
            guard HTTPSyntax.equals(prefix, ignoringCase: scheme) else { continue }
            var position = start + length
            while position < end, bytes[position] != 0x2F, bytes[position] != 0x3F {
                guard bytes[position] != 0x40 else { break }
                position &+= 1
            }
            guard position > start + length, position == end || bytes[position] != 0x40 else {
                break
            }
            return position
        }
        throw HTTPRefusal(.badRequest, "malformed request target")
    }
}
