import Wire

/// Reads the current context of a kubeconfig, the file that kubectl uses.
///
/// Source: `k8s.io/client-go/tools/clientcmd/api/v1`. Relative paths are relative to the file. Understood:
/// server, certificate-authority[-data], insecure-skip-tls-verify, tls-server-name, proxy-url;
/// token, tokenFile, client-certificate[-data], client-key[-data], username and password, exec.
/// `auth-provider`, which Kubernetes removed, is refused by name.
enum Kubeconfig {
    /// - Parameter server: what `--source` names, for a file without a server.
    static func access(
        path: String, server: HTTPURL? = nil
    ) throws(SourceError) -> APIServerAccess {
        let bytes: [UInt8]
        do {
            bytes = try SmallFile.read(path, byteLimit: YAMLParser.byteLimit)
        } catch {
            throw .file(path: path, reason: error.reason)
        }
        return try access(parsing: bytes, path: path, server: server)
    }

    static func access(
        parsing bytes: [UInt8], path: String, server: HTTPURL? = nil
    ) throws(SourceError) -> APIServerAccess {
        let root: YAMLValue
        do {
            root = try YAMLParser.parse(bytes)
        } catch {
            throw .kubeconfig(path: path, reason: error.description)
        }
        guard let current = root["current-context"]?.text, !current.isEmpty else {
            throw .kubeconfig(
                path: path,
                reason: "it has no current-context; choose one with kubectl config "
                    + "use-context")
        }
        let context = try entry("context", current, in: root, path)
        guard let clusterName = context["cluster"]?.text else {
            throw .kubeconfig(path: path, reason: "the context \(current) has no cluster")
        }
        let cluster = try entry("cluster", clusterName, in: root, path)
        var user = YAMLValue.mapping([])
        if let name = context["user"]?.text, !name.isEmpty {
            user = try entry("user", name, in: root, path)
        }
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let reader = Reader(path: path, folder: folder)
        var access = APIServerAccess(server: try reader.server(cluster, fallback: server))
        try reader.readCluster(cluster, &access)
        try reader.readUser(user, &access)
        return access
    }

    /// An entry of `clusters`, `users` or `contexts` by name.
    private static func entry(
        _ kind: String, _ name: String, in root: YAMLValue, _ path: String
    ) throws(SourceError) -> YAMLValue {
        let found = root["\(kind)s"]?.elements.first { $0["name"]?.text == name }
        guard let found else {
            throw .kubeconfig(path: path, reason: "there is no \(kind) named \(name)")
        }
        return found[kind] ?? .mapping([])
    }

    private struct Reader {
        let path: String
        let folder: String

        func fault(_ reason: String) -> SourceError { .kubeconfig(path: path, reason: reason) }

        func server(_ cluster: YAMLValue, fallback: HTTPURL?) throws(SourceError) -> HTTPURL {
            if let fallback { return fallback }
            guard let text = cluster["server"]?.text else {
                throw fault("the cluster has no server")
            }
            do {
                return try HTTPURL(parsing: text)
            } catch {
                throw fault(error.description)
            }
        }

        func readCluster(
            _ cluster: YAMLValue, _ access: inout APIServerAccess
        ) throws(SourceError) {
            access.authorities = try material("certificate-authority", in: cluster)
            access.isInsecure = cluster["insecure-skip-tls-verify"]?.boolean ?? false
            if access.isInsecure { access.authorities = nil }
            access.serverName = cluster["tls-server-name"]?.text
            if let text = cluster["proxy-url"]?.text {
                do {
                    access.proxy = try HTTPProxy(parsing: text)
                } catch {
                    throw fault("proxy-url: \(error)")
                }
            }
        }

        /// A member and its `-data` twin, which wins.
        func material(
            _ key: String, in value: YAMLValue
        ) throws(SourceError) -> APIServerAccess.Material? {
            if let text = value["\(key)-data"]?.text, !text.isEmpty {
                guard let bytes = Base64.decode(text.utf8) else {
                    throw fault("\(key)-data is not base 64")
                }
                return .data(bytes, source: "\(key)-data of \(path)")
            }
            guard let file = value[key]?.text, !file.isEmpty else { return nil }
            return .file(absolute(file))
        }

        func absolute(_ file: String) -> String { file.hasPrefix("/") ? file : folder + file }

        func readUser(_ user: YAMLValue, _ access: inout APIServerAccess) throws(SourceError) {
            access.clientCertificate = try material("client-certificate", in: user)
            access.clientKey = try material("client-key", in: user)
            if (access.clientCertificate == nil) != (access.clientKey == nil) {
                throw fault("client-certificate and client-key belong together")
            }
            if user["auth-provider"] != nil {
                throw fault("auth-provider is not supported; use exec, as kubectl since 1.26")
            }
            if let file = user["tokenFile"]?.text, !file.isEmpty {
                access.authorization = .tokenFile(absolute(file))
            } else if let token = user["token"]?.text, !token.isEmpty {
                access.authorization = .token(token)
            } else if let name = user["username"]?.text, let password = user["password"]?.text {
                access.authorization = .basic(user: name, password: password)
            } else if let exec = user["exec"], exec != .null {
                access.authorization = .exec(try plugin(exec))
            }
        }

        private func plugin(_ exec: YAMLValue) throws(SourceError) -> ExecPlugin {
            guard var command = exec["command"]?.text, !command.isEmpty else {
                throw fault("exec has no command")
            }
            // With a slash it is relative to the file, without it is looked for in PATH.
            if command.contains("/") { command = absolute(command) }
            var environment: [String: String] = [:]
            for variable in exec["env"]?.elements ?? [] {
                if let name = variable["name"]?.text {
                    environment[name] = variable["value"]?.text ?? ""
                }
            }
            let version = exec["apiVersion"]?.text ?? ""
            guard version.hasPrefix("client.authentication.k8s.io/v1") else {
                throw fault("exec has the apiVersion \"\(version)\"; v1 and v1beta1 are supported")
            }
            return ExecPlugin(
                command: command,
                arguments: (exec["args"]?.elements ?? []).compactMap(\.text),
                environment: environment, apiVersion: version)
        }
    }
}
