import Wire

/// The API's server and who may ask it.
final class APIService {
    let server: HTTPServer
    private let flags: APIFlags
    private let address: SocketAddress
    private let access: AccessControl

    /// Binds and starts.
    ///
    /// - Throws: `TransportError.cannotListen` with the remedy.
    init(
        _ flags: APIFlags, _ configuration: HTTPServerConfiguration,
        listeningOn address: SocketAddress, api: AggregatorAPI
    ) throws(TransportError) {
        self.flags = flags
        self.address = address
        let access = try AccessControl(flags.access)
        self.access = access
        let counters = HTTPCounters()
        var api = api
        api.ownMetrics.append { counters.snapshot.write(to: &$0) }
        if !flags.access.isOpen { api.ownMetrics.append { access.counters.write(to: &$0) } }
        let admission = RequestAdmission(
            clientCountMax: api.limits.requestCountMax, streamCountMax: api.limits.streamCountMax)
        api.ownMetrics.append { text in
            text.single(
                "heapwire_http_delayed_requests_total", .counter,
                "Requests that were told to wait because too many were in work",
                Double(admission.refusals))
        }
        let router = api.router()
        let completeness = Completeness(cluster: api.cluster)
        let route: AccessControl.Route = { request in
            switch router.route(request) {
            case .handler(let handler):
                completeness.describe(admission.admit(request, handler(request)), to: request)
            case .refusal(let response): .now(response)
            }
        }
        var configuration = configuration
        configuration.tls = flags.tls
        server = try HTTPServer(
            listeningOn: address, remedy: "--port", configuration: configuration,
            counters: counters
        ) { request in access.answer(request, route) }
    }

    /// Where clients find it.
    var url: String { "\(flags.tls == nil ? "http" : "https")://\(server.address)" }

    /// Says aloud what the flags leave open.
    func warn() {
        if flags.tls == nil, !address.isLoopback {
            Diagnostics.warning(
                "the API is served UNENCRYPTED to other machines (--insecure-http)")
        }
        if flags.tls != nil, flags.access.isOpen, !address.isLoopback {
            Diagnostics.warning("the API answers EVERYBODY (--insecure-access)")
        }
    }

    /// Lets answers in work be sent, for five seconds at most. Call it once.
    func stop() {
        server.shutdown(grace: .seconds(5))
        access.stop()
    }
}
