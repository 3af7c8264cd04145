import Wire

extension SinkDefinition {
    /// Riemann over TCP.
    static let riemann = SinkDefinition(
        "riemann", "Riemann over TCP, HOST:PORT",
        [
            SinkOption("ttl", "seconds that an event lives; default 60"),
            SinkOption("state", "the events' state"),
            SinkOption(
                "tags", "a tag of every event; may be repeated; default heapster", repeatable: true),
            SinkOption("batchsize", "events in a message; default 1000"),
        ]
    ) { (uri, options) throws(SinkConfigurationError) in
        var settings = RiemannEncoder.Options()
        settings.ttlSeconds =
            Float(
                try options.duration("ttl", defaultMilliseconds: 60_000, bareSeconds: true)) / 1_000
        settings.state = options.string("state", default: "")
        let tags = options.list("tags")
        if !tags.isEmpty { settings.tags = tags }
        settings.batchSize = try options.integer("batchsize", default: 1_000, in: 1...100_000)
        let endpoint = SinkEndpoint(
            address: HostAndPort(
                host: uri.host.isEmpty ? "riemann-heapster" : uri.host, port: uri.port ?? 5_555),
            tls: nil)
        return SinkPlan(
            encoder: RiemannEncoder(settings), order: .oldestFirst, overwrites: false,
            clusterIsLabel: true
        ) {
            StreamDelivery(RiemannConversation(), endpoint, environment: $0)
        }
    }
}

/// A message behind its length, and the server's message about it.
struct RiemannConversation: StreamSinkProtocol {
    private static let answerByteCountMax = 1 << 20

    /// A message without events.
    mutating func probe(_ connection: BlockingConnection, deadline: UInt64) throws(SinkError) {
        let nothing = SinkRequest(cycle: 0, pointCount: 0, body: [])
        if case .failed(let reason, _) = try send(nothing, over: connection, deadline: deadline) {
            throw .backend(reason)
        }
    }

    mutating func send(
        _ request: SinkRequest, over connection: BlockingConnection, deadline: UInt64
    ) throws(SinkError) -> DeliveryOutcome {
        var bytes: [UInt8] = []
        withUnsafeBytes(of: UInt32(request.body.count).bigEndian) { bytes.append(contentsOf: $0) }
        try connection.write(bytes + request.body, deadline: deadline)
        let length = try connection.read(4, deadline: deadline).reduce(0) { $0 << 8 | Int($1) }
        guard length <= Self.answerByteCountMax else {
            throw .malformedAnswer("Riemann: a message of \(length) bytes")
        }
        let answer = try connection.read(length, deadline: deadline)
        if let isOK = Self.isOK(answer), isOK { return .accepted }
        let shown = String(decoding: answer.prefix(200).filter { $0 >= 0x20 }, as: UTF8.self)
        return .failed(reason: "Riemann: \(shown)")
    }

    /// Field 2, `ok`, of a `Msg`; the others are skipped. `nil` for malformed bytes.
    static func isOK(_ message: [UInt8]) -> Bool? {
        var fields = ProtobufReader(message)
        var result = false
        while let (field, value) = fields.next() {
            if field == 2, case .varint(let number) = value { result = number != 0 }
        }
        return fields.isMalformed ? nil : result
    }
}
