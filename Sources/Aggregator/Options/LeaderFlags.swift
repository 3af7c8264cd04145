import Wire

/// `--leader-elect`: which of several aggregators writes to sinks. Flags as every Kubernetes component
/// has them.
struct LeaderFlags: Sendable {
    /// `nil`: this one always does.
    private(set) var election: LeaderElection.Settings?

    static let flags: [Flag] = [
        Flag(
            "leader-elect", "",
            "Of several aggregators only the holder of a Lease (coordination.k8s.io/v1) writes to sinks; "
                + "all of them answer questions. Needs --source=kubernetes."),
        Flag(
            "leader-elect-lease-duration", "DURATION", default: "15s",
            "After so long without a renewal another aggregator takes the Lease, 1s to 1h."),
        Flag(
            "leader-elect-renew-deadline", "DURATION", default: "10s",
            "A holder that could not renew the Lease for so long stops writing; less than the lease "
                + "duration."),
        Flag(
            "leader-elect-retry-period", "DURATION", default: "2s",
            "Between two attempts to take or renew the Lease; at most the renew deadline divided by 1.2."
        ),
        Flag(
            "leader-elect-resource-namespace", "NAMESPACE", default: "kube-system",
            "The Lease's namespace."),
        Flag(
            "leader-elect-resource-name", "NAME", default: "heapwire-aggregator",
            "The Lease's name: the same for aggregators that stand in for each other."),
    ]

    /// Reads its flags; problems are reported to the command line.
    init(_ line: inout CommandLine, source: SourceFlags) {
        var election = LeaderElection.Settings()
        func duration(_ name: String, _ value: inout UInt64) {
            if let given = line.milliseconds("leader-elect-\(name)", in: 1_000...3_600_000) {
                value = UInt64(given) * 1_000_000
            }
        }
        duration("lease-duration", &election.timing.leaseDuration)
        duration("renew-deadline", &election.timing.renewDeadline)
        duration("retry-period", &election.timing.retryPeriod)
        if election.timing.renewDeadline >= election.timing.leaseDuration {
            line.report(
                "--leader-elect-renew-deadline must be less than --leader-elect-lease-duration, or "
                    + "two aggregators could write at a time")
        }
        if election.timing.retryPeriod * 6 / 5 >= election.timing.renewDeadline {
            line.report(
                "--leader-elect-retry-period must be less than --leader-elect-renew-deadline divided "
                    + "by 1.2, or the holder has no second attempt")
        }
        election.namespace = Self.name("resource-namespace", &line, default: election.namespace)
        election.name = Self.name("resource-name", &line, default: election.name)
        guard line.bool("leader-elect") else { return }
        if source.access == nil, line.text("source") == "none" {
            line.report("--leader-elect needs an apiserver for its Lease; give --source=kubernetes")
        }
        self.election = election
    }

    private static func name(
        _ flag: String, _ line: inout CommandLine, default value: String
    ) -> String {
        let text = line.text("leader-elect-\(flag)") ?? value
        let isName = text.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "."):
                return true
            default: return false
            }
        }
        if text.isEmpty || text.utf8.count > 253 || !isName {
            line.report("--leader-elect-\(flag)=\(text) is not a name of a Kubernetes object")
        }
        return text
    }
}
