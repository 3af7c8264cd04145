import Synchronization
import Wire

/// Decides who may ask what, before a route is even looked for.
///
/// ```
///  open path ────────────────────────────────────────────────────────────> route
///  certificate of the front proxy ──> X-Remote-* ──┐
///  certificate of --tls-client-ca ──> --allowed-users ───────────────────> route or 403
///  certificate of the cluster's CA ────────────────┤
///  bearer token ──> TokenReview (or what it said) ─┴─> SubjectAccessReview > route or 403
///  nothing of these ─────────────────────────────────────────────────────> 401
/// ```
/// What is known is decided on the loop's thread; what has to be asked of the apiserver, on a few
/// threads of its own, so that neither the loops nor the workers ever wait for it.
final class AccessControl: Sendable {
    typealias Route = @Sendable (HTTPRequest) -> HTTPAnswer

    let counters = AccessCounters()
    private let configuration: AccessConfiguration
    private let clock: Clock
    private let reviews: ClusterReviews?
    private let cluster: ClusterAuthenticationReader?
    private let interruption: Interruption?
    private let askers: WorkerPool?
    private let waiting = ClientQuota(countMax: 64)

    /// Reviews that may wait; above: 503.
    private static let queueCountMax = 256
    private static let threadCount = 4

    init(_ configuration: AccessConfiguration, clock: Clock = .system) throws(TransportError) {
        self.configuration = configuration
        self.clock = clock
        guard !configuration.isOpen, let apiserver = configuration.apiserver else {
            (reviews, cluster, interruption, askers) = (nil, nil, nil, nil)
            return
        }
        let interruption = try Interruption()
        let reviews = ClusterReviews(apiserver, interruption: interruption, clock: clock)
        self.interruption = interruption
        self.reviews = reviews
        cluster = ClusterAuthenticationReader(reviews, clock: clock)
        askers = try WorkerPool(
            threadCount: Self.threadCount, queueCountMax: Self.queueCountMax)
    }

    /// Ends what waits for the apiserver. Call it once, last.
    func stop() {
        interruption?.interrupt()
        askers?.stop()
    }

    // MARK: Requests

    /// Paths that a kubelet's probes ask, by the bytes that were sent.
    private static func isOpen(_ path: UnsafeRawBufferPointer) -> Bool {
        for open in ["/healthz", "/livez", "/readyz", "/healthz/healthz"] as [StaticString] {
            let wanted = UnsafeRawBufferPointer(
                start: open.utf8Start, count: open.utf8CodeUnitCount)
            if path.count == wanted.count, path.elementsEqual(wanted) { return true }
        }
        return false
    }

    /// Answers by `route` if the client may ask that, else says why not.
    func answer(_ request: HTTPRequest, _ route: @escaping Route) -> HTTPAnswer {
        if configuration.isOpen || Self.isOpen(request.bytes(request.pathRange)) {
            return route(request)
        }
        let step = decide(request, canAsk: false)
        guard case .mustAsk = step else { return finish(step, request, route) }
        guard let askers else { return .now(AccessRefusal.unavailable.response(to: request)) }
        return .later { [self] responder in
            guard waiting.enter(ClientKey(request.peer)) else {
                counters.count(.tooManyReviews)
                return responder.complete(AccessRefusal.tooMany.response(to: request))
            }
            let isTaken = askers.submit { [self] in
                defer { waiting.leave(ClientKey(request.peer)) }
                guard !request.isCancelled else { return }
                complete(responder, finish(decide(request, canAsk: true), request, route), request)
            }
            if !isTaken {
                waiting.leave(ClientKey(request.peer))
                counters.count(.tooManyReviews)
                responder.complete(AccessRefusal.unavailable.response(to: request))
            }
        }
    }

    private func complete(
        _ responder: HTTPResponder, _ answer: HTTPAnswer, _ request: HTTPRequest
    ) {
        switch answer {
        case .now(let response): responder.complete(response)
        case .onWorker(let work): responder.complete(work(request))
        case .later(let body): body(responder)
        }
    }

    private func finish(_ step: Step, _ request: HTTPRequest, _ route: Route) -> HTTPAnswer {
        switch step {
        case .allowed:
            counters.count(.allowed)
            return route(request)
        case .refused(let refusal):
            counters.count(refusal.counter)
            return .now(refusal.response(to: request))
        // Only said to those who cannot ask.
        case .mustAsk: return .now(AccessRefusal.unavailable.response(to: request))
        }
    }

    // MARK: Decisions

    private enum Step {
        case allowed
        case refused(AccessRefusal)
        /// It takes a question to the apiserver.
        case mustAsk
    }

    private enum Requester {
        /// A certificate of --tls-client-ca: its common name.
        case certificate(String)
        /// Somebody of the cluster, whose rights the apiserver knows.
        case user(RequestUser)
    }

    private enum Identification {
        case found(Requester)
        case nobody
        case mustAsk
        case unavailable
    }

    private func decide(_ request: HTTPRequest, canAsk: Bool) -> Step {
        switch identify(request, canAsk: canAsk) {
        case .mustAsk: return .mustAsk
        case .unavailable: return .refused(.unavailable)
        case .nobody: return .refused(.unauthenticated)
        case .found(.certificate(let name)):
            let allowed = configuration.allowedUsers
            request.setUser("certificate \(name)")
            return allowed.isEmpty || allowed.contains(name) ? .allowed : .refused(.notAllowed)
        case .found(.user(let user)):
            request.setUser(user.name)
            return authorize(user, request, canAsk: canAsk)
        }
    }

    private func identify(_ request: HTTPRequest, canAsk: Bool) -> Identification {
        if let identity = request.identity {
            switch identify(request, by: identity, canAsk: canAsk) {
            case .nobody: break
            case let found: return found
            }
        }
        guard let reviews, let token = BearerToken.value(of: request) else { return .nobody }
        let digest = ClusterReviews.digest(of: token)
        switch reviews.known(digest) {
        case .user(let user): return .found(.user(user))
        case .stranger: return .nobody
        case .unknown where !canAsk: return .mustAsk
        case .unknown: break
        }
        do {
            counters.count(.tokenReview)
            return try reviews.user(of: token, digest).map { .found(.user($0)) } ?? .nobody
        } catch {
            return .unavailable
        }
    }

    private func identify(
        _ request: HTTPRequest, by identity: HTTPClientIdentity, canAsk: Bool
    ) -> Identification {
        let now = clock.monotonicNanoseconds
        var known = ClusterAuthentication()
        if let cluster {
            guard let current = canAsk ? cluster.refreshed() : cluster.current else {
                return .mustAsk
            }
            known = current
        }
        let proxy = configuration.frontProxy?.current(now: now) ?? known.frontProxy
        if let proxy, proxy.isSpeaker(identity, now: now) {
            // The proxy asks for somebody, never for itself.
            return proxy.user(in: request).map { .found(.user($0)) } ?? .nobody
        }
        let certificate = identity.certificate
        guard !certificate.commonName.isEmpty else { return .nobody }
        if let own = configuration.clientAuthorities?.current(now: now),
            own.trust(identity, now: now)
        {
            return .found(.certificate(certificate.commonName))
        }
        guard let authorities = known.clientAuthorities, authorities.trust(identity, now: now)
        else { return .nobody }
        let groups = certificate.organizations + [RequestUser.authenticatedGroup]
        return .found(.user(RequestUser(name: certificate.commonName, groups: groups)))
    }

    private func authorize(_ user: RequestUser, _ request: HTTPRequest, canAsk: Bool) -> Step {
        if user.groups.contains(RequestUser.allPowerfulGroup) { return .allowed }
        guard let reviews else { return .refused(.unavailable) }
        let exact = RequestAttributes(request)
        for attributes in [exact.wider, exact].compactMap({ $0 }) {
            let question = ClusterReviews.Question(user: user, attributes: attributes)
            var isAllowed = reviews.known(question)
            if isAllowed == nil {
                guard canAsk else { return .mustAsk }
                do {
                    counters.count(.accessReview)
                    isAllowed = try reviews.allows(question)
                } catch {
                    return .refused(.unavailable)
                }
            }
            if isAllowed == true { return .allowed }
        }
        return .refused(.forbidden(user: user.name, exact.description))
    }
}
