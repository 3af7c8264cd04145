import Foundation

@testable import Aggregator

/// An answer that differs from Heapster's for a reason that `docs/compatibility.md` gives.
struct KnownDifference: Sendable {
    let part: String
    let request: String
    /// The heading in `docs/compatibility.md`.
    let reason: String
    let explains: @Sendable (_ heapster: Answer, _ ours: Answer) -> Bool
}

/// Every one of them, in the recordings' order. A difference that is gone fails the test too.
enum KnownDifferences {
    private static func summary(
        _ target: String, _ reason: String,
        _ explains: @escaping @Sendable (Answer, Answer) -> Bool
    ) -> KnownDifference {
        KnownDifference(
            part: "summary", request: "GET \(target)", reason: reason, explains: explains)
    }

    /// Names that ours has and Heapster's has not, or the other way round.
    private static func names(
        missing: Set<String> = [], more: Set<String> = []
    ) -> @Sendable (Answer, Answer) -> Bool {
        { heapster, ours in
            guard ours.status == 200, let wanted = heapster.json as? [String],
                let found = ours.json as? [String]
            else { return false }
            return Set(wanted).subtracting(found) == missing
                && Set(found).subtracting(wanted) == more
        }
    }

    /// Where Heapster answered 404, ours has a document.
    private static func answered(
        _ containing: String
    ) -> @Sendable (Answer, Answer) -> Bool {
        { heapster, ours in
            heapster.status == 404 && ours.status == 200
                && ours.contentType == "application/json" && ours.json != nil
                && ours.body.contains(containing)
        }
    }

    /// The same points but at 00:02, where a container had just restarted.
    private static let atRestart: @Sendable (Answer, Answer) -> Bool = { heapster, ours in
        func points(_ answer: Answer) -> [String: Double] {
            let object = answer.json as? [String: Any]
            var found: [String: Double] = [:]
            for point in object?["metrics"] as? [[String: Any]] ?? [] {
                guard let time = point["timestamp"] as? String else { continue }
                found[time] = (point["value"] as? NSNumber)?.doubleValue
            }
            return found
        }
        var (wanted, found) = (points(heapster), points(ours))
        let (then, now) = (wanted, found)
        let restart = "2026-01-01T00:02:00Z"
        wanted[restart] = nil
        found[restart] = nil
        return !wanted.isEmpty && wanted == found && now[restart] != nil
            && now[restart] != then[restart]
    }

    private static let moreSums: Set<String> = [
        "memory/major_page_faults_rate", "memory/page_faults_rate", "memory/rss",
        "memory/working_set", "network/rx_errors_rate", "network/rx_rate",
        "network/tx_errors_rate", "network/tx_rate",
    ]
    private static let moreNamespaceSums = moreSums.union([
        "ephemeral_storage/limit", "ephemeral_storage/request", "ephemeral_storage/usage",
        "restart_count",
    ])
    private static let unknownKeys: Set<String> = [
        "namespace:ghost", "namespace:ghost/pod:orphan-1",
        "namespace:ghost/pod:orphan-1/container:lost",
    ]

    static let all: [KnownDifference] = [
        summary("/api/v1/model", "Paths of the first model API", answered("namespaces/")),
        summary("/api/v1/model/", "Paths of the first model API", answered("namespaces/")),
        summary("/api/v1/model/debug/allkeys/", "Pods that the apiserver does not know") {
            heapster, ours in
            let wanted = Set(heapster.json as? [String] ?? [])
            let found = Set(ours.json as? [String] ?? [])
            return wanted.subtracting(found) == unknownKeys
                && found.subtracting(wanted).count == 3
                && found.subtracting(wanted).allSatisfy { $0.hasPrefix("namespace:_unknown") }
        },
        summary("/api/v1/model/metrics", "Sums of more metrics", names(more: moreSums)),
        summary("/api/v1/model/metrics/cpu/usage_rate", "Rates after a restart", atRestart),
        summary("/api/v1/model/metrics/cpu/usage_rate/", "Rates after a restart", atRestart),
        summary(
            "/api/v1/model/metrics/cpu/usage_rate?start={T1}", "Rates after a restart", atRestart),
        summary(
            "/api/v1/model/metrics/cpu/usage_rate?start=2026-01-01T00:00:00%2B02:00",
            "Rates after a restart", atRestart),
        summary(
            "/api/v1/model/nodes/node-a/freecontainers", "Names and hostnames of nodes",
            names(more: ["docker-daemon", "kubelet", "pods", "system"])),
        summary(
            "/api/v1/model/nodes/node-a/freecontainers/", "Names and hostnames of nodes",
            names(more: ["docker-daemon", "kubelet", "pods", "system"])),
        summary(
            "/api/v1/model/nodes/node-a/pods/", "Paths of the first model API",
            answered("cpuUsage")),
        summary(
            "/api/v1/model/namespaces", "Pods that the apiserver does not know",
            names(missing: ["ghost"], more: ["_unknown"])),
        summary(
            "/api/v1/model/namespaces/default", "Paths of the first model API",
            answered("pods/")),
        summary(
            "/api/v1/model/namespaces/default/metrics", "Sums of more metrics",
            names(more: moreNamespaceSums)),
        summary(
            "/api/v1/model/namespaces/ghost/metrics/", "Pods that the apiserver does not know",
            names(missing: ["cpu/usage_rate", "memory/usage"])),
        summary(
            "/api/v1/model/namespaces/default/metrics/memory/working_set",
            "Sums of more metrics"
        ) { heapster, ours in
            let points = (ours.json as? [String: Any])?["metrics"] as? [Any]
            return heapster.body.contains("0001-01-01T00:00:00Z") && points?.count == 4
        },
        summary(
            "/api/v1/model/namespaces/staging/pods/worker-0/containers/worker/metrics/cpu/usage_rate",
            "Rates after a restart", atRestart),
        summary(
            "/api/v1/model/namespaces/staging/pods/worker-0/metrics/cpu/usage_rate",
            "Rates after a restart", atRestart),
        summary("/api/v1/model/stats/", "Paths of the first model API", answered("percentile")),
        summary("/api/v1/metric-export/", "Pods that the apiserver does not know") {
            heapster, ours in
            // The same sets but for the pod that nobody knows, whose names are in no label.
            func sets(_ answer: Answer) -> [[String: Any]] {
                (answer.json as? [[String: Any]] ?? []).filter {
                    let labels = $0["labels"] as? [String: String] ?? [:]
                    return labels["pod_id"] != "uid-ghost-orphan-1"
                }
            }
            let (wanted, found) = (sets(heapster), sets(ours))
            return ours.status == 200 && wanted.count > 40
                && Answer.difference(wanted, found, "") == nil
        },
        summary(
            "/apis/metrics.k8s.io", "Today's resource metrics", answered("APIGroup")),
        summary(
            "/apis/metrics.k8s.io/v1alpha1/namespaces/default/pods/nope",
            "A pod that is not there is 404"
        ) { heapster, ours in
            heapster.status == 500 && ours.status == 404 && heapster.body == ours.body
        },
        summary("/api/v1/historical/metrics/", "Historical API") { heapster, ours in
            let wanted = Set(heapster.json as? [String] ?? [])
            return ours.status == 200 && !wanted.isEmpty
                && wanted.isSubset(of: ours.json as? [String] ?? [])
        },
        // Asked once more with another Accept.
        summary("/api/v1/model/metrics/cpu/usage_rate", "Rates after a restart", atRestart),
        summary("/metrics", "The aggregator's own metrics") { heapster, ours in
            ours.status == heapster.status && ours.contentType == heapster.contentType
                && ours.body.contains("heapwire_build_info")
        },
    ]
}
