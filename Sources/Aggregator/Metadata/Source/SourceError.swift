import WireTLS

/// What keeps names from coming in, each with its remedy. The same words go to the log, to `doctor`
/// and to the exit message.
enum SourceError: Error, Equatable, Sendable {
    /// `--source` says something that is not understood.
    case option(text: String, reason: String)
    case notInCluster(missing: String)
    case file(path: String, reason: String)
    case kubeconfig(path: String, reason: String)
    case exec(command: String, reason: String)
    case tls(TLSError)
    case request(url: String, HTTPClientError)
    /// The apiserver's answer was not the one hoped for.
    case status(url: String, status: Int, message: String, remedy: String)
    case list(url: String, ObjectError)
    /// The watch's resource version is too old: list again.
    case expired
}

extension SourceError: CustomStringConvertible {
    var description: String {
        switch self {
        case .option(let text, let reason): "--source=\(text): \(reason)"
        case .notInCluster(let missing):
            "\(missing): this is no pod with a service account; outside a cluster give "
                + "--source='kubernetes:?inClusterConfig=false&auth=KUBECONFIG'"
        case .file(let path, let reason): "cannot read \(path): \(reason)"
        case .kubeconfig(let path, let reason): "kubeconfig \(path): \(reason)"
        case .exec(let command, let reason):
            "the credential plugin \(command) failed: \(reason); run it by hand to see why"
        case .tls(let error): error.description
        case .request(let url, let error): "\(url): \(error)\(Self.advice(error))"
        case .status(let url, let status, let message, let remedy):
            "\(url) answered \(status)\(message.isEmpty ? "" : " (\(message))"); \(remedy)"
        case .list(let url, let error): "the list from \(url) cannot be used: \(error)"
        case .expired: "the watch is too old to go on"
        }
    }

    private static func advice(_ error: HTTPClientError) -> String {
        switch error {
        case .transport(.cannotResolve):
            return "; check the URL in --source or the kubeconfig, and this machine's DNS"
        case .transport(.cannotConnect), .timedOut(.connecting, _, _):
            return
                "; check address and port in --source or the kubeconfig, that the apiserver runs, "
                + "and firewalls and network policies between"
        default: break
        }
        guard case .transport(.streamFailed(let reason)) = error,
            reason.contains("is not accepted")
        else { return "" }
        if reason.contains("expired") { return "; renew the apiserver's certificate" }
        if reason.contains("mismatch") {
            return "; use one of the names in the certificate in the URL"
        }
        return "; give the cluster's authority in the kubeconfig (certificate-authority), or "
            + "insecure=true in --source to check nothing"
    }
}
