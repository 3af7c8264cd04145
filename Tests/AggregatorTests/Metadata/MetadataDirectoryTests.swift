import Foundation
import Synchronization
import TestSupport
import Testing
import Wire

@testable import Aggregator

@Suite struct PodDirectoryTests {
    private typealias Make = MetadataMaker

    @Test func podsAreFoundByEveryKey() {
        let directory = PodDirectory()
        let pod = Make.pod(1, containers: [1, 2, 0])
        directory.apply(.pod(pod), now: 0)
        #expect(directory.pod(uid: pod.uid) === pod)
        #expect(directory.container(id: Make.containerID(2))?.container.name == "c1")
        #expect(directory.container(id: Make.containerID(3)) == nil)
        #expect(directory.container(id: .none) == nil)
        #expect(directory.pods(namespace: "default", name: "pod-1").map(\.uid) == [pod.uid])
        #expect(directory.pods(namespace: "default").count == 1)
        #expect(directory.pods(namespace: "other").isEmpty)
        let view = directory.node("n1").view()
        #expect(view.pod(uid: pod.uid) === pod)
        #expect(view.container(id: Make.containerID(1))?.index == 0)
        #expect(view.container(id: Make.containerID(9)) == nil)
    }

    @Test func aNameUsedAgainIsAnotherPod() {
        let directory = PodDirectory(window: 1_000)
        let (old, new) = (
            Make.pod(1, name: "db-0", containers: [1]), Make.pod(2, name: "db-0", containers: [2])
        )
        directory.apply(.pod(old), now: 0)
        directory.apply(.podRemoved(old.uid), now: 100)
        #expect(directory.pods(namespace: "default", name: "db-0").map(\.uid) == [old.uid])
        #expect(directory.pods(namespace: "default").isEmpty)
        directory.apply(.pod(new), now: 200)
        #expect(
            directory.pods(namespace: "default", name: "db-0").map(\.uid) == [new.uid, old.uid])
        #expect(directory.container(id: Make.containerID(1))?.pod === old)
        #expect(directory.node("n1").view().departedPods.map(\.uid) == [old.uid])
        directory.expire(now: 1_099)
        #expect(directory.pod(uid: old.uid) === old)
        directory.expire(now: 1_100)
        #expect(directory.pod(uid: old.uid) == nil)
        #expect(directory.container(id: Make.containerID(1)) == nil)
        #expect(directory.pods(namespace: "default", name: "db-0").map(\.uid) == [new.uid])
        #expect(directory.node("n1").view().departedPods.isEmpty)
    }

    @Test func aRestartedContainerIsFoundByItsEarlierIDForTheWindow() {
        let directory = PodDirectory(window: 1_000)
        directory.apply(.pod(Make.pod(1, containers: [1, 5])), now: 0)
        directory.apply(.pod(Make.pod(1, containers: [2, 5])), now: 500)
        for id in [1, 2] {
            #expect(directory.container(id: Make.containerID(id))?.container.name == "c0")
        }
        directory.expire(now: 1_500)
        #expect(directory.container(id: Make.containerID(1)) == nil)
        #expect(directory.container(id: Make.containerID(2))?.container.name == "c0")
        #expect(directory.container(id: Make.containerID(5))?.container.name == "c1")
    }

    @Test func aStaticPodIsFoundByItsHash() {
        let directory = PodDirectory()
        let hash = ObjectUID("0123456789abcdef0123456789abcdef")
        let mirror = Make.pod(1, name: "etcd-n1", namespace: "kube-system", configHash: hash)
        directory.apply(.pod(mirror), now: 0)
        #expect(directory.pod(uid: hash) === mirror)
        #expect(directory.node("n1").view().pod(uid: hash) === mirror)
        #expect(directory.pod(uid: "0123456789abcdef0123456789abcdef")?.name == "etcd-n1")
        #expect(
            directory.podUIDs(namespace: "kube-system", name: "etcd-n1")
                == [mirror.uid.description, hash.description])
    }

    @Test func onlyChangesCountAndOnlyOnTheirNode() {
        let directory = PodDirectory()
        let (first, second) = (directory.node("n1"), directory.node("n2"))
        let before = (directory.generation, first.generation, second.generation)
        directory.apply(.pod(Make.pod(1)), now: 0)
        #expect(directory.generation > before.0 && first.generation > before.1)
        #expect(second.generation == before.2)
        let after = (directory.generation, first.generation)
        let view = first.view()
        directory.apply(.pod(Make.pod(1)), now: 0)
        directory.apply(.podRemoved(Make.uid(77)), now: 0)
        #expect(directory.generation == after.0 && first.generation == after.1)
        #expect(first.view() === view && view.generation == after.1)
        directory.apply(.pod(Make.pod(1, phase: .failed)), now: 0)
        #expect(first.generation > after.1 && first.view() !== view)
    }

    @Test func aPodThatGetsItsNodeLaterShowsThere() {
        let directory = PodDirectory()
        directory.apply(.pod(Make.pod(1, node: "", phase: .pending)), now: 0)
        #expect(directory.totals(namespace: nil).podCount == 0)
        directory.apply(.pod(Make.pod(1, node: "n1", containers: [1])), now: 1)
        #expect(directory.node("n1").view().pods.count == 1)
        #expect(directory.totals(namespace: nil).podCount == 1)
    }

    @Test func workloadsAreTheOutermostOwners() {
        let directory = PodDirectory()
        func owner(_ kind: String, _ name: String, _ number: Int) -> OwnerReference {
            OwnerReference(kind: kind, name: name, uid: Make.uid(number))
        }
        let replicaSet = owner("ReplicaSet", "web-abc", 50)
        let ofDeployment = Make.pod(1, labels: ["pod-template-hash": "abc"], controller: replicaSet)
        // Before the replica set is known its name and the pod's label tell.
        #expect(
            directory.workload(of: ofDeployment)
                == Workload(kind: "Deployment", namespace: "default", name: "web"))
        #expect(
            directory.workload(of: Make.pod(2, controller: replicaSet))
                == Workload(kind: "ReplicaSet", namespace: "default", name: "web-abc"))
        directory.apply(
            .owned(
                OwnedObject(
                    kind: "ReplicaSet", namespace: "default", name: "web-abc", uid: Make.uid(50),
                    controller: owner("Rollout", "shop", 60))),
            now: 0)
        #expect(directory.workload(of: ofDeployment)?.kind == "Rollout")
        let job = Make.pod(3, controller: owner("Job", "backup-28391234", 51))
        #expect(directory.workload(of: job)?.kind == "Job")
        directory.apply(
            .owned(
                OwnedObject(
                    kind: "Job", namespace: "default", name: "backup-28391234", uid: Make.uid(51),
                    controller: owner("CronJob", "backup", 61))),
            now: 0)
        #expect(
            directory.workload(of: job)
                == Workload(kind: "CronJob", namespace: "default", name: "backup"))
        #expect(directory.workload(of: Make.pod(4)) == nil)
        #expect(directory.workload(of: Make.pod(5, controller: owner("Node", "n1", 70))) == nil)
        #expect(
            directory.workload(of: Make.pod(6, controller: owner("DaemonSet", "ds", 71)))?.name
                == "ds")
        // A job goes with its pods, and its pods keep their names for the window.
        directory.replaceOwned(kind: "Job", [], now: 1)
        #expect(directory.workload(of: job)?.kind == "CronJob")
        directory.expire(now: 1 + 15 * 60_000)
        #expect(directory.workload(of: job)?.kind == "Job")
        #expect(directory.workload(of: ofDeployment)?.kind == "Rollout")
    }

    @Test func tooManyDepartedPodsAreForgottenAndCounted() {
        let directory = PodDirectory(window: 1_000_000, departedLimit: 10)
        for number in 1...30 {
            directory.apply(.pod(Make.pod(number, containers: [number])), now: Int64(number))
            directory.apply(.podRemoved(Make.uid(number)), now: Int64(number))
        }
        #expect(directory.counts.departedPods == 10)
        #expect(directory.counts.evictedPods == 20)
        #expect(directory.counts.containers == 10)
        #expect(directory.pod(uid: Make.uid(20)) == nil && directory.pod(uid: Make.uid(21)) != nil)
    }

    @Test func theObserverHearsEffectiveChangesInOrder() {
        let directory = PodDirectory()
        let heard = Mutex<[MetadataChange]>([])
        directory.setObserver { change, _ in heard.withLock { $0.append(change) } }
        let pod = Make.pod(1)
        let changes: [MetadataChange] = [
            .pod(pod), .pod(pod), .namespace(Namespace(name: "a", uid: Make.uid(2))),
            .namespaceRemoved(name: "b"), .podRemoved(pod.uid), .podRemoved(pod.uid),
        ]
        directory.apply(changes, now: 0)
        #expect(heard.withLock { $0 } == [changes[0], changes[2], changes[4]])
        // What was heard is enough to know the same again.
        let other = PodDirectory()
        other.apply(heard.withLock { $0 }, now: 0)
        #expect(other.counts == directory.counts)
    }

    /// Random lists and events against a model of plain arrays.
    @Test func randomHistoriesAgreeWithAPlainModel() {
        for seed in UInt64(0)..<25 {
            var random = SeededRandom(seed: seed)
            let directory = PodDirectory(window: 50)
            var live: [Int: Pod] = [:]
            var gone: [(time: Int64, pod: Pod)] = []
            var now: Int64 = 0
            for _ in 0..<200 {
                now += Int64(random.below(4))
                let number = random.below(25)
                let made = Make.pod(
                    number, name: "p\(number % 7)", namespace: "ns\(number % 2)",
                    node: "n\(random.below(3))", containers: [number * 10 + 1, number * 10 + 2],
                    phase: random.below(5) == 0 ? .succeeded : .running,
                    cpu: Int64(random.below(500)))
                switch random.below(10) {
                case 0..<6:
                    // A UID never comes back after its pod has gone.
                    guard !gone.contains(where: { $0.pod.uid == made.uid }) else { continue }
                    directory.apply(.pod(made), now: now)
                    live[number] = made
                case 6..<9:
                    directory.apply(.podRemoved(Make.uid(number)), now: now)
                    if let pod = live.removeValue(forKey: number) { gone.append((now, pod)) }
                default:
                    let kept = live.filter { _ in random.below(3) > 0 }
                    directory.replacePods(Array(kept.values), now: now)
                    for (key, pod) in live where kept[key] == nil { gone.append((now, pod)) }
                    live = kept
                }
                directory.expire(now: now)
                gone.removeAll { $0.time <= now - 50 }
                check(directory, live: live, gone: gone.map(\.pod), seed: seed)
            }
        }
    }

    private func check(_ directory: PodDirectory, live: [Int: Pod], gone: [Pod], seed: UInt64) {
        let counts = directory.counts
        #expect(counts.pods == live.count && counts.departedPods == gone.count, "seed \(seed)")
        #expect(Set(directory.pods().map(\.uid)) == Set(live.values.map(\.uid)), "seed \(seed)")
        for pod in live.values {
            #expect(directory.pod(uid: pod.uid) == pod, "seed \(seed)")
            for container in pod.containers {
                #expect(directory.container(id: container.id)?.pod == pod, "seed \(seed)")
                let view = directory.node(pod.nodeName).view()
                #expect(view.container(id: container.id)?.pod == pod, "seed \(seed)")
            }
        }
        for pod in gone { #expect(directory.pod(uid: pod.uid) == pod, "seed \(seed)") }
        for namespace in ["ns0", "ns1"] {
            var expected = ResourceTotals()
            for pod in live.values where pod.namespace == namespace && pod.holdsResources {
                expected.add(ResourceTotals(pod))
            }
            #expect(directory.totals(namespace: namespace) == expected, "seed \(seed)")
            for name in (0..<7).map({ "p\($0)" }) {
                let named = (Array(live.values) + gone).filter {
                    $0.namespace == namespace && $0.name == name
                }
                let found = directory.pods(namespace: namespace, name: name)
                #expect(Set(found.map(\.uid)) == Set(named.map(\.uid)), "seed \(seed)")
                #expect(found.count == named.count, "seed \(seed)")
            }
        }
        for node in ["n0", "n1", "n2"] {
            var expected = ResourceTotals()
            let here = live.values.filter { $0.nodeName == node }
            for pod in here where pod.holdsResources { expected.add(ResourceTotals(pod)) }
            let view = directory.node(node).view()
            #expect(view.totals == expected, "seed \(seed)")
            #expect(Set(view.pods.map(\.uid)) == Set(here.map(\.uid)), "seed \(seed)")
            #expect(
                Set(view.departedPods.map(\.uid))
                    == Set(gone.filter { $0.nodeName == node }.map(\.uid)), "seed \(seed)")
        }
    }

    /// Writers change, readers ask:
    ///
    ///     writer                     reader
    ///     replace all with round n   view(): every pod of it is of one round
    ///     ...                        generation of a view never goes back
    @Test func readersSeeWholeStatesWhileWritersWrite() async {
        let directory = PodDirectory()
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                for round in 0..<300 {
                    directory.apply(
                        (0..<40).map {
                            .pod(
                                Make.pod(
                                    $0, node: "n\($0 % 2)", containers: [$0 + 1], cpu: Int64(round))
                            )
                        },
                        now: Int64(round))
                }
            }
            for reader in 0..<2 {
                group.addTask {
                    let node = directory.node("n\(reader)")
                    var last: UInt64 = 0
                    for _ in 0..<3_000 {
                        let view = node.view()
                        #expect(view.generation >= last)
                        last = view.generation
                        var sum = ResourceTotals()
                        for pod in view.pods { sum.add(ResourceTotals(pod)) }
                        #expect(sum == view.totals)
                        _ = directory.container(id: Make.containerID(reader + 1))
                    }
                }
            }
        }
        #expect(directory.counts.pods == 40)
        #expect(directory.totals(namespace: nil).cpuRequestMillicores == 40 * 299)
    }

    @Test func valuesFollowHeapstersRules() throws {
        let input = MetadataMaker.golden.appendingPathComponent("input")
        guard FileManager.default.fileExists(atPath: input.path) else {
            print("skipped: no recorded input at \(input.path)")
            return
        }
        let directory = PodDirectory()
        for name in ["api_pods", "api_nodes", "api_namespaces"] {
            let kind = ["api_pods": "Pod", "api_nodes": "Node", "api_namespaces": "Namespace"][name]
            var list = ObjectListReader(itemKind: kind)
            let data = try Data(contentsOf: input.appendingPathComponent("\(name).json"))
            try Array(data).withUnsafeBytes { try list.read($0) }
            _ = try list.finish()
            directory.apply(list.objects.pods.map { .pod($0) }, now: 0)
            directory.apply(list.objects.nodes.map { .node($0) }, now: 0)
            directory.apply(list.objects.namespaces.map { .namespace($0) }, now: 0)
        }
        #expect(directory.namespace("default")?.uid.description == "ns-uid-default")
        // A pod that no node reported: Heapster forgets it, here its node holds its requests.
        let unreported = try #require(directory.pods(namespace: "prod", name: "unreported-0").first)
        #expect(directory.totals(namespace: nil).cpuRequestMillicores == 6_080 + 70)
        directory.apply(.podRemoved(unreported.uid), now: 0)
        try compareWithRecordedBatch(directory)
    }

    /// Requests, limits, restarts, capacity and reservation of every set of a recorded batch.
    private func compareWithRecordedBatch(_ directory: PodDirectory) throws {
        let file = MetadataMaker.golden.appendingPathComponent("batches/summary_n1.txt")
        let text = try String(contentsOf: file, encoding: .utf8)
        var entity: Entity?
        var compared = 0
        for line in text.split(separator: "\n") {
            if line.hasPrefix("MetricSet: ") {
                entity = Self.entity(String(line.dropFirst("MetricSet: ".count)))
            }
            let words = line.split(separator: " ")
            guard words.count == 3, words[1] == "=", let value = Double(words[2]), let entity else {
                continue
            }
            let name = String(words[0])
            let isOurs =
                name.hasSuffix("/request") || name.hasSuffix("/limit") || name == "restart_count"
                || name.hasSuffix("/node_capacity") || name.hasSuffix("/node_allocatable")
                || name.hasSuffix("/node_reservation")
            guard isOurs, !name.hasPrefix("nvidia.com"), !name.hasPrefix("filesystem") else {
                continue
            }
            let ours = directory.values(of: entity).first { Catalog.metric($0.key).name == name }?
                .value
            // A pod that only a node knows has no figures in either.
            let difference = abs((ours ?? 0) - value)
            #expect(
                difference <= 1e-6 * max(1, abs(value)),
                "\(entity) \(name): \(ours as Any), recorded \(value)")
            compared += 1
        }
        #expect(compared > 150)
    }

    /// `namespace:N/pod:P/container:C`, `node:N/container:C`, `cluster`.
    private static func entity(_ key: String) -> Entity? {
        let parts = key.split(separator: "/", maxSplits: 2).map {
            $0.split(separator: ":", maxSplits: 1).map(String.init)
        }
        switch (parts.count, parts[0][0]) {
        case (1, "cluster"): return .cluster
        case (1, "namespace"): return .namespace(parts[0][1])
        case (1, "node"): return .node(parts[0][1])
        case (2, "namespace"): return .pod(namespace: parts[0][1], name: parts[1][1])
        case (3, "namespace"):
            return .container(namespace: parts[0][1], pod: parts[1][1], name: parts[2][1])
        default: return nil
        }
    }
}
