/// What a client asks.
struct HTTPClientRequest: Sendable {
    var method: HTTPMethod = .get
    /// The path and query, percent-encoded, beginning with `/`.
    var target: String
    /// Without Host, Content-Length and Accept-Encoding, which come by themselves.
    var fields: [(name: String, value: String)]
    var body: [UInt8]
    /// When all of it must be over, monotonic nanoseconds; `nil` for the client's time-outs alone.
    var deadline: UInt64?
    /// How long the body may pause; `nil` for the client's own limit. A watch is silent for minutes.
    var idleSeconds: Int?
    /// Asks for gzip. Saves network, costs processor time at both ends.
    var acceptsGzip = false

    init(
        _ method: HTTPMethod = .get, _ target: String,
        fields: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
    }

    /// Whether asking twice is asking once (RFC 9110, 9.2.2).
    var isIdempotent: Bool {
        switch method {
        case .get, .head, .put, .delete, .options: true
        case .post, .patch, .other: false
        }
    }

    /// The head as bytes; the body follows it.
    ///
    /// - Parameter isAbsolute: for a proxy that is to fetch it: the whole URL.
    /// - Throws: `malformedField`.
    func head(for url: HTTPURL, absolute isAbsolute: Bool) throws(HTTPClientError) -> [UInt8] {
        var head = "\(method.name) "
        if isAbsolute { head += "\(url.scheme.rawValue)://\(url.hostField)" }
        guard target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), target.hasPrefix("/") else {
            throw .malformedURL(text: target, reason: "it is not a percent-encoded path")
        }
        head += "\(target) HTTP/1.1\r\nHost: \(url.hostField)\r\n"
        if !body.isEmpty || method == .post || method == .put || method == .patch {
            head += "Content-Length: \(body.count)\r\n"
        }
        if acceptsGzip { head += "Accept-Encoding: gzip\r\n" }
        for field in fields {
            guard field.value.utf8.allSatisfy(HTTPSyntax.isFieldValue),
                !field.name.isEmpty, field.name.utf8.allSatisfy(HTTPSyntax.isToken)
            else { throw .malformedField(name: field.name) }
            head += "\(field.name): \(field.value)\r\n"
        }
        return Array((head + "\r\n").utf8)
    }
}

/// The head of an answer.
struct HTTPClientHead: Sendable, Equatable {
    let status: Int
    let minorVersion: Int
    /// Names in small letters, in their order.
    let fields: [(name: String, value: String)]

    static func == (a: Self, b: Self) -> Bool {
        a.status == b.status && a.minorVersion == b.minorVersion
            && a.fields.elementsEqual(b.fields) { $0.name == $1.name && $0.value == $1.value }
    }

    /// The first field of a name in small letters.
    subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

    /// A status alone.
    init(status: Int) {
        self.status = status
        minorVersion = 1
        fields = []
    }

    /// Reads a complete head: status line, fields, empty line.
    init(parsing bytes: UnsafeRawBufferPointer) throws(HTTPClientError) {
        var lines: [(start: Int, end: Int)] = []
        var start = 0
        for index in 1..<max(bytes.count, 1) where bytes[index] == 0x0A {
            lines.append((start, index - 1))
            start = index + 1
        }
        guard let first = lines.first else {
            throw .malformedResponse(reason: "there is no status line")
        }
        let line = UnsafeRawBufferPointer(rebasing: bytes[first.start..<first.end])
        // `HTTP/1.1 200 OK`; the words are optional, the blank before them too, in practice.
        guard line.count >= 12, line.starts(with: "HTTP/1.".utf8), HTTPSyntax.isDigit(line[7]),
            line[8] == 0x20,
            let code = HTTPSyntax.decimal(UnsafeRawBufferPointer(rebasing: line[9..<12])),
            (100...599).contains(code), line.count == 12 || line[12] == 0x20
        else { throw .malformedResponse(reason: "the status line is malformed") }
        status = code
        minorVersion = Int(line[7] - 0x30)
        var fields: [(name: String, value: String)] = []
        for line in lines.dropFirst() where line.end > line.start {
            let field: FieldLine
            do {
                field = try FieldLine(bytes, line.start, line.end)
            } catch {
                throw .malformedResponse(reason: error.reason.description)
            }
            let name = bytes[Int(field.name.start)..<Int(field.name.end)]
            let value = bytes[Int(field.value.start)..<Int(field.value.end)]
            fields.append(
                (
                    String(decoding: name, as: UTF8.self).lowercased(),
                    String(decoding: value, as: UTF8.self)
                ))
        }
        self.fields = fields
    }

    /// How the body's end is told.
    enum Framing: Equatable {
        case none
        case length(Int)
        case chunked, untilClose
    }

    /// - Throws: for answers of which two readers might see the end in two places.
    func framing(of method: HTTPMethod) throws(HTTPClientError) -> Framing {
        if method == .head || HTTPStatus(status).forbidsBody { return .none }
        let codings = fields.filter { $0.name == "transfer-encoding" }
        let lengths = Set(fields.filter { $0.name == "content-length" }.map(\.value))
        if let coding = codings.first {
            guard codings.count == 1, coding.value.lowercased() == "chunked" else {
                throw .malformedResponse(reason: "unknown transfer coding")
            }
            guard lengths.isEmpty else {
                throw .malformedResponse(reason: "both content length and transfer coding")
            }
            return .chunked
        }
        guard let length = lengths.first else { return .untilClose }
        var text = length
        guard lengths.count == 1,
            let count = text.withUTF8({ HTTPSyntax.decimal(UnsafeRawBufferPointer($0)) })
        else { throw .malformedResponse(reason: "malformed content length") }
        return .length(count)
    }

    /// Whether the connection may carry another request.
    var keepsAlive: Bool {
        var (close, keep) = (false, false)
        for field in fields where field.name == "connection" {
            for word in field.value.lowercased().split(separator: ",") {
                let word = word.filter { $0 != " " }
                close = close || word == "close"
                keep = keep || word == "keep-alive"
            }
        }
        return !close && (minorVersion == 1 || keep)
    }
}
