import Wire
import WireTLS

/// Who may ask the API, and how it is reached.
struct APIFlags: Sendable {
    /// Of the API's port; `nil` for plain HTTP.
    var tls: TLSFiles?
    var access = AccessConfiguration()
    var allowsDebug = false

    static let flags: [Flag] = [
        Flag(
            "insecure-http", "",
            "Serve the API over plain HTTP on addresses other than loopback, to everybody."),
        Flag(
            "tls-cert", "FILE", aliases: ["tls-cert-file"],
            "Serve the API over TLS 1.2 or newer with this certificate chain (PEM). Read again when it "
                + "changes."),
        Flag(
            "tls-key", "FILE", aliases: ["tls-private-key-file"], "The key of --tls-cert (PEM)."),
        Flag(
            "tls-client-ca", "FILE",
            "Clients with a certificate that these authorities signed may ask everything; see "
                + "--allowed-users."),
        Flag(
            "allowed-users", "NAMES",
            "Of the certificates of --tls-client-ca, only those with these common names, separated by "
                + "commas."),
        Flag(
            "insecure-access", "",
            "Over TLS, answer everybody without asking who it is. Without it clients need a certificate "
                + "(--tls-client-ca), or a bearer token that the apiserver of --source knows and "
                + "rights that it grants."),
        Flag(
            "enable-debug-handlers", "",
            "Answer /api/v1/model/debug/allkeys, the keys of everything that runs now, as Heapster did."
        ),
        Flag(
            "requestheader-client-ca-file", "FILE",
            "Authorities of the aggregation layer's front proxy. By default what the apiserver publishes "
                + "in configmap kube-system/extension-apiserver-authentication, where that may be read."
        ),
        Flag(
            "requestheader-allowed-names", "NAMES",
            "Common names that the front proxy's certificate may have, separated by commas; by default "
                + "any."),
        Flag(
            "requestheader-username-headers", "NAMES", default: "X-Remote-User",
            "Fields in which the front proxy names the user."),
        Flag(
            "requestheader-group-headers", "NAMES", default: "X-Remote-Group",
            "Fields in which it names the user's groups."),
        Flag(
            "requestheader-extra-headers-prefix", "PREFIXES", default: "X-Remote-Extra-",
            "Beginnings of fields in which it says more about the user."),
    ]

    /// Reads its flags; problems are reported to the command line.
    ///
    /// - Parameter apiserver: that of `--source`.
    init(_ line: inout CommandLine, address: SocketAddress, apiserver: APIServerAccess?) {
        allowsDebug = line.bool("enable-debug-handlers")
        readTLS(&line)
        readClients(&line, hasApiserver: apiserver != nil)
        let isInsecure = line.bool("insecure-access")
        guard tls != nil else {
            // Files that cannot be used are reported already.
            if !line.isGiven("tls-cert"), !line.isGiven("tls-key") { checkPlain(&line, address) }
            return
        }
        access.apiserver = apiserver
        let canRecognise = access.clientAuthorities != nil || apiserver != nil
        access.isOpen = isInsecure || !canRecognise
        if isInsecure, access.clientAuthorities != nil {
            line.report(
                "--insecure-access answers everybody; give it or --tls-client-ca, not both")
        }
        if !address.isLoopback, !isInsecure, !canRecognise {
            line.report(
                "--listen-ip=\(address.host) would answer nobody, because nobody can be recognised; "
                    + "give --tls-client-ca, or --source=kubernetes for bearer tokens, or "
                    + "--insecure-access to answer everybody")
        }
    }

    /// What only TLS can have.
    private static let tlsOnly = [
        "tls-client-ca", "allowed-users", "insecure-access", "requestheader-client-ca-file",
        "requestheader-allowed-names",
    ]

    private func checkPlain(_ line: inout CommandLine, _ address: SocketAddress) {
        for name in Self.tlsOnly where line.isGiven(name) {
            line.report("--\(name) needs --tls-cert and --tls-key")
        }
        if !address.isLoopback, !line.bool("insecure-http") {
            line.report(
                "--listen-ip=\(address.host) would serve the API unencrypted to other machines; "
                    + "give --tls-cert and --tls-key, or --insecure-http if the network is trusted")
        }
    }

    private mutating func readTLS(_ line: inout CommandLine) {
        let paths = TLSFiles.Paths(
            certificate: line.text("tls-cert"), key: line.text("tls-key"))
        guard paths != TLSFiles.Paths() else { return }
        guard paths.certificate != nil, paths.key != nil else {
            return line.report("TLS for the API needs both --tls-cert and --tls-key")
        }
        do throws(TLSFilesError) {
            tls = try TLSFiles(paths, role: .askingServer)
        } catch {
            line.report("TLS for the API: \(error)")
        }
    }

    private mutating func readClients(_ line: inout CommandLine, hasApiserver: Bool) {
        access.allowedUsers = Set(Self.list(line.text("allowed-users")))
        if !access.allowedUsers.isEmpty, !line.isGiven("tls-client-ca") {
            line.report("--allowed-users needs --tls-client-ca, whose certificates it is about")
        }
        if let path = line.text("tls-client-ca") {
            access.clientAuthorities = Self.file(path, "tls-client-ca", &line)
        }
        guard let path = line.text("requestheader-client-ca-file") else {
            if line.isGiven("requestheader-allowed-names") {
                line.report("--requestheader-allowed-names needs --requestheader-client-ca-file")
            }
            return
        }
        if !hasApiserver {
            line.report(
                "--requestheader-client-ca-file needs --source=kubernetes: what the users may do is asked "
                    + "of the apiserver")
        }
        guard let authorities = Self.file(path, "requestheader-client-ca-file", &line) else {
            return
        }
        var proxy = AccessConfiguration.FrontProxyFiles(authorities: authorities)
        proxy.allowedNames = Self.list(line.text("requestheader-allowed-names"))
        func fields(_ name: String) -> [String] {
            Self.list(line.text(name)).map { $0.lowercased() }
        }
        proxy.fields.userNames = fields("requestheader-username-headers")
        proxy.fields.groups = fields("requestheader-group-headers")
        proxy.fields.extraPrefixes = fields("requestheader-extra-headers-prefix")
        access.frontProxy = proxy
    }

    private static func file(
        _ path: String, _ flag: String, _ line: inout CommandLine
    ) -> AuthorityFile? {
        do throws(TLSFilesError) {
            return try AuthorityFile(path)
        } catch {
            line.report("--\(flag): \(error)")
            return nil
        }
    }

    private static func list(_ text: String?) -> [String] {
        (text ?? "").split(separator: ",").map {
            String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
    }
}
