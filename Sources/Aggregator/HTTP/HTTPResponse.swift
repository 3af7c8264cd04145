/// A field of a response.
struct HTTPField: Sendable, Equatable {
    let name: StaticString
    let value: String

    /// - Parameter value: what came from outside is made harmless: control bytes become spaces, so
    ///   that no value can begin a field or a body of its own.
    init(_ name: StaticString, _ value: String) {
        self.name = name
        if value.utf8.allSatisfy(HTTPSyntax.isFieldValue) {
            self.value = value
        } else {
            self.value = String(
                decoding: value.utf8.map { HTTPSyntax.isFieldValue($0) ? $0 : 0x20 }, as: UTF8.self)
        }
    }

    static func == (a: Self, b: Self) -> Bool {
        a.name.description == b.name.description && a.value == b.value
    }
}

/// Makes a body piece by piece, when the client is ready for more, so that a large answer never
/// exists as a whole.
///
/// Called by one thread at a time, not always the same one.
protocol HTTPBodyProducer: AnyObject, Sendable {
    /// Appends the next piece, preferably 16 to 64 KiB; false when that was the last. Not called
    /// again after false, nor after the client has gone. An empty piece with true is allowed.
    func produce(into piece: inout [UInt8]) -> Bool
    /// Whether it gave up: asked after each piece. The client is cut off then, so that it does not
    /// take half an answer for a whole one. False where there is no such thing.
    var hasFailed: Bool { get }
}

extension HTTPBodyProducer {
    var hasFailed: Bool { false }
}

enum HTTPBody: Sendable {
    case none
    case bytes([UInt8])
    case text(StaticString)
    /// Cheap pieces, made on the loop's thread.
    case stream(any HTTPBodyProducer)
    /// Pieces that take long (more than about 100 microseconds), made by the workers.
    case slowStream(any HTTPBodyProducer)
}

/// An answer. The server adds Date, Content-Length or Transfer-Encoding, Content-Encoding, Vary
/// and Connection.
struct HTTPResponse: Sendable {
    var status: HTTPStatus
    var contentType: StaticString?
    var body: HTTPBody
    var fields: [HTTPField] = []
    /// Whether the body may be compressed when the client asks. Not for what is compressed already.
    var isCompressible = true
    /// Close the connection after this answer, whatever the client wants.
    var closesConnection = false

    init(_ status: HTTPStatus, contentType: StaticString? = nil, body: HTTPBody = .none) {
        self.status = status
        self.contentType = contentType
        self.body = body
    }

    /// Says when to ask again.
    mutating func retry(afterSeconds seconds: Int) {
        fields.append(HTTPField("Retry-After", String(seconds)))
    }

    static func text(_ status: HTTPStatus, _ text: StaticString) -> HTTPResponse {
        HTTPResponse(status, contentType: "text/plain; charset=utf-8", body: .text(text))
    }

    static func text(_ status: HTTPStatus, _ text: String) -> HTTPResponse {
        HTTPResponse(
            status, contentType: "text/plain; charset=utf-8", body: .bytes(Array(text.utf8)))
    }

    static func json(_ bytes: [UInt8], status: HTTPStatus = .ok) -> HTTPResponse {
        HTTPResponse(status, contentType: "application/json", body: .bytes(bytes))
    }
}

/// What a handler returns.
enum HTTPAnswer {
    case now(HTTPResponse)
    /// The work is done by the worker pool; 503 if its queue is full. It may look at
    /// `request.isCancelled` and stop early.
    case onWorker(@Sendable (HTTPRequest) -> HTTPResponse)
    /// Somebody will complete the responder, on any thread, within the time limit for handlers.
    case later(@Sendable (HTTPResponder) -> Void)
}
