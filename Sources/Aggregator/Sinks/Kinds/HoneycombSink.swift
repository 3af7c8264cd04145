import Wire

extension SinkDefinition {
    /// Honeycomb.
    static let honeycomb = SinkDefinition(
        "honeycomb", "Honeycomb's batch of events",
        [
            SinkOption("dataset", "the dataset; default heapster"),
            SinkOption("writekey", "the key; default from HONEYCOMB_WRITEKEY", secret: true),
            SinkOption("apihost", "the server; default https://api.honeycomb.io"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        let server = try SinkURI(
            parsing: "honeycomb:\(options.string("apihost", default: "https://api.honeycomb.io"))")
        let target = try HTTPTarget(
            uri.host.isEmpty ? server : uri, options, defaultHost: nil, defaultPort: 443)
        let fromEnvironment = SinkURI.processEnvironment("HONEYCOMB_WRITEKEY")
        guard let key = options.secret("writekey") ?? fromEnvironment.map({ .value($0) }) else {
            throw .missingOption(sink: uri.kind, option: "writekey")
        }
        let dataset = URLText.encode(options.string("dataset", default: "heapster"))
        let encoder = HoneycombEncoder()
        var backend = PostBackend(
            target: "\(target.basePath)/1/batch/\(dataset)",
            fields: [("Content-Type", "application/json")],
            credentials: .field("X-Honeycomb-Team", key))
        backend.verdict = { [envelope = encoder.envelope] response, request in
            guard response.status == 200 else { return HTTPVerdict.byStatus(response) }
            guard let verdicts = ItemVerdicts(honeycomb: response.body) else {
                return .failed(reason: "the answer to a batch is not JSON as documented")
            }
            return verdicts.outcome(of: request, in: envelope)
        }
        return SinkPlan(
            encoder: encoder, order: .freshestFirst, overwrites: false, clusterIsLabel: true
        ) {
            [backend, endpoints = target.endpoints] in
            HTTPDelivery(backend, endpoints, environment: $0)
        }
    }
}
