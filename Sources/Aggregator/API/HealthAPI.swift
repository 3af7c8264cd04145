import Wire

/// `/healthz` as Heapster's, `/livez` and `/readyz` as metrics-server's.
struct HealthAPI: Sendable {
    let cluster: Cluster
    let metadata: MetadataMetrics
    let clock: Clock

    /// What is looked at, under metrics-server's name for it.
    private struct Check {
        let name: String
        /// Why not; `nil` when all is well.
        let problem: String?
    }

    func register(in router: inout Router) {
        for path in ["/healthz", "/healthz/healthz"] {
            router.add(.get, path) { .now(answer($0, "healthz", [healthz], health)) }
        }
        router.add(.get, "/livez") { .now(answer($0, "livez", live, "ok")) }
        router.add(.get, "/readyz") { .now(answer($0, "readyz", ready, "ok")) }
        router.add(.get, "/livez/{check}") { .now(single($0.parameter(0), live)) }
        router.add(.get, "/readyz/{check}") { .now(single($0.parameter(0), ready)) }
    }

    // MARK: What is looked at

    private static let ping = Check(name: "ping", problem: nil)

    private var healthz: Check {
        Check(name: "healthz", problem: isFresh ? nil : "no frame of any node")
    }

    /// Whether a restart is due: only when the process itself has come to a stop.
    private var live: [Check] {
        let keeper = Check(
            name: "metric-collection-timely",
            problem: cluster.presence.isLooking(monotonicNanoseconds: clock.monotonicNanoseconds)
                ? nil : "the model was not looked after in time")
        return [Self.ping, keeper]
    }

    /// Whether there is something to answer with. metrics-server asks its informers under two names, of
    /// which older ones have the first alone.
    private var ready: [Check] {
        let problem = metadata.hasNames ? nil : "the apiserver's lists are not complete yet"
        return [
            Self.ping,
            Check(
                name: "metric-storage-ready", problem: hasRates ? nil : "no metrics to serve"),
            Check(name: "metadata-informer-sync", problem: problem),
            Check(name: "metric-informer-sync", problem: problem),
        ]
    }

    private var newestAge: Int64? {
        guard let newest = cluster.rollUps.newestCycle else { return nil }
        return Int64(clock.realtimeNanoseconds / 1_000_000) &- newest
    }

    /// Whether the newest cycle is no older than three minutes or, where cycles are longer, three of
    /// them.
    private var isFresh: Bool {
        guard let newestAge else { return false }
        return newestAge <= max(180_000, 3 * cluster.configuration.resolution)
    }

    /// Whether there are rates to answer with: two cycles, the newer one fresh.
    private var hasRates: Bool { isFresh && cluster.rollUps.reportingNodes.count >= 2 }

    /// `ok`, and what is missing nevertheless: no reason to be restarted.
    private var health: String {
        guard let counts = cluster.presence.counts, counts.reporting < counts.expected else {
            return metadata.health
        }
        return metadata.health + "\n\(counts.reporting) of \(counts.expected) nodes report"
    }

    // MARK: Answers

    /// All checks, as an apiserver tells of them: `?verbose` names each, `?exclude=` passes over some.
    private func answer(
        _ request: HTTPRequest, _ endpoint: String, _ checks: [Check], _ good: String
    ) -> HTTPResponse {
        var excluded = Set(request.queryValues("exclude"))
        var lines = ""
        var isGood = true
        for check in checks {
            if excluded.remove(check.name) != nil {
                lines += "[+]\(check.name) excluded: ok\n"
            } else if check.problem == nil {
                lines += "[+]\(check.name) ok\n"
            } else {
                isGood = false
                // This is open to everybody; `/readyz/NAME` says why, to who may ask.
                lines += "[-]\(check.name) failed: reason withheld\n"
            }
        }
        guard isGood else {
            return .text(.internalServerError, lines + "\(endpoint) check failed\n")
        }
        guard request.queryValue("verbose") != nil else { return .text(.ok, good) }
        if !excluded.isEmpty {
            let names = excluded.sorted().map { "\"\($0)\"" }.joined(separator: ",")
            lines += "warn: some health checks cannot be excluded: no matches for \(names)\n"
        }
        return .text(.ok, lines + "\(endpoint) check passed\n")
    }

    /// One check by its name, with the reason.
    private func single(_ name: String, _ checks: [Check]) -> HTTPResponse {
        guard let check = checks.first(where: { $0.name == name }) else {
            return .text(.notFound, "404 page not found\n")
        }
        guard let problem = check.problem else { return .text(.ok, "ok") }
        return .text(.internalServerError, "internal server error: \(problem)\n")
    }
}
