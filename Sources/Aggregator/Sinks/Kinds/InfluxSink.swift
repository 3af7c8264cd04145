import Wire

extension SinkDefinition {
    /// InfluxDB 1 (database, user, password) and 2 (organisation, bucket, token).
    static let influxdb = SinkDefinition(
        "influxdb", "InfluxDB, versions 1 and 2",
        [
            SinkOption("user", "user name; default root"),
            SinkOption("pw", "password; default root", secret: true),
            SinkOption("db", "database; default k8s"),
            SinkOption("retention", "how long the database keeps points; default for ever"),
            SinkOption("rp", "retention policy; default \"default\""),
            SinkOption("secure", "true: TLS"),
            SinkOption("withfields", "true: one measurement for each family of metrics"),
            SinkOption("disable_counter_metrics", "true: leave out counters that have a rate"),
            SinkOption("concurrency", "requests in flight; default 1"),
            SinkOption("gzip", "true: compress"),
            SinkOption("org", "organisation, version 2"),
            SinkOption("bucket", "bucket, version 2"),
            SinkOption("token", "token, version 2", secret: true),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        let target = try HTTPTarget(
            uri, options, defaultHost: "monitoring-influxdb", defaultPort: 8_086,
            isSecure: options.boolean("secure", default: false))
        let encoder = InfluxEncoder(
            InfluxEncoder.Options(
                usesFields: try options.boolean("withfields", default: false),
                dropsCounters: try options.boolean("disable_counter_metrics", default: false),
                clusterName: options.string("cluster_name", default: "default"),
                allowedLabels: options.list("labels")),
            packing: try options.boolean("gzip", default: false) ? .gzip : .none)
        let backend = try InfluxBackend(options, basePath: target.basePath)
        return SinkPlan(
            encoder: encoder, order: .freshestFirst, overwrites: true,
            concurrency: try options.integer("concurrency", default: 1, in: 1...64)
        ) { environment in
            HTTPDelivery(backend, target.endpoints, environment: environment)
        }
    }
}

/// InfluxDB's HTTP interface (<https://docs.influxdata.com/influxdb/v1/tools/api/>, <https://docs.influxdata.com/influxdb/v2/api/>).
///
/// Mended against Heapster: the retention time is set whether the database exists already or not.
struct InfluxBackend: HTTPSinkBackend {
    private enum Version: Sendable {
        case one(database: String, policy: String, retention: Int64)
        case two(organisation: String, bucket: String, retention: Int64)
    }

    private let version: Version
    private let credentials: HTTPCredentials
    private let basePath: String
    private let isCompressed: Bool
    /// Version 2: whether a write said that the bucket is not there. Before, it is not looked for: a
    /// token that may only write cannot see it.
    private var bucketIsMissing = false

    init(_ options: SinkOptions, basePath: String) throws(SinkConfigurationError) {
        self.basePath = basePath
        isCompressed = try options.boolean("gzip", default: false)
        if let token = options.secret("token") {
            version = .two(
                organisation: try options.required("org"), bucket: try options.required("bucket"),
                retention: try options.duration("retention", defaultMilliseconds: 0))
            credentials = .token(scheme: "Token", token)
        } else {
            version = .one(
                database: options.string("db", default: "k8s"),
                policy: options.string("rp", default: "default"),
                retention: try options.duration("retention", defaultMilliseconds: 0))
            credentials = .basic(
                user: options.string("user", default: "root"),
                password: options.secret("pw") ?? .value("root"))
        }
    }

    mutating func prepare(_ exchange: HTTPExchange) throws(SinkError) {
        switch version {
        case .one(let database, let policy, let retention):
            try prepareDatabase(database, policy, retention, exchange)
        case .two(let organisation, let bucket, let retention):
            guard bucketIsMissing || retention > 0 else { return }
            try InfluxBuckets(
                credentials: credentials, basePath: basePath, organisation: organisation
            ).prepare(bucket, retentionSeconds: retention / 1_000, exchange)
            bucketIsMissing = false
        }
    }

    private func prepareDatabase(
        _ name: String, _ policyName: String, _ retention: Int64, _ exchange: HTTPExchange
    ) throws(SinkError) {
        let (database, policy) = (Self.quoted(name), Self.quoted(policyName))
        if retention == 0 {
            // As Heapster, which leaves a database that exists as it is...
            if try query("CREATE DATABASE \(database) WITH NAME \(policy)", exchange) != nil {
                // ...but here the policy that is written to is made where it is missing.
                let endless = "DURATION INF REPLICATION 1"
                let created = "CREATE RETENTION POLICY \(policy) ON \(database) \(endless)"
                let error = try query(created, exchange)
                if let error, Substring(error).range(of: "already exists") == nil {
                    throw .backend(error)
                }
            }
            return
        }
        try accepted(try query("CREATE DATABASE \(database)", exchange))
        let place = "\(policy) ON \(database)"
        let duration = "DURATION \(max(3_600, retention / 1_000))s REPLICATION 1"
        let created = try query("CREATE RETENTION POLICY \(place) \(duration) DEFAULT", exchange)
        // It exists, perhaps with another duration. Shards that are longer than what is to be kept (a week,
        // where that was for ever) would be an error; 0 lets the server choose.
        if created != nil {
            let shards = "SHARD DURATION 0s DEFAULT"
            try accepted(
                try query("ALTER RETENTION POLICY \(place) \(duration) \(shards)", exchange))
        }
    }

    /// Writes no line, which the server judges as any other write. A database that is not there
    /// yet is no problem: the first delivery makes it.
    mutating func probe(_ exchange: HTTPExchange) throws(SinkError) -> HTTPClientAnswer? {
        defer { bucketIsMissing = false }
        let empty = SinkRequest(
            cycle: 0, pointCount: 0, body: isCompressed ? BodyPacking.gzip.pack([0x0A]) : [0x0A])
        let response = try exchange(try httpRequest(for: empty))
        return needsPreparation(after: response)
            ? HTTPClientAnswer(head: HTTPClientHead(status: 204)) : response
    }

    private func accepted(_ error: String?) throws(SinkError) {
        if let error { throw .backend(error) }
    }

    /// The error in the answer, if there is one.
    private func query(_ text: String, _ exchange: HTTPExchange) throws(SinkError) -> String? {
        let fields =
            try credentials.fields() + [("Content-Type", "application/x-www-form-urlencoded")]
        let response = try exchange(
            HTTPClientRequest(
                .post, "\(basePath)/query", fields: fields,
                body: Array("q=\(URLText.encode(text))".utf8)))
        guard response.status == 200 else {
            throw .backend("HTTP \(response.status) \(response.excerpt)")
        }
        return Substring(response.excerpt).range(of: "\"error\"") == nil ? nil : response.excerpt
    }

    func httpRequest(for request: SinkRequest) throws(SinkError) -> HTTPClientRequest {
        let target: String
        switch version {
        case .one(let database, let policy, _):
            target =
                "/write?db=\(URLText.encode(database))&precision=ns&rp=\(URLText.encode(policy))"
        case .two(let organisation, let bucket, _):
            target =
                "/api/v2/write?org=\(URLText.encode(organisation))"
                + "&bucket=\(URLText.encode(bucket))&precision=ns"
        }
        var fields = try credentials.fields()
        fields.append(("Content-Type", "text/plain; charset=utf-8"))
        if isCompressed { fields.append(("Content-Encoding", "gzip")) }
        return HTTPClientRequest(.post, basePath + target, fields: fields, body: request.body)
    }

    mutating func needsPreparation(after response: HTTPClientAnswer) -> Bool {
        bucketIsMissing = response.status == 404
        // InfluxDB 1 calls it an error of its own when the policy is gone.
        let isPolicy = Substring(response.excerpt).range(of: "retention policy not found") != nil
        return bucketIsMissing || response.status >= 400 && isPolicy
    }

    /// A partial write has stored all lines but some: they are found, and set aside alone.
    mutating func inquire(
        after response: HTTPClientAnswer, _ request: SinkRequest, _ exchange: HTTPExchange
    ) -> DeliveryOutcome? {
        guard let first = InfluxPartialWrite(response) else { return nil }
        let body = isCompressed ? BodyPacking.gunzip(request.body) : request.body
        guard let body, let lines = InfluxLine.lines(of: body), !lines.isEmpty else {
            return .refused(reason: first.reason)
        }
        let packing: BodyPacking = isCompressed ? .gzip : .none
        var sieve = InfluxLineSieve(lines, first)
        while let part = sieve.next() {
            sieve.take(answer(to: packing.pack(part), exchange))
        }
        return sieve.outcome(cycle: request.cycle, packing: packing)
    }

    private func answer(to body: [UInt8], _ exchange: HTTPExchange) -> InfluxLineSieve.Answer {
        do throws(SinkError) {
            let part = SinkRequest(cycle: 0, pointCount: 0, body: body)
            let response = try exchange(try httpRequest(for: part))
            if let write = InfluxPartialWrite(response) { return .partial(write) }
            return switch HTTPVerdict.byStatus(response) {
            case .refused(let reason): .refused(reason: reason)
            case .failed(let reason, _): .failed(reason: reason)
            case .accepted, .partly: .accepted
            }
        } catch {
            return .failed(reason: error.description)
        }
    }

    private static func quoted(_ name: String) -> String {
        var text = "\""
        for character in name {
            if character == "\"" || character == "\\" { text += "\\" }
            text.append(character)
        }
        return text + "\""
    }
}
