import Wire

extension SinkDefinition {
    /// Hawkular Metrics.
    static let hawkular = SinkDefinition(
        "hawkular", "Hawkular Metrics",
        [
            SinkOption("tenant", "the tenant; default heapster"),
            SinkOption("labelToTenant", "the label whose value is the tenant, where a set has it"),
            SinkOption("labelNodeId", "the label that names a node; default nodename"),
            SinkOption("labelTagPrefix", "before tags from objects' labels; default labels."),
            SinkOption("useServiceAccount", "true: this pod's own token"),
            SinkOption("user", "user name"),
            SinkOption("pass", "password", secret: true),
            SinkOption("token", "bearer token", secret: true),
            SinkOption(
                "filter",
                "label(KEY:PATTERN) or name(PATTERN) to leave out, * for anything; may be repeated",
                repeatable: true),
            SinkOption("batchSize", "points in a request; default 1000"),
            SinkOption("concurrencyLimit", "requests in flight; default 1"),
            SinkOption("disablePreCache", "accepted: tags are sent at first sight"),
            SinkOption("caCert", "as cacert"),
            SinkOption("insecure", "as insecuressl"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        var target = try HTTPTarget(uri, options, defaultHost: nil, defaultPort: 8_080)
        if target.endpoints[0].tls != nil {
            if let path = options.string("caCert") { target.endpoints[0].tls?.authorityFile = path }
            if try options.boolean("insecure", default: false) {
                target.endpoints[0].tls?.skipsVerification = true
            }
        }
        var settings = HawkularEncoder.Options()
        settings.labelNodeID = options.string("labelNodeId", default: "nodename")
        settings.labelToTenant = options.string("labelToTenant")
        settings.labelTagPrefix = options.string("labelTagPrefix", default: "labels.")
        settings.batchSize = try options.integer("batchSize", default: 1_000, in: 1...100_000)
        for filter in options.strings("filter") { try add(filter, to: &settings, uri) }
        var credentials = HTTPCredentials.none
        if try options.boolean("useServiceAccount", default: false) {
            let path = "/var/run/secrets/kubernetes.io/serviceaccount/token"
            credentials = .token(scheme: "Bearer", .file(path))
        } else if let token = options.secret("token") {
            credentials = .token(scheme: "Bearer", token)
        } else if let user = options.string("user") {
            credentials = .basic(user: user, password: try options.requiredSecret("pass"))
        }
        let backend = HawkularBackend(
            basePath: target.basePath, tenant: options.string("tenant", default: "heapster"),
            credentials: credentials)
        return SinkPlan(
            encoder: HawkularEncoder(settings), order: .freshestFirst, overwrites: true,
            concurrency: try options.integer("concurrencyLimit", default: 1, in: 1...64),
            clusterIsLabel: true
        ) { [endpoints = target.endpoints] in
            HTTPDelivery(backend, endpoints, environment: $0)
        }
    }

    private static func add(
        _ filter: String, to settings: inout HawkularEncoder.Options, _ uri: SinkURI
    ) throws(SinkConfigurationError) {
        let expected = "label(KEY:PATTERN) or name(PATTERN)"
        guard let open = filter.firstIndex(of: "("), filter.last == ")" else {
            throw .badValue(sink: uri.kind, option: "filter", expected: expected)
        }
        let pattern = filter[filter.index(after: open)...].dropLast()
        switch filter[..<open] {
        case "name": settings.dropsByName.append(NamePattern(pattern))
        case "label":
            guard let colon = pattern.firstIndex(of: ":") else {
                throw .badValue(sink: uri.kind, option: "filter", expected: expected)
            }
            settings.dropsByLabel.append(
                (
                    String(pattern[..<colon]),
                    NamePattern(pattern[pattern.index(after: colon)...])
                ))
        default: throw .badValue(sink: uri.kind, option: "filter", expected: expected)
        }
    }
}

/// Sends tags at the first sight of a metric, then points: gauges and counters apart.
struct HawkularBackend: HTTPSinkBackend {
    let basePath: String
    let tenant: String
    let credentials: HTTPCredentials
    /// Where points of one kind go.
    private struct Destination: Hashable {
        var tenant: String
        /// `gauges` or `counters`.
        var type: String
    }

    /// Metrics whose tags were sent; forgotten all at once when there are very many.
    private var known: Set<UInt64> = []
    private static let knownCountMax = 2_000_000

    init(basePath: String, tenant: String, credentials: HTTPCredentials) {
        self.basePath = basePath
        self.tenant = tenant
        self.credentials = credentials
    }

    mutating func deliver(
        _ request: SinkRequest, _ exchange: HTTPExchange
    ) throws(SinkError) -> DeliveryOutcome? {
        guard let messages = MessageRow.parse(request.body) else {
            return .refused(reason: "the request is damaged")
        }
        var parts: [Destination: Part] = [:]
        for message in messages {
            var key = String(decoding: message.key, as: UTF8.self)[...]
            var owner = tenant
            if let tab = key.firstIndex(of: "\t") {
                if tab > key.startIndex { owner = String(key[..<tab]) }
                key = key[key.index(after: tab)...]
            }
            guard let slash = key.firstIndex(of: "/"), let end = message.value.firstIndex(of: 0x0A)
            else { return .refused(reason: "the request is damaged") }
            let (type, id) = (String(key[..<slash]), String(key[key.index(after: slash)...]))
            let place = Destination(tenant: owner, type: type)
            try sendTags(message.value[..<end], of: id, place, exchange)
            parts[place, default: Part()].add(id, message)
        }
        var refused = SinkRequest(cycle: request.cycle, pointCount: 0, body: [])
        var refusal = ""
        for (place, part) in parts {
            let body = Array("[".utf8) + part.rows.bytes + Array("]".utf8)
            switch HTTPVerdict.byStatus(try call(.post, "raw", of: place, body, exchange)) {
            case .accepted, .partly: continue
            // Of the others nothing is known yet.
            case .refused(let reason):
                refused.pointCount += part.count
                refused.body += part.messages
                refusal = "\(place.type): \(reason)"
            // What was taken is sent again, and replaces itself.
            case .failed(let reason, let seconds):
                return .failed(reason: reason, retryAfterSeconds: seconds)
            }
        }
        if refused.pointCount == 0 { return .accepted }
        return .partly(remaining: nil, refused: refused, reason: refusal)
    }

    /// The points of a request that go to one place.
    private struct Part {
        /// Members of a JSON array.
        var rows = JSONWriter()
        /// The same as in the request.
        var messages: [UInt8] = []
        var count = 0

        mutating func add(
            _ id: String, _ message: (key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)
        ) {
            let end = message.value.firstIndex(of: 0x0A) ?? message.value.endIndex
            if count > 0 { rows.bytes.append(UInt8(ascii: ",")) }
            var row = JSONWriter()
            row.beginObject()
            row.key("id")
            row.string(id)
            row.key("data")
            row.beginArray()
            row.raw(message.value[end...].dropFirst())
            row.endArray()
            row.endObject()
            rows.bytes += row.bytes
            MessageRow.append(key: Array(message.key), value: Array(message.value), to: &messages)
            count += 1
        }
    }

    mutating func probe(_ exchange: HTTPExchange) throws(SinkError) -> HTTPClientAnswer? {
        let place = Destination(tenant: tenant, type: "gauges")
        return try call(.post, "raw", of: place, Array("[]".utf8), exchange)
    }

    private mutating func sendTags(
        _ tags: ArraySlice<UInt8>, of id: String, _ place: Destination, _ exchange: HTTPExchange
    ) throws(SinkError) {
        var hasher = Hasher()
        hasher.combine(place)
        hasher.combine(id)
        hasher.combine(Array(tags))
        let mark = UInt64(bitPattern: Int64(hasher.finalize()))
        if known.contains(mark) { return }
        let response = try call(
            .put, "\(URLText.encode(id))/tags", of: place, Array(tags), exchange)
        guard response.status / 100 == 2 else {
            throw .backend("tags of \(id): HTTP \(response.status) \(response.excerpt)")
        }
        if known.count >= Self.knownCountMax { known.removeAll() }
        known.insert(mark)
    }

    private func call(
        _ method: HTTPMethod, _ path: String, of place: Destination, _ body: [UInt8],
        _ exchange: HTTPExchange
    ) throws(SinkError) -> HTTPClientAnswer {
        let fields =
            try credentials.fields() + [
                ("Content-Type", "application/json"), ("Hawkular-Tenant", place.tenant),
            ]
        return try exchange(
            HTTPClientRequest(
                method, "\(basePath)/hawkular/metrics/\(place.type)/\(path)", fields: fields,
                body: body))
    }

    func httpRequest(for request: SinkRequest) throws(SinkError) -> HTTPClientRequest {
        throw .unavailable("Hawkular takes more than one request")
    }
}
