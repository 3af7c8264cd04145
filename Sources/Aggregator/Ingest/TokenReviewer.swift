import Synchronization
import Wire

/// What a reviewer makes of a hello.
enum AgentVerdict: Sendable, Equatable {
    case accepted
    case refused(Farewell)
}

/// Checks with the apiserver that an agent is the one of its node: its token is a service account's
/// for the audience `heapwire`, bound to a pod, and that pod is on the node that the agent speaks for.
///
///     event loop                            worker
///     verdict(hello): in the cache? ──yes──> known at once
///        └─no─> review(hello) ──queue──>    TokenReview, the pod by its UID (directory, else apiserver)
///                                             └──> cache, done(verdict)
///
/// The event loop never waits. Answers are kept by the token's SHA-256, never by the token, for at
/// most five minutes and never longer than the token lives; refusals for ten seconds. The node is
/// checked for each hello. Queue and cache are bounded.
final class TokenReviewer: Sendable {
    /// Who may speak for nodes.
    struct Policy: Sendable, Equatable {
        var audience = "heapwire"
        /// The agents' service account; any pod may ask for a token of its own account.
        var namespace: String
        var serviceAccount: String
    }

    private struct Entry {
        let answer: TokenReview.Answer
        /// Milliseconds since the epoch.
        let until: Int64
    }

    private struct State {
        var entries: [[UInt8]: Entry] = [:]
    }

    let policy: Policy
    private let client: APIServerClient
    private let directory: PodDirectory
    private let pool: WorkerPool
    private let interruption: Interruption
    private let clock: Clock
    private let state = Mutex(State())
    private let reviewCount = Atomic<UInt64>(0)
    private let failureCount = Atomic<UInt64>(0)
    private let limited = LimitedDiagnostics()

    private static let entryCountMax = 50_000
    private static let keptMilliseconds: Int64 = 5 * 60_000
    private static let refusedMilliseconds: Int64 = 10_000
    /// An agent gives up a connection without a welcome after ten seconds.
    private static let waitMilliseconds: Int64 = 8_000

    /// - Throws: when the process has no descriptor or thread left.
    init(
        _ policy: Policy, access: APIServerAccess, directory: PodDirectory,
        clock: Clock = .system, threadCount: Int = 8, queueCountMax: Int = 20_000
    ) throws(TransportError) {
        self.policy = policy
        self.directory = directory
        self.clock = clock
        interruption = try Interruption()
        client = APIServerClient(
            access, interruption: interruption,
            timeouts: HTTPTimeouts(connectSeconds: 3, headSeconds: 5, idleSeconds: 5))
        pool = try WorkerPool(threadCount: threadCount, queueCountMax: queueCountMax)
    }

    /// Questions asked of the apiserver, and those that it did not answer.
    var reviews: UInt64 { reviewCount.load(ordering: .relaxed) }
    var failures: UInt64 { failureCount.load(ordering: .relaxed) }

    /// Ends what runs and drops what waits. Call it once.
    func stop() {
        interruption.interrupt()
        pool.stop()
    }

    // MARK: On the event loop

    /// What is known without asking anybody; `nil` when `review` is needed. Microseconds.
    func verdict(_ hello: Hello) -> AgentVerdict? {
        guard case .serviceAccountToken(let token) = hello.credential else {
            return .refused(
                Farewell(
                    .unauthenticated,
                    "the aggregator wants the token of the agent's service account; give the agent "
                        + "--service-account-token-file (deploy/daemonset mounts one), or the "
                        + "aggregator --agent-token-file or --agent-token-review=false"))
        }
        let key = Crypto.digest(Array(token.utf8), .sha256)
        guard let entry = state.withLock({ $0.entries[key] }), now < entry.until else {
            return nil
        }
        switch entry.answer {
        case .refused(let words): return .refused(Self.unauthenticated(words))
        case .authenticated(let identity):
            // A pod that the watch has not told of yet is asked for on a worker.
            return directory.livePod(uid: identity.podUID).map {
                check(identity, $0.nodeName, hello)
            }
        }
    }

    /// Asks the apiserver.
    ///
    /// - Parameter done: called once, on another thread, within about eight seconds.
    func review(_ hello: Hello, _ done: @escaping @Sendable (AgentVerdict) -> Void) {
        let deadline = now + Self.waitMilliseconds
        let isTaken = pool.submit { [self] in
            // The agent has given up: its next connection asks again.
            guard now < deadline else { return done(Self.busy("too many agents came at once")) }
            done(ask(hello))
        }
        if !isTaken { done(Self.busy("too many agents wait to be checked")) }
    }

    // MARK: On a worker

    private var now: Int64 { Int64(clock.realtimeNanoseconds / 1_000_000) }

    private func ask(_ hello: Hello) -> AgentVerdict {
        guard case .serviceAccountToken(let token) = hello.credential else {
            return verdict(hello) ?? Self.busy("no token")
        }
        do throws(SourceError) {
            switch try answer(to: token) {
            case .refused(let words): return .refused(Self.unauthenticated(words))
            case .authenticated(let identity):
                return check(identity, try nodeName(of: identity), hello)
            }
        } catch {
            failureCount.add(1, ordering: .relaxed)
            limited.warning("cannot check who speaks for node \(hello.nodeName): \(error)")
            return Self.busy("the apiserver cannot say now whose token this is")
        }
    }

    private func answer(to token: String) throws(SourceError) -> TokenReview.Answer {
        let key = Crypto.digest(Array(token.utf8), .sha256)
        if let known = state.withLock({ $0.entries[key] }), now < known.until {
            return known.answer
        }
        reviewCount.add(1, ordering: .relaxed)
        let body = try client.send(
            TokenReview.request(token: token, audience: policy.audience), TokenReview.purpose)
        let answer: TokenReview.Answer
        do throws(JSONError) {
            answer = try body.span.bytes.withUnsafeBytes { bytes throws(JSONError) in
                try TokenReview.answer(parsing: bytes, audience: policy.audience)
            }
        } catch {
            throw .list(url: TokenReview.path, .json(error))
        }
        keep(answer, key, expiry: TokenReview.expiry(of: token))
        return answer
    }

    private func keep(_ answer: TokenReview.Answer, _ key: [UInt8], expiry: Int64?) {
        let now = now
        var until = now + Self.keptMilliseconds
        if let expiry { until = min(until, expiry) }
        if case .refused = answer { until = min(until, now + Self.refusedMilliseconds) }
        guard until > now else { return }
        state.withLock { state in
            if state.entries.count >= Self.entryCountMax {
                state.entries = state.entries.filter { $0.value.until > now }
            }
            // Full of what is still good: this one is asked for again.
            guard state.entries.count < Self.entryCountMax else { return }
            state.entries[key] = Entry(answer: answer, until: until)
        }
    }

    /// The node that the pod is on; `nil` for a pod that is not there.
    private func nodeName(of identity: TokenReview.Identity) throws(SourceError) -> String? {
        if let pod = directory.livePod(uid: identity.podUID) { return pod.nodeName }
        let selector = PercentEncoding.encoded("metadata.name=\(identity.podName)")
        let namespace = PercentEncoding.encoded(identity.namespace)
        let path = "/api/v1/namespaces/\(namespace)/pods?fieldSelector=\(selector)"
        let body = try client.send(
            HTTPClientRequest(.get, path), WatchedResource.pods.purpose("list"))
        var reader = ObjectListReader(itemKind: "Pod", decoder: ObjectDecoder(textCount: 16))
        do throws(ObjectError) {
            try body.span.bytes.withUnsafeBytes { bytes throws(ObjectError) in
                try reader.read(bytes)
            }
            _ = try reader.finish()
        } catch {
            throw .list(url: path, error)
        }
        return reader.objects.pods.first { $0.uid == identity.podUID }?.nodeName
    }

    // MARK: The decision

    private func check(
        _ identity: TokenReview.Identity, _ nodeName: String?, _ hello: Hello
    ) -> AgentVerdict {
        let account = "\(identity.namespace):\(identity.serviceAccount)"
        guard identity.namespace == policy.namespace,
            identity.serviceAccount == policy.serviceAccount
        else {
            return Self.forbidden(
                "the service account \(account) may not speak for nodes, only "
                    + "\(policy.namespace):\(policy.serviceAccount); see --agent-service-account")
        }
        let pod = "\(identity.namespace)/\(identity.podName)"
        guard let nodeName else { return Self.forbidden("the pod \(pod) does not exist any more") }
        guard nodeName == hello.nodeName else {
            return Self.forbidden(
                "the pod \(pod) is on node \(nodeName), it cannot speak for node "
                    + "\(hello.nodeName); let --node-name be spec.nodeName")
        }
        return .accepted
    }

    private static func unauthenticated(_ words: String) -> Farewell {
        Farewell(.unauthenticated, "the token is refused: \(words)", retryAfterMilliseconds: 10_000)
    }

    private static func forbidden(_ words: String) -> AgentVerdict {
        .refused(Farewell(.forbidden, words, retryAfterMilliseconds: 30_000))
    }

    private static func busy(_ words: String) -> AgentVerdict {
        .refused(Farewell(.overloaded, words, retryAfterMilliseconds: 2_000))
    }
}
