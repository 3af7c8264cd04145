import Wire

extension SinkDefinition {
    /// OpenTelemetry over HTTP.
    static let otlp = SinkDefinition(
        "otlp", "OpenTelemetry metrics over OTLP/HTTP",
        [
            SinkOption(
                "header", "NAME:VALUE, another header field", secret: true, repeatable: true),
            SinkOption("gzip", "false: do not compress"),
        ] + HTTPCredentials.options + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        var target = try HTTPTarget(uri, options, defaultHost: "localhost", defaultPort: 4_318)
        if target.basePath.isEmpty { target.basePath = "/v1/metrics" }
        let isCompressed = try options.boolean("gzip", default: true)
        var fields: [(name: String, value: String)] = [
            ("Content-Type", "application/x-protobuf")
        ]
        if isCompressed { fields.append(("Content-Encoding", "gzip")) }
        fields += try options.headerFields(kind: uri.kind)
        var backend = PostBackend(
            target: target.basePath, fields: fields, credentials: try HTTPCredentials(options),
            emptyBody: isCompressed ? BodyPacking.gzip.pack([]) : [])
        backend.verdict = { OTLPAnswer.verdict($0, $1) }
        let encoder = OTLPEncoder(
            clusterName: options.string("cluster_name", default: "default"),
            packing: isCompressed ? .gzip : .none)
        return SinkPlan(encoder: encoder, order: .freshestFirst, overwrites: true) {
            [backend, endpoints = target.endpoints] in
            HTTPDelivery(backend, endpoints, environment: $0)
        }
    }
}

/// `ExportMetricsServiceResponse`: a success that may name points which were not taken, and never will be
/// (<https://opentelemetry.io/docs/specs/otlp/#partial-success-1>).
enum OTLPAnswer {
    static func verdict(_ response: HTTPClientAnswer, _ request: SinkRequest) -> DeliveryOutcome {
        guard response.status == 200, let (rejected, words) = partialSuccess(response.body),
            rejected > 0
        else { return HTTPVerdict.byStatus(response) }
        var refused = request
        refused.pointCount = Int(clamping: Swift.min(rejected, UInt64(request.pointCount)))
        return .partly(
            remaining: nil, refused: refused, reason: "\(rejected) points rejected: \(words)")
    }

    /// partial_success = 1 { rejected_data_points = 1, error_message = 2 }; `nil` where the body has none.
    static func partialSuccess(_ body: [UInt8]) -> (rejected: UInt64, words: String)? {
        for (field, value) in ProtobufReader(body) {
            guard field == 1, case .bytes(let message) = value else { continue }
            var rejected: UInt64 = 0
            var words = ""
            for (field, value) in ProtobufReader(message) {
                switch (field, value) {
                // An int64: what is negative counts as nothing.
                case (1, .varint(let count)): rejected = count > UInt64(Int64.max) ? 0 : count
                case (2, .bytes(let text)):
                    words = String(decoding: text.prefix(300).filter { $0 >= 0x20 }, as: UTF8.self)
                default: break
                }
            }
            return (rejected, words)
        }
        return nil
    }
}
