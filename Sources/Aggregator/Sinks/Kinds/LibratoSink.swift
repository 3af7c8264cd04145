import Wire

extension SinkDefinition {
    /// Librato.
    static let librato = SinkDefinition(
        "librato", "Librato's measurements with tags",
        [
            SinkOption("username", "user name"),
            SinkOption("token", "the user's token", secret: true),
            SinkOption("prefix", "before every name"),
            SinkOption("tags", "names of tags for all measurements, separated by commas"),
            SinkOption("tag_*", "the value of the tag of that name"),
            SinkOption("api", "the server; default https://metrics-api.librato.com"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        let address = options.string("api", default: "https://metrics-api.librato.com")
        let target = try HTTPTarget(
            try SinkURI(parsing: "librato:\(address)"), options, defaultHost: nil, defaultPort: 443)
        var tags: [Label] = []
        for name in options.list("tags") {
            if let value = options.string("tag_\(name)") {
                tags.append(Label(key: name, value: value))
            }
        }
        let backend = PostBackend(
            target: "\(target.basePath)/v1/measurements",
            fields: [("Content-Type", "application/json")],
            credentials: .basic(
                user: try options.required("username"),
                password: try options.requiredSecret("token")))
        let encoder = LibratoEncoder(prefix: options.string("prefix", default: ""), tags: tags)
        return SinkPlan(
            encoder: encoder, order: .freshestFirst, overwrites: true, clusterIsLabel: true
        ) {
            [endpoints = target.endpoints] in
            HTTPDelivery(backend, endpoints, environment: $0)
        }
    }
}
