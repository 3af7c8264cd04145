import Wire

/// The API's server and who may ask it.
final class APIService {
    let server: HTTPServer
    /// For Heapster's clients beside TLS; `nil` for none.
    private let plain: HTTPServer?
    private let flags: APIFlags
    private let address: SocketAddress
    private let access: AccessControl

    /// Binds and starts.
    ///
    /// - Throws: `TransportError.cannotListen` with the remedy.
    init(
        _ flags: APIFlags, _ configuration: HTTPServerConfiguration,
        listeningOn address: SocketAddress, plain plainAddress: SocketAddress?, api: AggregatorAPI
    ) throws(TransportError) {
        self.flags = flags
        self.address = address
        let access = try AccessControl(flags.access)
        self.access = access
        let counters = HTTPCounters()
        var api = api
        api.allowsDebug = flags.allowsDebug
        api.ownMetrics.append { counters.snapshot.write(to: &$0) }
        if !flags.access.isOpen { api.ownMetrics.append { access.counters.write(to: &$0) } }
        let admission = RequestAdmission(
            clientCountMax: api.limits.requestCountMax, streamCountMax: api.limits.streamCountMax,
            byteCountMax: api.limits.responseByteCountMax)
        api.ownMetrics.append { text in
            text.single(
                "heapwire_http_delayed_requests_total", .counter,
                "Requests that were told to wait because too many were in work",
                Double(admission.refusals))
        }
        let completeness = Completeness(cluster: api.cluster)
        func route(_ router: Router) -> AccessControl.Route {
            { request in
                switch router.route(request) {
                case .handler(let handler):
                    completeness.describe(admission.admit(request, handler(request)), to: request)
                case .refusal(let response): .now(response)
                }
            }
        }
        let all = route(api.router())
        var secured = configuration
        secured.tls = flags.tls
        server = try HTTPServer(
            listeningOn: address, remedy: "--port", configuration: secured, counters: counters
        ) { request in access.answer(request, all) }
        if let plainAddress {
            plain = try HTTPServer(
                listeningOn: plainAddress, remedy: "--plain-port", configuration: configuration,
                counters: counters, handler: route(api.heapsterRouter()))
        } else {
            plain = nil
        }
    }

    /// Where clients find it.
    var url: String { "\(flags.tls == nil ? "http" : "https")://\(server.address)" }

    /// Says aloud what the flags leave open.
    func warn() {
        if let plain {
            Diagnostics.warning(
                "what Heapster answered is served UNENCRYPTED, to EVERYBODY, on "
                    + "http://\(plain.address) (--plain-port)")
        }
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
        plain?.shutdown(grace: .seconds(1))
        access.stop()
    }
}
