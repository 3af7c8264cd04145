import Wire

extension SinkDefinition {
    /// cAdvisor's storage driver of that name: sets as JSON on a list.
    static let redis = SinkDefinition(
        "redis", "a list in Redis, HOST:PORT",
        [
            SinkOption("key", "the list; default heapwire"),
            SinkOption("length", "sets that are kept on the list; default 100000, 0 for all"),
            SinkOption("user", "user name"),
            SinkOption("pw", "password", secret: true),
            SinkOption("db", "database number; default 0"),
            SinkOption("secure", "true: TLS"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        let encoder = SetJSONEncoder(
            clusterName: options.string("cluster_name", default: "default"))
        let conversation = RedisConversation(
            key: options.string("key", default: "heapwire"),
            length: try options.integer("length", default: 100_000, in: 0...(1 << 40)),
            user: options.string("user"), password: options.secret("pw"),
            database: try options.integer("db", default: 0, in: 0...65_535))
        let endpoint = SinkEndpoint(
            address: HostAndPort(
                host: uri.host.isEmpty ? "localhost" : uri.host, port: uri.port ?? 6_379),
            tls: try options.boolean("secure", default: false) ? try SinkTLS(options) : nil)
        return SinkPlan(encoder: encoder, order: .oldestFirst, overwrites: false) {
            StreamDelivery(conversation, endpoint, environment: $0)
        }
    }
}

/// Redis' protocol (<https://redis.io/docs/latest/develop/reference/protocol-spec/>): each line of a request is pushed
/// in front of the list, which is then cut to its length, all in one transaction.
struct RedisConversation: StreamSinkProtocol {
    let key: String
    let length: Int
    let user: String?
    let password: Secret?
    let database: Int

    mutating func greet(_ connection: BlockingConnection, deadline: UInt64) throws(SinkError) {
        if let password {
            let words = ["AUTH"] + (user.map { [$0] } ?? []) + [try password.reveal()]
            try expectOK(connection, words.map { Array($0.utf8) }, deadline)
        }
        if database != 0 {
            try expectOK(connection, [Array("SELECT".utf8), Array("\(database)".utf8)], deadline)
        }
    }

    mutating func probe(_ connection: BlockingConnection, deadline: UInt64) throws(SinkError) {
        try expectOK(connection, [Array("PING".utf8)], deadline)
    }

    private func expectOK(
        _ connection: BlockingConnection, _ words: [[UInt8]], _ deadline: UInt64
    ) throws(SinkError) {
        var bytes: [UInt8] = []
        Self.append(words, to: &bytes)
        try connection.write(bytes, deadline: deadline)
        if let error = try Self.reply(connection, deadline) { throw .backend("Redis: \(error)") }
    }

    mutating func send(
        _ request: SinkRequest, over connection: BlockingConnection, deadline: UInt64
    ) throws(SinkError) -> DeliveryOutcome {
        let name = Array(key.utf8)
        let lines = request.body.split(separator: UInt8(ascii: "\n")).map { Array($0) }
        var bytes: [UInt8] = []
        Self.append([Array("MULTI".utf8)], to: &bytes)
        Self.append([Array("LPUSH".utf8), name] + lines, to: &bytes)
        if length > 0 {
            Self.append(
                [Array("LTRIM".utf8), name, [0x30], Array("\(length - 1)".utf8)], to: &bytes)
        }
        Self.append([Array("EXEC".utf8)], to: &bytes)
        try connection.write(bytes, deadline: deadline)
        var failure: String?
        for _ in 0..<(length > 0 ? 4 : 3) {
            if let error = try Self.reply(connection, deadline) { failure = failure ?? error }
        }
        guard let failure else { return .accepted }
        // A key of another type will not become a list by waiting.
        return failure.hasPrefix("WRONGTYPE")
            ? .refused(reason: "Redis: \(failure)") : .failed(reason: "Redis: \(failure)")
    }

    private static func append(_ words: [[UInt8]], to bytes: inout [UInt8]) {
        bytes += Array("*\(words.count)\r\n".utf8)
        for word in words {
            bytes += Array("$\(word.count)\r\n".utf8)
            bytes += word
            bytes += [0x0D, 0x0A]
        }
    }

    /// Arrays in arrays: EXEC answers with one of plain replies.
    private static let depthMax = 4

    /// Reads one reply; its error text if it is one, or has one in it.
    private static func reply(
        _ connection: BlockingConnection, _ deadline: UInt64, depth: Int = 0
    ) throws(SinkError) -> String? {
        let line = try connection.readLine(limit: 65_536, deadline: deadline)
        let text = String(decoding: line.dropFirst(), as: UTF8.self)
        switch line.first {
        case UInt8(ascii: "+"), UInt8(ascii: ":"): return nil
        case UInt8(ascii: "-"): return text
        case UInt8(ascii: "$"):
            guard let count = Int(text), count <= 1 << 20 else {
                throw .malformedAnswer("Redis: $\(text)")
            }
            if count >= 0 { _ = try connection.read(count + 2, deadline: deadline) }
            return nil
        case UInt8(ascii: "*"):
            guard let count = Int(text), count <= 1_024, depth < depthMax else {
                throw .malformedAnswer("Redis: *\(text)")
            }
            var failure: String?
            for _ in 0..<max(0, count) {
                if let error = try reply(connection, deadline, depth: depth + 1) {
                    failure = failure ?? error
                }
            }
            return failure
        default:
            throw .malformedAnswer("Redis: \(String(decoding: line.prefix(80), as: UTF8.self))")
        }
    }
}
