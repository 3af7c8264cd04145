import Wire

extension SinkDefinition {
    /// Google Cloud Monitoring, with the monitored resources of Kubernetes Engine.
    static let stackdriver = SinkDefinition(
        "stackdriver", "Google Cloud Monitoring, Kubernetes Engine's metrics",
        [
            SinkOption("use_old_resources", "true (default): gke_container"),
            SinkOption("use_new_resources", "true: k8s_container, k8s_pod, k8s_node"),
            SinkOption("min_interval_sec", "seconds between two batches that are sent"),
            SinkOption("batch_export_timeout_sec", "accepted: see timeout"),
            SinkOption("initial_delay_sec", "accepted: requests wait for nothing"),
            SinkOption("cluster_location", "where the cluster is"),
            SinkOption("zone", "where this runs"),
        ] + GoogleCredentials.options
    ) { (uri, options) throws(SinkConfigurationError) in
        var settings = StackdriverEncoder.Options()
        settings.usesOldResources = try options.boolean("use_old_resources", default: true)
        settings.usesNewResources = try options.boolean("use_new_resources", default: false)
        settings.clusterName = options.string("cluster_name", default: "")
        settings.zone = options.string("zone", default: "")
        settings.location = options.string("cluster_location", default: settings.zone)
        settings.intervalMilliseconds = try options.duration(
            "min_interval_sec", defaultMilliseconds: 0, bareSeconds: true)
        let backend = try GoogleBackend(
            options, kind: uri.kind, scope: "https://www.googleapis.com/auth/monitoring.write",
            server: "monitoring.googleapis.com"
        ) { "/v3/projects/\($0)/timeSeries" }
        // Cloud Monitoring refuses points older than the newest of a series.
        return SinkPlan(
            encoder: StackdriverEncoder(settings), order: .oldestFirst, overwrites: false,
            latePoints: .onlyInOrder
        ) { HTTPDelivery(backend, [backend.endpoint], environment: $0) }
    }

    /// Google Cloud Monitoring, custom metrics.
    static let gcm = SinkDefinition(
        "gcm", "Google Cloud Monitoring, custom metrics",
        [SinkOption("metrics", "all (default) or autoscaling")] + GoogleCredentials.options
    ) { (uri, options) throws(SinkConfigurationError) in
        let metrics = try options.choice("metrics", default: "all", of: ["all", "autoscaling"])
        let backend = try GoogleBackend(
            options, kind: uri.kind, scope: "https://www.googleapis.com/auth/monitoring",
            server: "monitoring.googleapis.com"
        ) { "/v3/projects/\($0)/timeSeries" }
        return SinkPlan(
            encoder: GCMEncoder(onlyAutoscaling: metrics == "autoscaling"), order: .oldestFirst,
            overwrites: false, latePoints: .onlyInOrder, clusterIsLabel: true
        ) { HTTPDelivery(backend, [backend.endpoint], environment: $0) }
    }

    /// cAdvisor's storage driver of that name.
    static let bigQuery = SinkDefinition(
        "bigquery", "rows in a BigQuery table",
        [
            SinkOption("dataset", "the dataset; default cadvisor"),
            SinkOption("table", "the table; default stats"),
        ] + GoogleCredentials.options
    ) { (uri, options) throws(SinkConfigurationError) in
        let dataset = URLText.encode(options.string("dataset", default: "cadvisor"))
        let table = URLText.encode(options.string("table", default: "stats"))
        var backend = try GoogleBackend(
            options, kind: uri.kind, scope: "https://www.googleapis.com/auth/bigquery.insertdata",
            server: "bigquery.googleapis.com"
        ) { "/bigquery/v2/projects/\($0)/datasets/\(dataset)/tables/\(table)/insertAll" }
        let encoder = BigQueryEncoder(
            clusterName: options.string("cluster_name", default: "default"))
        backend.rows = encoder.envelope
        return SinkPlan(
            encoder: encoder, order: .freshestFirst, overwrites: false
        ) { [backend] in HTTPDelivery(backend, [backend.endpoint], environment: $0) }
    }
}

/// One POST of JSON with an access token, to a path with the project in it.
struct GoogleBackend: HTTPSinkBackend {
    let endpoint: SinkEndpoint
    /// What stands around rows, where an answer of 200 can name some that were not taken.
    var rows: RequestEnvelope?
    private var credentials: GoogleCredentials
    private let path: @Sendable (String) -> String
    private var authorization: [(name: String, value: String)] = []

    init(
        _ options: SinkOptions, kind: String, scope: String, server: String,
        path: @escaping @Sendable (String) -> String
    ) throws(SinkConfigurationError) {
        credentials = try GoogleCredentials(options, kind: kind, scope: scope)
        self.path = path
        let uri = try SinkURI(
            parsing: "\(kind):\(options.string("api", default: "https://\(server)"))")
        let isSecure = uri.scheme != "http"
        endpoint = SinkEndpoint(
            address: HostAndPort(host: uri.host, port: uri.port ?? (isSecure ? 443 : 80)),
            tls: isSecure ? SinkTLS() : nil)
    }

    mutating func deliver(
        _ request: SinkRequest, _ exchange: HTTPExchange
    ) throws(SinkError) -> DeliveryOutcome? {
        authorization = try credentials.fields(exchange)
        _ = try credentials.findProject(exchange)
        return nil
    }

    /// A token and the project; writing nothing is an error in these interfaces.
    mutating func probe(_ exchange: HTTPExchange) throws(SinkError) -> HTTPSinkResponse? {
        authorization = try credentials.fields(exchange)
        _ = try credentials.findProject(exchange)
        return nil
    }

    func httpRequest(for request: SinkRequest) throws(SinkError) -> HTTPSinkRequest {
        HTTPSinkRequest(
            "POST", path(credentials.project ?? ""),
            fields: authorization + [("Content-Type", "application/json")], body: request.body)
    }

    func judge(_ response: HTTPSinkResponse, _ request: SinkRequest) -> DeliveryOutcome {
        guard response.status == 200, let rows else { return HTTPVerdict.byStatus(response) }
        guard let verdicts = ItemVerdicts(bigQuery: response.body) else {
            return .failed(reason: "the answer to insertAll is not JSON as documented")
        }
        // With skipInvalidRows the others were taken.
        return verdicts.outcome(of: request, in: rows)
    }
}

/// Points of Cloud Monitoring version 3
/// (<https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.timeSeries/create>).
struct TimeSeriesWriter: Sendable {
    private(set) var json = JSONWriter()
    private var end = ""

    mutating func begin(cycle: Int64) { end = RFC3339.string(milliseconds: cycle) }

    /// - Parameter start: milliseconds since the epoch for cumulative values; `nil` for gauges.
    mutating func series(
        metric: String, metricLabels: [(String, String)], resource: String,
        resourceLabels: [(String, String)], start: Int64?, value: MetricValue
    ) {
        json.bytes.removeAll(keepingCapacity: true)
        json.beginObject()
        json.key("metric")
        typed(metric, metricLabels)
        if !resource.isEmpty {
            json.key("resource")
            typed(resource, resourceLabels)
        }
        json.key("metricKind")
        json.string(start == nil ? "GAUGE" : "CUMULATIVE")
        json.key("valueType")
        let (type, name): (String, String) =
            if case .integer = value { ("INT64", "int64Value") } else { ("DOUBLE", "doubleValue") }
        json.string(type)
        json.key("points")
        json.beginArray()
        json.beginObject()
        json.key("interval")
        json.beginObject()
        json.key("startTime")
        json.string(start.map { RFC3339.string(milliseconds: $0) } ?? end)
        json.key("endTime")
        json.string(end)
        json.endObject()
        json.key("value")
        json.beginObject()
        json.key(name)
        switch value {
        // 64 bits go as text in Google's JSON.
        case .integer(let whole): json.string(String(whole))
        case .float(let number): json.double(number)
        }
        json.endObject()
        json.endObject()
        json.endArray()
        json.endObject()
    }

    private mutating func typed(_ type: String, _ labels: [(String, String)]) {
        json.beginObject()
        json.key("type")
        json.string(type)
        json.key("labels")
        json.beginObject()
        for (key, value) in labels {
            json.key(key)
            json.string(value)
        }
        json.endObject()
        json.endObject()
    }

    static let envelope = RequestEnvelope(
        open: Array("{\"timeSeries\":[".utf8), separator: Array(",".utf8), close: Array("]}".utf8))
    /// The documented most series of a request.
    static let limits = RequestLimits(byteCountMax: 4 << 20, pointCountMax: 200)
}
