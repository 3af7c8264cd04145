import Wire

/// Whether agents are checked with the apiserver, and who may be one.
struct AgentIdentityFlags: Sendable {
    /// `nil`: agents are not checked with the apiserver.
    private(set) var policy: TokenReviewer.Policy?

    static let flags: [Flag] = [
        Flag(
            "agent-token-review", "",
            "Ask the apiserver whose token an agent presents (its --service-account-token-file, audience "
                + "heapwire) and whether that pod is on the node it speaks for. Default: true with "
                + "--source=kubernetes on an address other than loopback, where neither "
                + "--agent-token-file nor --ingest-client-ca is given."),
        Flag(
            "agent-service-account", "NAMESPACE:NAME",
            "Whose pods may speak for nodes. Default: heapwire-agent in the aggregator's own namespace, "
                + "or in kube-system outside a cluster."),
    ]

    /// Reads its flags; problems are reported to the command line.
    ///
    /// - Parameters:
    ///   - ingest: what else is asked of agents.
    ///   - address: where agents connect.
    init(
        _ line: inout CommandLine, source: SourceFlags, ingest: IngestConfiguration,
        address: SocketAddress
    ) {
        let other = ingest.authentication.token != nil || ingest.authentication.requiresCertificate
        let hasSource = source.access != nil
        let isWanted =
            line.isGiven("agent-token-review")
            ? line.bool("agent-token-review") : hasSource && !other && !address.isLoopback
        var policy = TokenReviewer.Policy(
            namespace: Self.ownNamespace ?? "kube-system", serviceAccount: "heapwire-agent")
        if let text = line.text("agent-service-account") {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            if parts.count == 2, !parts[0].isEmpty, !parts[1].isEmpty {
                (policy.namespace, policy.serviceAccount) = (String(parts[0]), String(parts[1]))
            } else {
                line.report(
                    "--agent-service-account=\(text) is not NAMESPACE:NAME; write "
                        + "kube-system:heapwire-agent")
            }
        }
        guard isWanted else { return }
        if !hasSource, line.text("source") == "none" {
            line.report("--agent-token-review needs an apiserver; give --source=kubernetes")
        }
        if ingest.authentication.token != nil {
            line.report(
                "--agent-token-review and --agent-token-file want two tokens of an agent that can "
                    + "give one; give one of them")
        }
        self.policy = policy
    }

    private static var ownNamespace: String? {
        let path = "\(APIServerAccess.serviceAccountFolder)/namespace"
        do throws(SmallFileError) {
            let bytes = try SmallFile.read(path, byteLimit: 1_024).trimmingWhitespace()
            return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
        } catch {
            // Outside a cluster there is none.
            return nil
        }
    }
}
