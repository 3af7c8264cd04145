import Synchronization
import Wire

/// Asks one apiserver, with whatever credentials are valid now. From any thread.
final class APIServerClient: Sendable {
    /// What a request is about, for the words when it is refused.
    struct Purpose: Sendable {
        let verb: String
        /// Empty for the core group.
        let group: String
        let resource: String
        /// Empty for all of them.
        var namespace = ""

        /// What a role must say to allow it, as YAML in one line.
        var rule: String {
            let verbs = verb == "list" || verb == "watch" ? "\"list\", \"watch\"" : "\"\(verb)\""
            return "{apiGroups: [\"\(group)\"], resources: [\"\(resource)\"], verbs: [\(verbs)]}"
        }

        /// What to do when it is not allowed: the same words in the log and of `doctor`.
        var remedy: String {
            let role = namespace.isEmpty ? "ClusterRole" : "Role in \(namespace)"
            return "the account may not \(verb) \(resource): give its \(role) the rule \(rule)"
        }
    }

    let access: APIServerAccess
    private let timeouts: HTTPTimeouts
    private let interruption: Interruption?
    private let state = Mutex(State())

    private struct State {
        /// Made of the files; dropped when it does not work, because files are replaced.
        var client: HTTPClient?
        /// The value of `Authorization` and until when (monotonic nanoseconds) it is used.
        var authorization: (value: String?, until: UInt64)?
    }

    /// Tokens in files are looked at again after so long, as client-go does.
    private static let tokenNanoseconds: UInt64 = 60_000_000_000

    init(
        _ access: APIServerAccess, interruption: Interruption? = nil,
        timeouts: HTTPTimeouts = HTTPTimeouts(headSeconds: 60, idleSeconds: 60)
    ) {
        self.access = access
        self.timeouts = timeouts
        self.interruption = interruption
    }

    /// An answer with status 200 or 201, its body unread.
    ///
    /// A 401 makes the credentials be read again, once.
    func open(
        _ request: HTTPClientRequest, _ purpose: Purpose
    ) throws(SourceError) -> HTTPClientResponse {
        let url = "\(access.server)\(request.target.prefix { $0 != "?" })"
        for isLast in [false, true] {
            let response = try attempt(request, url)
            switch response.status {
            case 200, 201: return response
            case 401 where !isLast && isRenewable:
                response.cancel()
                state.withLock { $0.authorization = nil }
            default: throw Self.refusal(response, url, purpose)
            }
        }
        // Not reached: the last round returns or throws.
        throw .status(url: url, status: 401, message: "", remedy: "")
    }

    /// The same with the body read.
    func send(
        _ request: HTTPClientRequest, _ purpose: Purpose, bodyLimit: Int = 1 << 20
    ) throws(SourceError) -> [UInt8] {
        let response = try open(request, purpose)
        var body: [UInt8] = []
        try Self.read(response, "\(access.server)") { piece in
            body.append(contentsOf: piece)
            return body.count <= bodyLimit
        }
        return body
    }

    static func read(
        _ response: HTTPClientResponse, _ url: String, _ consume: (UnsafeRawBufferPointer) -> Bool
    ) throws(SourceError) {
        do {
            try response.readBody(consume)
        } catch {
            throw .request(url: url, error)
        }
    }

    private func attempt(
        _ request: HTTPClientRequest, _ url: String
    ) throws(SourceError) -> HTTPClientResponse {
        var request = request
        if !access.server.path.isEmpty { request.target = access.server.path + request.target }
        request.fields.append(
            (name: "User-Agent", value: "heapwire-aggregator/\(HeapwireVersion.current)"))
        if let value = try authorization() {
            request.fields.append((name: "Authorization", value: value))
        }
        let client = try client()
        do {
            return try client.open(request, interruption: interruption)
        } catch {
            // The next attempt reads authority, certificate and token anew.
            if error != .interrupted {
                state.withLock { state in
                    if state.client === client { state.client = nil }
                }
            }
            throw .request(url: url, error)
        }
    }

    private func client() throws(SourceError) -> HTTPClient {
        if let known = state.withLock({ $0.client }) { return known }
        let made = HTTPClient(try access.destination(), timeouts: timeouts)
        return state.withLock { state in
            if let known = state.client { return known }
            state.client = made
            return made
        }
    }

    // MARK: Credentials

    private var isRenewable: Bool {
        switch access.authorization {
        case .tokenFile, .exec: true
        case .none, .token, .basic: false
        }
    }

    private func authorization() throws(SourceError) -> String? {
        let now = Clock.system.monotonicNanoseconds
        if let known = state.withLock({ $0.authorization }), now < known.until {
            return known.value
        }
        let fresh = try readAuthorization(now)
        state.withLock { $0.authorization = fresh }
        return fresh.0
    }

    private func readAuthorization(_ now: UInt64) throws(SourceError) -> (String?, UInt64) {
        switch access.authorization {
        case .none: return (nil, .max)
        case .token(let token): return ("Bearer \(token)", .max)
        case .basic(let user, let password):
            return ("Basic \(Base64.encode(Array("\(user):\(password)".utf8)))", .max)
        case .tokenFile(let path):
            let bytes: [UInt8]
            do {
                bytes = try SmallFile.read(path, byteLimit: 1 << 16).trimmingWhitespace()
            } catch {
                throw .file(path: path, reason: error.reason)
            }
            guard !bytes.isEmpty else { throw .file(path: path, reason: "it is empty") }
            return ("Bearer \(String(decoding: bytes, as: UTF8.self))", now + Self.tokenNanoseconds)
        case .exec(let plugin):
            let credential = try plugin.run()
            guard !credential.token.isEmpty else {
                throw .exec(
                    command: plugin.command,
                    reason: "it gave no token (client certificates from plugins are not supported)")
            }
            return ("Bearer \(credential.token)", Self.end(of: credential, now))
        }
    }

    /// A minute before it expires; without an end, when the apiserver says 401.
    private static func end(of credential: ExecPlugin.Credential, _ now: UInt64) -> UInt64 {
        guard let expires = credential.expires else { return .max }
        let wall = Int64(Clock.system.realtimeNanoseconds / 1_000_000)
        return now + UInt64(max(expires - wall - 60_000, 1_000)) * 1_000_000
    }

    // MARK: Refusals

    private static func refusal(
        _ response: HTTPClientResponse, _ url: String, _ purpose: Purpose
    ) -> SourceError {
        var body: [UInt8] = []
        do {
            try response.readBody { piece in
                body.append(contentsOf: piece.prefix(65_536 - body.count))
                return body.count < 65_536
            }
        } catch {
            // The status says enough where the words did not arrive.
            body = []
        }
        if response.status == 410 { return .expired }
        let message = body.withUnsafeBytes { WatchStatus(parsing: $0) }?.message ?? ""
        return .status(
            url: url, status: response.status, message: String(message.prefix(512)),
            remedy: remedy(response.status, purpose))
    }

    static func remedy(_ status: Int, _ purpose: Purpose) -> String {
        switch status {
        case 401:
            return "the credentials are not accepted: check that they are for this cluster and "
                + "have not expired or been revoked"
        case 403:
            return purpose.remedy
        case 404:
            return "check that the URL is an apiserver's and that it has this kind of object"
        case 429, 500...599: return "the apiserver cannot answer now; asked again by itself"
        default: return "this should not happen; please report it"
        }
    }
}

/// `Status`, what the apiserver says when it has no object to give.
struct WatchStatus: Equatable {
    var code: Int64 = 0
    var message = ""
    var reason = ""

    /// `nil` for text that is not a JSON object.
    init?(parsing bytes: UnsafeRawBufferPointer) {
        do throws(JSONError) {
            var json = JSONScanner(bytes)
            try json.beginObject()
            while let key = try json.nextKey() {
                switch key {
                case "message": message = try json.string().string
                case "reason": reason = try json.string().string
                case "code": code = try json.integer()
                default: try json.skip()
                }
            }
        } catch {
            return nil
        }
    }
}
