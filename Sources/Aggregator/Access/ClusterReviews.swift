import COpenSSL
import Wire

/// Asks the apiserver who a token belongs to (TokenReview) and what somebody may do
/// (SubjectAccessReview), and remembers its answers for a short while. Blocks: for worker threads.
///
/// Tokens are remembered by their digest only.
final class ClusterReviews: Sendable {
    private let client: APIServerClient
    private let clock: Clock
    private let limited = LimitedDiagnostics(perMinute: 2)

    // What the apiserver grants is believed longer than what it denies: a right that was just given
    // should work at once, one that was taken away may last for this long.
    private let users = ReviewCache<Digest, RequestUser>(countMax: 4_096, seconds: 60)
    private let strangers = ReviewCache<Digest, Bool>(countMax: 4_096, seconds: 10)
    private let grants = ReviewCache<Question, Bool>(countMax: 16_384, seconds: 60)
    private let denials = ReviewCache<Question, Bool>(countMax: 16_384, seconds: 10)
    private let isFailing = ReviewCache<Bool, Bool>(countMax: 1, seconds: 1)

    typealias Digest = [UInt8]

    struct Question: Hashable, Sendable {
        let user: RequestUser
        let attributes: RequestAttributes
    }

    /// The apiserver gave no answer.
    struct Unavailable: Error {}

    init(_ access: APIServerAccess, interruption: Interruption? = nil, clock: Clock = .system) {
        client = APIServerClient(
            access, interruption: interruption,
            timeouts: HTTPTimeouts(connectSeconds: 3, headSeconds: 5, idleSeconds: 5))
        self.clock = clock
    }

    // MARK: What is known

    enum KnownUser {
        case user(RequestUser)
        /// The apiserver does not know the token.
        case stranger
        case unknown
    }

    func known(_ digest: Digest) -> KnownUser {
        let now = clock.monotonicNanoseconds
        if let user = users[digest, now: now] { return .user(user) }
        return strangers[digest, now: now] == true ? .stranger : .unknown
    }

    /// `nil` when it has to be asked.
    func known(_ question: Question) -> Bool? {
        let now = clock.monotonicNanoseconds
        if grants[question, now: now] == true { return true }
        return denials[question, now: now] == true ? false : nil
    }

    static func digest(of token: [UInt8]) -> Digest {
        var result = [UInt8](repeating: 0, count: 32)
        let status = EVP_Digest(token, token.count, &result, nil, EVP_sha256(), nil)
        precondition(status == 1, "EVP_Digest: \(status)")
        return result
    }

    // MARK: Asking

    /// Who the token belongs to; `nil` for nobody.
    func user(of token: [UInt8], _ digest: Digest) throws(Unavailable) -> RequestUser? {
        switch known(digest) {
        case .user(let user): return user
        case .stranger: return nil
        case .unknown: break
        }
        let answer = try ask(
            TokenReview.request(token: String(decoding: token, as: UTF8.self)),
            TokenReview.purpose)
        let status = try read(answer) { (json) throws(JSONError) in
            try TokenReviewStatus(&json)
        }
        let now = clock.monotonicNanoseconds
        guard status.isAuthenticated, !status.user.name.isEmpty else {
            strangers.put(true, for: digest, now: now)
            return nil
        }
        users.put(status.user, for: digest, now: now)
        return status.user
    }

    /// Whether the user may do that.
    func allows(_ question: Question) throws(Unavailable) -> Bool {
        if let known = known(question) { return known }
        let answer = try ask(
            .review(
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                version: "authorization.k8s.io/v1", kind: "SubjectAccessReview"
            ) { question.write(into: &$0) },
            APIServerClient.Purpose(
                verb: "create", group: "authorization.k8s.io", resource: "subjectaccessreviews"))
        let isAllowed = try read(answer) { (json) throws(JSONError) in
            try AccessReviewStatus(&json).isAllowed
        }
        let now = clock.monotonicNanoseconds
        (isAllowed ? grants : denials).put(true, for: question, now: now)
        return isAllowed
    }

    /// A ConfigMap's texts by key; `nil` when there is none or it may not be read.
    func configMap(namespace: String, name: String) throws(SourceError) -> [String: String]? {
        let path = "/api/v1/namespaces/\(namespace)/configmaps/\(name)"
        let body: [UInt8]
        do throws(SourceError) {
            body = try client.send(
                HTTPClientRequest(.get, path),
                APIServerClient.Purpose(verb: "get", group: "", resource: "configmaps"))
        } catch {
            if case .status(_, let status, _, _) = error, status == 403 || status == 404 {
                return nil
            }
            throw error
        }
        do throws(JSONError) {
            return try JSONScanner.read(body) { (json) throws(JSONError) in
                try Self.data(&json)
            }
        } catch {
            throw .list(url: path, .json(error))
        }
    }

    private func ask(
        _ request: HTTPClientRequest, _ purpose: APIServerClient.Purpose
    ) throws(Unavailable) -> [UInt8] {
        guard isFailing[true, now: clock.monotonicNanoseconds] == nil else { throw Unavailable() }
        // Asking twice is harmless, and the first connection may be one that the apiserver has closed.
        for isLast in [false, true] {
            do throws(SourceError) {
                return try client.send(request, purpose)
            } catch {
                if case .request = error, !isLast { continue }
                limited.warning(
                    "cannot ask the apiserver who may use the API (its service account needs the "
                        + "rules for tokenreviews and subjectaccessreviews in deploy/aggregator/rbac.yaml): \(error.withoutRemedy)"
                )
                isFailing.put(true, for: true, now: clock.monotonicNanoseconds)
                throw Unavailable()
            }
        }
        throw Unavailable()
    }

    private func read<Status>(
        _ bytes: [UInt8], _ body: (inout JSONScanner) throws(JSONError) -> Status
    ) throws(Unavailable) -> Status {
        do throws(JSONError) {
            return try JSONScanner.read(bytes, body)
        } catch {
            limited.warning("the apiserver's review cannot be read: \(error)")
            throw Unavailable()
        }
    }

    /// `data` of a ConfigMap.
    private static func data(_ json: inout JSONScanner) throws(JSONError) -> [String: String] {
        var found: [String: String] = [:]
        try json.beginObject()
        while let key = try json.nextKey() {
            guard key.string == "data" else {
                try json.skip()
                continue
            }
            try json.beginObject()
            while let name = try json.nextKey() { found[name.string] = try json.string().string }
        }
        return found
    }
}

extension SourceError {
    /// The remedy of a refused request is about watching objects.
    fileprivate var withoutRemedy: SourceError {
        guard case .status(let url, let status, let message, _) = self else { return self }
        return .status(url: url, status: status, message: message, remedy: "")
    }
}
