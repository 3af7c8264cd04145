import Wire

/// Goes the way to the apiserver step by step and says where it ends.
struct APIServerCheck {
    /// A permission, and what is lost without it.
    struct Permission {
        let purpose: APIServerClient.Purpose
        let isOptional: Bool
        let loss: String
    }

    let access: APIServerAccess
    let permissions: [Permission]
    let report: (Finding) -> Void

    private static let timeouts = HTTPTimeouts(connectSeconds: 5, headSeconds: 10, idleSeconds: 10)

    /// What the source needs, the checking of agents and of readers with tokens, and the election.
    static func permissions(
        reviewsAgents: Bool, reviewsReaders: Bool = false, election: LeaderElection.Settings? = nil
    ) -> [Permission] {
        var found: [Permission] = []
        for resource in WatchedResource.all {
            let loss: String
            switch resource.resource {
            case "pods": loss = "pods go by their UIDs and containers by their IDs"
            case "nodes": loss = "nodes have no capacity, labels or reservations"
            case "namespaces": loss = "namespaces have no IDs"
            case "replicasets": loss = "deployments are guessed from names"
            default: loss = "pods of cron jobs belong to their jobs"
            }
            for verb in ["list", "watch"] {
                found.append(
                    Permission(
                        purpose: resource.purpose(verb), isOptional: resource.isOptional,
                        loss: verb == "list" ? loss : "changes are seen once a minute"))
            }
        }
        if reviewsAgents || reviewsReaders {
            let loss =
                reviewsAgents
                ? "no agent is believed (--agent-token-review)"
                : "no reader with a bearer token is answered"
            found.append(
                Permission(purpose: TokenReview.purpose, isOptional: false, loss: loss))
        }
        if reviewsReaders {
            found.append(
                Permission(
                    purpose: APIServerClient.Purpose(
                        verb: "create", group: "authorization.k8s.io",
                        resource: "subjectaccessreviews"), isOptional: false,
                    loss: "no reader is answered but those with a certificate of --tls-client-ca"))
        }
        if let election {
            for verb in ["get", "create", "patch"] {
                found.append(
                    Permission(
                        purpose: APIServerLeaseStore.purpose(verb, namespace: election.namespace),
                        isOptional: false, loss: "this aggregator never writes to its sinks"))
            }
        }
        return found
    }

    func run() {
        let near = (access.proxy?.url ?? access.server).hostAndPort
        let steps: [(subject: String, step: () throws(SourceError) -> String)] = [
            ("name resolution", { () throws(SourceError) in try resolve(near) }),
            ("TCP", { () throws(SourceError) in try connect(near) }),
            ("TLS", { () throws(SourceError) in try establish() }),
            ("credentials", { () throws(SourceError) in try authenticate() }),
        ]
        var hasFailed = false
        for (subject, step) in steps {
            if hasFailed {
                report(Finding(.skipped, subject, "not reached"))
                continue
            }
            do throws(SourceError) {
                report(Finding(.good, subject, try step()))
            } catch {
                hasFailed = true
                report(Finding(.fault, subject, "\(error)"))
            }
        }
        for permission in permissions { check(permission, isReached: !hasFailed) }
    }

    // MARK: Steps

    private func resolve(_ near: HostAndPort) throws(SourceError) -> String {
        do throws(TransportError) {
            let addresses = try near.resolve().map(\.host).joined(separator: ", ")
            return near.host == addresses
                ? "\(near.host) is an address" : "\(near.host) is \(addresses)"
        } catch {
            throw .request(url: "\(access.server)", .transport(error))
        }
    }

    private func connect(_ near: HostAndPort) throws(SourceError) -> String {
        var url = access.proxy?.url ?? access.server
        url.scheme = .http
        do throws(HTTPClientError) {
            try HTTPClientConnection.open(
                HTTPDestination(url), timeouts: Self.timeouts, interruption: nil
            ).close()
        } catch {
            throw .request(url: "\(access.server)", error)
        }
        return access.proxy == nil
            ? "\(near) takes connections" : "the proxy \(near) takes connections"
    }

    private func establish() throws(SourceError) -> String {
        guard access.server.scheme == .https else { return "not used: the URL is http://" }
        let destination = try access.destination()
        do throws(HTTPClientError) {
            try HTTPClientConnection.open(
                destination, timeouts: Self.timeouts, interruption: nil
            ).close()
        } catch {
            throw .request(url: "\(access.server)", error)
        }
        if access.isInsecure { return "established, the certificate UNCHECKED (insecure)" }
        let trust = access.authorities.map { "by \($0.source)" } ?? "by the system's authorities"
        return "the certificate of \(access.server.hostField) is good \(trust)"
    }

    private var client: APIServerClient {
        APIServerClient(access, timeouts: Self.timeouts)
    }

    private func authenticate() throws(SourceError) -> String {
        do throws(SourceError) {
            _ = try AccessReview.isAllowed(WatchedResource.pods.purpose("list"), client)
        } catch {
            // Who may not ask is known, or it would have been 401.
            guard case .status(let url, 403, let message, _) = error else { throw error }
            if message.contains("system:anonymous") {
                throw .status(
                    url: url, status: 403, message: message,
                    remedy: "nobody in particular may not list pods: give a token, a client "
                        + "certificate or an exec plugin in the kubeconfig")
            }
        }
        return "accepted: \(access.identityWords)"
    }

    private func check(_ permission: Permission, isReached: Bool) {
        let purpose = permission.purpose
        let subject = "\(purpose.verb) \(purpose.resource)"
        guard isReached else { return report(Finding(.skipped, subject, "not reached")) }
        let fault: Finding.Outcome = permission.isOptional ? .warning : .fault
        do throws(SourceError) {
            if try AccessReview.isAllowed(purpose, client) {
                report(Finding(.good, subject, "allowed"))
            } else {
                report(Finding(fault, subject, "\(purpose.remedy); without it \(permission.loss)"))
            }
        } catch {
            report(Finding(fault, subject, "\(error)"))
        }
    }
}

extension APIServerAccess {
    /// Who it is that asks, without the secret.
    var identityWords: String {
        switch authorization {
        case .token: return "the token of the kubeconfig"
        case .tokenFile(let path): return "the token in \(path)"
        case .basic(let user, _): return "the password of \(user)"
        case .exec(let plugin): return "the token that \(plugin.command) gives"
        case .none:
            guard let clientCertificate else { return "nobody in particular (no credentials)" }
            return "the client certificate \(clientCertificate.source)"
        }
    }
}
