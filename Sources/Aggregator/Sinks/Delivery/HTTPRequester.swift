import Wire

/// A request to a backend.
struct HTTPSinkRequest: Sendable {
    var method: String
    /// Path and query, as they go on the wire.
    var target: String
    /// Without Host, Content-Length and Connection, which the requester adds.
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []

    init(
        _ method: String, _ target: String, fields: [(name: String, value: String)] = [],
        body: [UInt8] = []
    ) {
        self.method = method
        self.target = target
        self.fields = fields
        self.body = body
    }
}

/// A backend's answer.
struct HTTPSinkResponse: Sendable {
    var status: Int
    var fields: [(name: String, value: String)] = []
    var body: [UInt8] = []

    /// The first field of that name, whatever its case.
    func field(_ name: String) -> String? {
        fields.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// The beginning of the body as one line, for messages.
    var excerpt: String {
        let text = String(decoding: body.prefix(300), as: UTF8.self)
        return String(text.map { $0.isNewline ? " " : $0 }).trimmingBlanks()
    }

    /// `Retry-After` in seconds; dates are not understood and count as absent.
    var retryAfterSeconds: Int? {
        field("Retry-After").flatMap { Int($0) }.flatMap { $0 >= 0 && $0 < 86_400 ? $0 : nil }
    }
}

extension String {
    fileprivate func trimmingBlanks() -> String {
        var text = self[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}

/// HTTP/1.1 over one kept connection (RFC 9112).
///
/// A kept connection that the server has closed meanwhile is replaced without telling. A request is
/// never repeated once a byte of an answer came.
final class ConnectionRequester {
    let endpoint: SinkEndpoint
    private let environment: SinkEnvironment
    private var connection: BlockingConnection?

    private static let limits: HTTPLimits = {
        var limits = HTTPLimits()
        limits.bodyByteCountMax = 64 << 20
        return limits
    }()

    init(_ endpoint: SinkEndpoint, environment: SinkEnvironment) {
        self.endpoint = endpoint
        self.environment = environment
    }

    func disconnect() { connection = nil }

    /// - Parameter deadline: monotonic nanoseconds, for all of it.
    /// - Throws: when there is no complete answer; the request may or may not have been served.
    func perform(
        _ request: HTTPSinkRequest, deadline: UInt64
    ) throws(SinkError) -> HTTPSinkResponse {
        if connection?.isStale ?? false { connection = nil }
        let used: BlockingConnection
        if let kept = connection {
            used = kept
        } else {
            used = try BlockingConnection(
                to: endpoint, environment: environment, deadline: deadline)
        }
        // Only a connection on which a whole answer was read is used again.
        connection = nil
        try used.write(encode(request), deadline: deadline)
        let (response, canStay) = try Self.readResponse(
            used, isHead: request.method == "HEAD", deadline: deadline)
        if canStay { connection = used }
        return response
    }

    private func encode(_ request: HTTPSinkRequest) -> [UInt8] {
        var head = "\(request.method) \(request.target) HTTP/1.1\r\n"
        head += "Host: \(endpoint.hostField)\r\n"
        for field in request.fields { head += "\(field.name): \(field.value)\r\n" }
        if !request.body.isEmpty || request.method != "GET" && request.method != "HEAD" {
            head += "Content-Length: \(request.body.count)\r\n"
        }
        return Array((head + "\r\n").utf8) + request.body
    }

    /// Reads interim answers (1xx) away and then the final one.
    private static func readResponse(
        _ connection: BlockingConnection, isHead: Bool, deadline: UInt64
    ) throws(SinkError) -> (HTTPSinkResponse, canStay: Bool) {
        while true {
            var (response, isOld) = try readHead(connection, deadline: deadline)
            if response.status / 100 == 1 { continue }
            let hasNoBody = isHead || response.status == 204 || response.status == 304
            let connectionField = response.field("Connection")?.lowercased() ?? ""
            var canStay = isOld ? connectionField == "keep-alive" : connectionField != "close"
            if hasNoBody { return (response, canStay) }
            if response.field("Transfer-Encoding")?.lowercased() == "chunked" {
                response.body = try readBody(
                    BodyDecoder(chunked: ()), connection, deadline: deadline)
            } else if let text = response.field("Content-Length") {
                guard let count = Int(text), count >= 0, count <= limits.bodyByteCountMax else {
                    throw .malformedAnswer("content length \"\(text)\"")
                }
                response.body = try connection.read(count, deadline: deadline)
            } else {
                response.body = try connection.readToEnd(
                    limit: limits.bodyByteCountMax, deadline: deadline)
                canStay = false
            }
            return (response, canStay)
        }
    }

    private static func readHead(
        _ connection: BlockingConnection, deadline: UInt64
    ) throws(SinkError) -> (HTTPSinkResponse, isOld: Bool) {
        let line = String(
            decoding: try connection.readLine(limit: 8_192, deadline: deadline), as: UTF8.self)
        let parts = line.split(separator: " ", maxSplits: 2)
        guard parts.count >= 2, parts[0].hasPrefix("HTTP/1."), let status = Int(parts[1]),
            (100...599).contains(status)
        else { throw .malformedAnswer("status line \"\(line.prefix(80))\"") }
        var response = HTTPSinkResponse(status: status)
        while true {
            let bytes = try connection.readLine(limit: 32_768, deadline: deadline)
            if bytes.isEmpty { return (response, parts[0] == "HTTP/1.0") }
            guard response.fields.count < 200 else {
                throw .malformedAnswer("more than 200 header fields")
            }
            do throws(HTTPRefusal) {
                response.fields.append(try parseField(bytes))
            } catch {
                throw .malformedAnswer(error.reason.description)
            }
        }
    }

    private static func parseField(
        _ bytes: [UInt8]
    ) throws(HTTPRefusal) -> (name: String, value: String) {
        // The standard library's closure throws anything, so the error travels as a value.
        let result = bytes.withUnsafeBytes { raw -> Result<(String, String), HTTPRefusal> in
            do throws(HTTPRefusal) {
                let field = try FieldLine(raw, 0, raw.count)
                return .success((text(field.name), text(field.value)))
            } catch {
                return .failure(error)
            }
            func text(_ range: HTTPSyntax.Extent) -> String {
                String(decoding: raw[Int(range.start)..<Int(range.end)], as: UTF8.self)
            }
        }
        return try result.get()
    }

    private static func readBody(
        _ start: BodyDecoder, _ connection: BlockingConnection, deadline: UInt64
    ) throws(SinkError) -> [UInt8] {
        var decoder = start
        var body: [UInt8] = []
        while !decoder.isComplete {
            let result = connection.buffered.withUnsafeBytes { raw -> Result<Int, HTTPRefusal> in
                do throws(HTTPRefusal) {
                    return .success(
                        try decoder.consume(raw, limits: limits) { body.append(contentsOf: $0) })
                } catch {
                    return .failure(error)
                }
            }
            switch result {
            case .success(let consumed): connection.consume(consumed)
            case .failure(let refusal): throw .malformedAnswer(refusal.reason.description)
            }
            if !decoder.isComplete { try connection.receiveMore(deadline: deadline) }
        }
        return body
    }
}
