import Wire

/// Who may speak for others, and in which fields: the aggregation layer's front proxy.
///
/// The same in `--requestheader-…` flags as in the ConfigMap
/// `kube-system/extension-apiserver-authentication`, where the apiserver publishes its own.
struct FrontProxy: Sendable {
    var authorities: NumberedAuthorities
    /// Common names of its certificate; empty: every certificate of the authorities.
    var allowedNames: [String] = []
    var fields = Fields()

    /// Names of fields, in lower case. The first that is there counts.
    struct Fields: Sendable, Equatable {
        var userNames = ["x-remote-user"]
        var userUIDs = ["x-remote-uid"]
        var groups = ["x-remote-group"]
        var extraPrefixes = ["x-remote-extra-"]
    }

    /// More groups or extra fields than this are not a user's.
    private static let valueCountMax = 256

    /// Whether this certificate is the front proxy's.
    func isSpeaker(_ identity: HTTPClientIdentity, now: UInt64) -> Bool {
        guard allowedNames.isEmpty || allowedNames.contains(identity.certificate.commonName) else {
            return false
        }
        return authorities.trust(identity, now: now)
    }

    /// Who the fields say that asks; `nil` when they name nobody, or more than anybody is.
    func user(in request: HTTPRequest) -> RequestUser? {
        var user = RequestUser(name: "")
        var extras: [String: [String]] = [:]
        var uids: [String] = []
        var names: [String] = []
        var count = 0
        request.forEachField { name, value in
            let key = String(decoding: name, as: UTF8.self).lowercased()
            let text = { String(decoding: value, as: UTF8.self) }
            if fields.userNames.contains(key) {
                names.append(text())
            } else if fields.userUIDs.contains(key) {
                uids.append(text())
            } else if fields.groups.contains(key) {
                user.groups.append(text())
            } else if let prefix = fields.extraPrefixes.first(where: { key.hasPrefix($0) }) {
                extras[Self.unescaped(key.dropFirst(prefix.count)), default: []].append(text())
            } else {
                return
            }
            count += 1
        }
        guard count <= Self.valueCountMax, let name = names.first, !name.isEmpty else { return nil }
        user.name = name
        user.addAuthenticatedGroup()
        user.uid = uids.first ?? ""
        user.extra = extras.sorted { $0.key < $1.key }.map { .init(key: $0.key, values: $0.value) }
        return user
    }

    /// Keys of extra fields are percent-encoded, since they may have what no field's name may.
    private static func unescaped(_ key: Substring) -> String {
        var text = String(key)
        return text.withUTF8 {
            PercentEncoding.string(UnsafeRawBufferPointer($0), plusIsSpace: false)
        }
    }
}

/// What the apiserver publishes for servers behind it: ConfigMap
/// `kube-system/extension-apiserver-authentication` (k8s.io/apiserver,
/// `server/options/authentication.go`).
struct ClusterAuthentication: Sendable {
    /// Signs the certificates of the cluster's users; what they may do is the apiserver's to say.
    var clientAuthorities: NumberedAuthorities?
    var frontProxy: FrontProxy?

    static let namespace = "kube-system"
    static let name = "extension-apiserver-authentication"

    init() {}

    /// - Throws: `TLSFilesError` when what is there cannot be used.
    init(_ data: [String: String]) throws {
        let source = "configmap \(Self.namespace)/\(Self.name)"
        if let pem = data["client-ca-file"], !pem.isEmpty {
            clientAuthorities = try NumberedAuthorities(pem: Array(pem.utf8), source: source)
        }
        guard let pem = data["requestheader-client-ca-file"], !pem.isEmpty else { return }
        var proxy = FrontProxy(
            authorities: try NumberedAuthorities(pem: Array(pem.utf8), source: source))
        proxy.allowedNames = try Self.list(data["requestheader-allowed-names"]) ?? []
        func names(_ key: String, else names: [String]) throws -> [String] {
            try Self.list(data[key])?.map { $0.lowercased() } ?? names
        }
        proxy.fields.userNames = try names(
            "requestheader-username-headers", else: proxy.fields.userNames)
        proxy.fields.userUIDs = try names("requestheader-uid-headers", else: proxy.fields.userUIDs)
        proxy.fields.groups = try names("requestheader-group-headers", else: proxy.fields.groups)
        proxy.fields.extraPrefixes = try names(
            "requestheader-extra-headers-prefix", else: proxy.fields.extraPrefixes)
        frontProxy = proxy
    }

    /// A list of strings, as JSON.
    private static func list(_ text: String?) throws -> [String]? {
        guard let text, !text.isEmpty else { return nil }
        return try JSONScanner.read(Array(text.utf8)) { (json) throws(JSONError) in
            try json.strings()
        }
    }
}
