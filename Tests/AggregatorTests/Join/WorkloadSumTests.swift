import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Sums over the pods of workloads and namespaces: on demand over the whole window, and in batches.
@Suite struct WorkloadSumTests {
    private static let metrics = [
        "memory/usage", "memory/rss", "cpu/usage_rate", "process/threads", "cpu/request",
        "nvidia.com/gpu/request",
    ]
    private static let lastCycle = 24

    private func workload(_ kind: String, _ name: String) -> Workload {
        Workload(kind: kind, namespace: "shop", name: name)
    }

    /// Every kind of owner, on three nodes, with lives drawn by chance.
    private func makeWorld(seed: UInt64) throws -> (world: OwnedPods, plans: [OwnedPods.Plan]) {
        var random = SeededRandom(seed: seed)
        let world = OwnedPods()
        var plans: [OwnedPods.Plan] = []
        func plan(_ uid: String, _ workload: Workload?, _ cycles: ClosedRange<Int>? = nil)
            -> OwnedPods.Plan
        {
            let first = Int.random(in: 0...12, using: &random)
            let last = Int.random(in: first...Self.lastCycle + 6, using: &random)
            let plan = OwnedPods.Plan(
                uid: uid, node: "n\(Int.random(in: 1...3, using: &random))", workload: workload,
                cycles: cycles ?? first...last, hasOwnFigures: Bool.random(using: &random),
                cpuRequest: Int64.random(in: 0...500, using: &random),
                gpuRequest: Int64.random(in: 0...2, using: &random))
            plans.append(plan)
            return plan
        }
        world.directory.apply(
            .owned(
                OwnedObject(
                    kind: "ReplicaSet", namespace: "shop", name: "web-1",
                    uid: OwnedPods.owner("ReplicaSet", "web-1").uid,
                    controller: OwnedPods.owner("Deployment", "web"))), now: 0)
        world.directory.apply(
            .owned(
                OwnedObject(
                    kind: "Job", namespace: "shop", name: "night-1",
                    uid: OwnedPods.owner("Job", "night-1").uid,
                    controller: OwnedPods.owner("CronJob", "night"))), now: 0)
        for number in 0..<5 {
            world.add(
                plan("uid-web-\(number)", workload("Deployment", "web")), name: "web-\(number)",
                controller: OwnedPods.owner("ReplicaSet", "web-1"))
            // Its replica set is not known, but for its label.
            world.add(
                plan("uid-api-\(number)", workload("Deployment", "api")), name: "api-\(number)",
                controller: OwnedPods.owner("ReplicaSet", "api-5c9"),
                labels: ["pod-template-hash": "5c9"])
            world.add(
                plan("uid-log-\(number)", workload("DaemonSet", "log")), name: "log-\(number)",
                controller: OwnedPods.owner("DaemonSet", "log"))
            world.add(
                plan("uid-night-\(number)", workload("CronJob", "night")), name: "night-\(number)",
                controller: OwnedPods.owner("Job", "night-1"))
        }
        world.add(
            plan("uid-once", workload("Job", "once")), name: "once",
            controller: OwnedPods.owner("Job", "once"))
        world.add(plan("uid-alone", nil), name: "alone", controller: nil)
        world.add(
            plan("0123456789abcdef0123456789abcdef", nil), name: "static-n1",
            controller: OwnedPods.owner("Node", "n1"),
            configHash: "0123456789abcdef0123456789abcdef")
        // One after the other under one name, for two cycles both of them.
        for (number, cycles) in [(0, 2...10), (1, 9...Self.lastCycle + 1)] {
            world.add(
                plan("uid-db-\(number)", workload("StatefulSet", "db"), cycles), name: "db-0",
                controller: OwnedPods.owner("StatefulSet", "db"))
        }
        return (world, plans)
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func everySumIsTheSlowSumOverItsPods(seed: UInt64) throws {
        let (world, plans) = try makeWorld(seed: seed)
        let reader = world.api.reader
        let all = Set(plans.compactMap(\.workload))
        for number in 0...Self.lastCycle {
            try world.feed(number, plans)
            // Answered from the decoders' own rows.
            let newest = world.cycle(number)
            for metric in ["memory/usage", "cpu/usage_rate", "cpu/request"] {
                let wanted = world.sum(metric, from: newest) { $0.workload?.name == "web" }
                let found = try reader.series(
                    named: metric, of: .workload(workload("Deployment", "web")), start: newest)
                #expect(Self.byCycle(found) == wanted, "\(metric) at cycle \(number), seed \(seed)")
            }
        }
        for metric in Self.metrics {
            for workload in all {
                let found = try reader.series(named: metric, of: .workload(workload))
                #expect(
                    Self.byCycle(found) == world.sum(metric) { $0.workload == workload },
                    "\(metric) of \(workload), seed \(seed)")
                let part = try reader.series(
                    named: metric, of: .workload(workload), start: world.cycle(5),
                    end: world.cycle(9))
                #expect(
                    part == found.filter { (world.cycle(5)...world.cycle(9)).contains($0.cycle) })
            }
            // Requests are part of the roll-ups as of when they were first known.
            let found = try reader.series(named: metric, of: .namespace("shop"))
            #expect(
                Self.byCycle(found) == world.sum(metric) { _ in true },
                "\(metric) of the namespace, seed \(seed)")
        }
    }

    private static func byCycle(_ points: [SeriesPoint]) -> [Int64: Double] {
        #expect(zip(points, points.dropFirst()).allSatisfy { $0.cycle < $1.cycle })
        return Dictionary(uniqueKeysWithValues: points.map { ($0.cycle, $0.value.double) })
    }

    @Test func aBatchHasTheSumsOfItsCycle() throws {
        let (world, plans) = try makeWorld(seed: 7)
        for number in 0...Self.lastCycle { try world.feed(number, plans) }
        let newest = world.cycle(Self.lastCycle)
        let batch = try #require(ModelBatch.newest(index: world.api.index))
        var seen: [String] = []
        batch.forEachSet { (set: borrowing MetricSet) in
            let labels = Dictionary(
                uniqueKeysWithValues: set.labels.map { ($0.key, $0.value) })
            guard set.kind == .workload || set.kind == .namespace || set.kind == .cluster else {
                return
            }
            seen.append(SetKey.text(of: set))
            #expect(set.labels.map(\.key) == set.labels.map(\.key).sorted())
            #expect(labels["type"] == set.kind.rawValue && labels["pod_name"] == nil)
            for metric in Self.metrics {
                let wanted = world.sum(metric, from: newest) { plan in
                    set.kind != .workload
                        || plan.workload?.kind == labels["workload_kind"]
                            && plan.workload?.name == labels["workload_name"]
                }[newest]
                let found = set.values.first { $0.metric.name == metric }?.value.double
                #expect(found == wanted, "\(metric) of \(SetKey.text(of: set))")
            }
            #expect(!set.values.contains { $0.metric.name == "cpu/shares" })
        }
        let there = Set(
            plans.filter { $0.cycles.contains(Self.lastCycle) }.compactMap(\.workload)
        ).map { "namespace:shop/\($0.kind):\($0.name)" }
        #expect(Set(seen) == Set(there + ["namespace:shop", "cluster"]))
        #expect(seen.count == there.count + 2)
    }

    @Test func theModelAPIListsAndAnswersThem() throws {
        let (world, plans) = try makeWorld(seed: 3)
        for number in 0...3 { try world.feed(number, plans) }
        let router = world.api.router()
        func get(_ target: String) throws -> Any {
            let answer = try RoutedAnswer(router, "/api/v1/model/namespaces/shop\(target)")
            #expect(answer.status == .ok, "\(target)")
            return try JSONSerialization.jsonObject(
                with: Data(answer.body), options: .fragmentsAllowed)
        }
        let there = Set(plans.filter { $0.cycles.contains(3) }.compactMap(\.workload))
            .sorted { ($0.kind, $0.name) < ($1.kind, $1.name) }
        try #require(!there.isEmpty)
        #expect(try get("/workloads") as? [String] == there.map { "\($0.kind)/\($0.name)" })
        for workload in there {
            let names = try get("/workloads/\(workload.kind.lowercased())") as? [String]
            #expect(names == there.filter { $0.kind == workload.kind }.map(\.name))
            let path = "/workloads/\(workload.kind)/\(workload.name)/metrics"
            let metrics = try #require(try get(path) as? [String])
            #expect(metrics.contains("memory/usage") && metrics.contains("cpu/request"))
            #expect(!metrics.contains("cpu/shares") && !metrics.contains("cpu/usage"))
            let series = try get("\(path)/memory/usage") as? [String: Any]
            let wanted = world.sum("memory/usage") { $0.workload == workload }
            #expect((series?["metrics"] as? [Any])?.count == wanted.count, "\(workload)")
        }
        #expect(try get("/workloads/Deployment/nobody/metrics") as? [String] == [])
        let nothing = try get("/workloads/Deployment/nobody/metrics/memory/usage") as? [String: Any]
        #expect((nothing?["metrics"] as? [Any])?.isEmpty == true)
        let metrics = try #require(try get("/metrics") as? [String])
        #expect(Set(metrics).isSuperset(of: Self.metrics))
    }
}
