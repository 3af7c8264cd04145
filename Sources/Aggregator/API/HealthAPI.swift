import Wire

/// `/healthz` as Heapster's, `/livez` and `/readyz` as metrics-server's.
struct HealthAPI: Sendable {
    let cluster: Cluster
    let metadata: MetadataMetrics
    let clock: Clock

    func register(in router: inout Router) {
        for path in ["/healthz", "/healthz/healthz"] {
            router.add(.get, path) { request in
                .now(answer(request, "healthz", isGood: isFresh, name: "healthz"))
            }
        }
        router.add(.get, "/livez") { request in
            .now(answer(request, "livez", isGood: true, name: "ping"))
        }
        router.add(.get, "/readyz") { request in
            .now(answer(request, "readyz", isGood: hasRates, name: "metric-storage-ready"))
        }
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

    private func answer(
        _ request: HTTPRequest, _ check: String, isGood: Bool, name: String
    ) -> HTTPResponse {
        let isVerbose = request.queryValue("verbose") != nil
        guard isGood else {
            return .text(
                .internalServerError,
                "[-]\(name) failed: reason withheld\n\(check) check failed\n")
        }
        return .text(.ok, isVerbose ? "[+]\(name) ok\n\(check) check passed\n" : health)
    }
}
