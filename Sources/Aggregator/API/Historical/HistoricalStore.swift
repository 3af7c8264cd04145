import Wire

/// A store that the historical API asks over HTTP. Connections are kept, for as many questions as are
/// asked at once.
final class HistoricalStore: Sendable {
    private let client: BackendClient
    private let basePath: String
    private let credentials: HTTPCredentials
    private let timeoutMilliseconds: Int64
    private let clock: Clock

    init(
        _ target: HTTPTarget, _ credentials: HTTPCredentials, timeoutMilliseconds: Int64,
        environment: SinkEnvironment = SinkEnvironment()
    ) {
        client = BackendClient(target.endpoints[0], environment: environment)
        basePath = target.basePath
        self.credentials = credentials
        self.timeoutMilliseconds = timeoutMilliseconds
        clock = environment.clock
    }

    /// Asks with a form in the body, which has room for long questions.
    ///
    /// - Parameter path: below the store's base path.
    /// - Throws: `broken` when there is no answer, with the store's own words where it gave some.
    func ask(
        _ path: String, _ parameters: [(name: String, value: String)]
    ) throws(HistoricalFailure) -> HTTPClientAnswer {
        try perform(
            HTTPClientRequest(
                .post, basePath + path,
                fields: [("Content-Type", "application/x-www-form-urlencoded")],
                body: Array(Self.form(parameters).utf8)))
    }

    /// Asks with a query in the target.
    func get(
        _ path: String, _ parameters: [(name: String, value: String)]
    ) throws(HistoricalFailure) -> HTTPClientAnswer {
        try perform(HTTPClientRequest(.get, "\(basePath)\(path)?\(Self.form(parameters))"))
    }

    private static func form(_ parameters: [(name: String, value: String)]) -> String {
        parameters.map { "\(URLText.encode($0.name))=\(URLText.encode($0.value))" }
            .joined(separator: "&")
    }

    private func perform(_ request: HTTPClientRequest) throws(HistoricalFailure) -> HTTPClientAnswer
    {
        let deadline = clock.monotonicNanoseconds + UInt64(timeoutMilliseconds) * 1_000_000
        do throws(SinkError) {
            var request = request
            request.fields += try credentials.fields() + [("Accept", "application/json")]
            return try client.perform(request, deadline: deadline)
        } catch {
            throw .broken("\(client.endpoint.address): \(error)")
        }
    }

    /// An answer that is not 200, in words.
    func refusal(_ response: HTTPClientAnswer) -> HistoricalFailure {
        .broken("\(client.endpoint.address) answered \(response.status) \(response.excerpt)")
    }

    func malformed(_ error: JSONError) -> HistoricalFailure {
        .broken("the answer of \(client.endpoint.address) cannot be read: \(error)")
    }
}

/// `--historical-source`, taken apart: `KIND:URI?OPTIONS`, as a sink's flag, which it may be equal to.
enum HistoricalSourceFlag {
    static let prometheusOptions: [SinkOption] =
        [
            SinkOption("prefix", "beginning of the metrics' names; default heapwire_"),
            SinkOption("cluster_name", "value of the label cluster; default \"default\""),
            SinkOption("user", "user name"),
            SinkOption("pw", "password", secret: true),
            SinkOption("token", "bearer token", secret: true),
            SinkOption("timeout", "how long a question may take; default 20s"),
        ] + SinkOption.tls

    /// - Throws: everything that is wrong with the flag.
    static func source(
        _ text: String, environment: (String) -> String? = SinkURI.processEnvironment
    ) throws(SinkConfigurationError) -> any HistoricalSource {
        let uri = try SinkURI(parsing: text, environment: environment)
        switch uri.kind {
        case "influxdb":
            let options = try SinkOptions(uri, known: SinkDefinition.influxdb.allOptions)
            guard options.secret("token") == nil else {
                throw .badValue(
                    sink: uri.kind, option: "token",
                    expected: "absent: history is read with InfluxQL, give user and pw")
            }
            let target = try HTTPTarget(
                uri, options, defaultHost: "monitoring-influxdb", defaultPort: 8_086,
                isSecure: options.boolean("secure", default: false))
            let credentials = HTTPCredentials.basic(
                user: options.string("user", default: "root"),
                password: options.secret("pw") ?? .value("root"))
            return InfluxHistory(
                store: HistoricalStore(
                    target, credentials,
                    timeoutMilliseconds: try options.duration(
                        "timeout", defaultMilliseconds: 20_000)),
                database: options.string("db", default: "k8s"),
                usesFields: try options.boolean("withfields", default: false),
                clusterName: options.string("cluster_name", default: "default"))
        case "prometheus":
            let options = try SinkOptions(uri, known: prometheusOptions)
            let target = try HTTPTarget(uri, options, defaultHost: nil, defaultPort: 9_090)
            var credentials = HTTPCredentials.none
            if let token = options.secret("token") {
                credentials = .token(scheme: "Bearer", token)
            } else if let user = options.string("user") {
                credentials = .basic(user: user, password: options.secret("pw") ?? .value(""))
            }
            return PrometheusHistory(
                store: HistoricalStore(
                    target, credentials,
                    timeoutMilliseconds: try options.duration(
                        "timeout", defaultMilliseconds: 20_000)),
                prefix: options.string("prefix", default: "heapwire_"),
                clusterName: options.string("cluster_name", default: "default"))
        default: throw .unknownKind(kind: uri.kind, known: ["influxdb", "prometheus"])
        }
    }
}
