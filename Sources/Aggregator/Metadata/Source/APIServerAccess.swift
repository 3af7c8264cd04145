import Wire
import WireTLS

/// How to reach an apiserver and who to be there; where from, not the secrets themselves.
struct APIServerAccess: Sendable {
    /// A piece of PEM: in the configuration or in a file that may be replaced.
    enum Material: Equatable, Sendable {
        case data([UInt8], source: String)
        case file(String)

        var source: String {
            switch self {
            case .data(_, let source): source
            case .file(let path): path
            }
        }

        func read() throws(SourceError) -> [UInt8] {
            switch self {
            case .data(let bytes, _): return bytes
            case .file(let path):
                do {
                    return try SmallFile.read(path, byteLimit: 1 << 20)
                } catch {
                    throw .file(path: path, reason: error.reason)
                }
            }
        }
    }

    /// What goes into `Authorization`.
    enum Authorization: Equatable, Sendable {
        case none
        case token(String)
        /// Read again when it is rotated.
        case tokenFile(String)
        case basic(user: String, password: String)
        case exec(ExecPlugin)
    }

    var server: HTTPURL
    /// `nil`: the operating system's.
    var authorities: Material?
    var isInsecure = false
    var clientCertificate: Material?
    var clientKey: Material?
    var authorization = Authorization.none
    var proxy: HTTPProxy?
    /// For host name checks, where it is not the URL's host.
    var serverName: String?

    static let serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

    /// What `--source` means on this machine.
    init(
        _ options: SourceOptions, environment: [String: String],
        serviceAccountFolder folder: String = APIServerAccess.serviceAccountFolder
    ) throws(SourceError) {
        if options.inClusterConfig {
            self = try Self.inCluster(environment, folder)
        } else if let path = options.auth {
            self = try Kubeconfig.access(path: path, server: options.server)
        } else if let server = options.server {
            self.init(server: server)
        } else {
            throw .option(
                text: "kubernetes",
                reason: "inClusterConfig=false needs a URL or auth=KUBECONFIG")
        }
        if let server = options.server { self.server = server }
        if options.insecure {
            isInsecure = true
            authorities = nil
        }
        if options.useServiceAccount { authorization = .tokenFile("\(folder)/token") }
        if proxy == nil {
            do {
                proxy = try HTTPProxy.fromEnvironment(for: server, environment)
            } catch {
                throw .request(url: "the proxy of the environment", error)
            }
        }
    }

    init(server: HTTPURL) { self.server = server }

    /// As a pod sees the apiserver: address in the environment, token and authority in files.
    private static func inCluster(
        _ environment: [String: String], _ folder: String
    ) throws(SourceError) -> APIServerAccess {
        guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty,
            let port = environment["KUBERNETES_SERVICE_PORT"], !port.isEmpty
        else { throw .notInCluster(missing: "KUBERNETES_SERVICE_HOST is not set") }
        let authority = host.contains(":") ? "[\(host)]" : host
        let server: HTTPURL
        do {
            server = try HTTPURL(parsing: "https://\(authority):\(port)")
        } catch {
            throw .notInCluster(missing: "KUBERNETES_SERVICE_HOST is unusable (\(error))")
        }
        var access = APIServerAccess(server: server)
        access.authorities = .file("\(folder)/ca.crt")
        access.authorization = .tokenFile("\(folder)/token")
        do {
            _ = try access.authorities?.read()
        } catch {
            throw .notInCluster(missing: "\(error)")
        }
        return access
    }

    /// Reads the files and makes the settings of connections. Again after each failure to be
    /// recognised: certificates are rotated in place.
    func destination() throws(SourceError) -> HTTPDestination {
        guard server.scheme == .https else { return HTTPDestination(server, proxy: proxy) }
        var trust = TLSTrust.system
        if isInsecure {
            trust = .anyone
        } else if let authorities {
            trust = .authorities(try authorities.read(), source: authorities.source)
        }
        var identity: TLSIdentity?
        if let clientCertificate, let clientKey {
            identity = TLSIdentity(
                certificateChain: try clientCertificate.read(), key: try clientKey.read(),
                source: clientCertificate.source)
        }
        do {
            let context = try TLSContext.client(trust: trust, identity: identity)
            return HTTPDestination(server, tls: context, proxy: proxy, serverName: serverName)
        } catch {
            throw .tls(error)
        }
    }
}
