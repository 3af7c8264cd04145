import Foundation
import Testing
import Wire

@testable import Aggregator

/// A cluster of agents without kernels whose pods have owners, come, go and move; and a ledger of every
/// value that was read, from which sums are made slowly and plainly.
final class OwnedPods {
    static let start: Int64 = 1_767_225_600_000
    static let resolution: Int64 = 10_000

    /// One pod: who it belongs to, how it is read.
    struct Plan {
        var uid: String
        var node: String
        var workload: Workload?
        var cycles: ClosedRange<Int>
        /// Whether its own cgroup has figures; else those of its containers are its own.
        var hasOwnFigures: Bool
        var cpuRequest: Int64
        var gpuRequest: Int64
    }

    /// A value of a pod at a cycle.
    struct Entry {
        let plan: Plan
        let cycle: Int64
        let values: [String: Double]
    }

    let directory = PodDirectory()
    let cluster: Cluster
    let api: AggregatorAPI
    private(set) var ledger: [Entry] = []
    private var agents: [String: (agent: SyntheticNode, model: NodeModel)] = [:]
    private var slots: [String: [Slot]] = [:]
    private var counters: [String: Int64] = [:]
    private var nextSlot: Slot = 1

    init() {
        var configuration = ModelConfiguration()
        configuration.resolution = Self.resolution
        cluster = Cluster(configuration: configuration, facts: directory)
        api = AggregatorAPI(
            cluster: cluster, ingest: IngestCounters(),
            metadata: MetadataMetrics(directory: directory, status: nil))
    }

    static func owner(_ kind: String, _ name: String) -> OwnerReference {
        OwnerReference(kind: kind, name: name, uid: ObjectUID("uid-of-\(kind)-\(name)"))
    }

    func add(
        _ plan: Plan, name: String, namespace: String = "shop", controller: OwnerReference?,
        labels: [String: String] = [:], configHash: String? = nil
    ) {
        var parts = Pod.Parts()
        (parts.namespace, parts.name, parts.nodeName) = (namespace, name, plan.node)
        parts.uid = ObjectUID(configHash == nil ? plan.uid : "mirror-of-\(plan.uid)")
        parts.configHash = configHash.map { ObjectUID($0) }
        parts.controller = controller
        parts.labels = LabelSet(labels)
        parts.phase = .running
        var container = Pod.Container(name: "main", image: "i")
        container.resources = ContainerResources(
            requests: ResourceAmounts(
                cpuMillicores: plan.cpuRequest,
                others: plan.gpuRequest > 0
                    ? [.init(name: "nvidia.com/gpu", value: plan.gpuRequest)] : []),
            limits: ResourceAmounts())
        parts.containers = [container]
        directory.apply(.pod(Pod(parts)), now: Self.start)
    }

    func cycle(_ number: Int) -> Int64 { Self.start + Int64(number) * Self.resolution }

    /// Feeds a frame of every node, with the pods that are there then.
    func feed(_ number: Int, _ plans: [Plan]) throws {
        for node in Set(plans.map(\.node)).sorted() {
            let (agent, model) = try self.agent(node)
            for plan in plans where plan.node == node {
                if plan.cycles.contains(number) {
                    try read(plan, number, agent)
                } else if let slots = slots.removeValue(forKey: plan.uid) {
                    for slot in slots.reversed() { try agent.remove(slot) }
                }
            }
            try model.receive(agent.frame(step: cycle(number)))
        }
    }

    private func agent(_ name: String) throws -> (agent: SyntheticNode, model: NodeModel) {
        if let known = agents[name] { return known }
        let agent = SyntheticNode(name)
        let entered = cluster.enter(agent.hello, now: Self.start)
        let model = try #require(entered?.0)
        _ = model.begin(agent.hello)
        try agent.add(0, Subject(kind: .node), [.cpuUsage, .memoryUsage])
        agents[name] = (agent, model)
        return (agent, model)
    }

    private func read(_ plan: Plan, _ number: Int, _ agent: SyntheticNode) throws {
        let isNew = slots[plan.uid] == nil
        let own = slots[plan.uid]?[0] ?? nextSlot
        if isNew {
            slots[plan.uid] = [nextSlot, nextSlot + 1, nextSlot + 2]
            nextSlot += 3
            let figures: [MetricID] = [.memoryUsage, .cpuUsage, .processThreads, .cpuShares]
            try agent.add(
                own, Subject(kind: .pod, parent: 0, attributes: [.podUID: plan.uid]),
                plan.hasOwnFigures ? figures : [.cpuShares])
            for (offset, id) in [(Slot(1), "x"), (2, "y")] {
                try agent.add(
                    own + offset,
                    Subject(
                        kind: .container, parent: own,
                        attributes: [.podUID: plan.uid, .containerID: "\(plan.uid)-\(id)"]),
                    [.memoryUsage, .cpuUsage, .memoryRSS, .processThreads])
            }
        }
        // Different in every pod and cycle; what the pod has itself is not the sum of its parts.
        let seed = Int64(plan.uid.utf8.reduce(0) { ($0 &* 31 &+ Int($1)) % 997 })
        var sums: [String: Double] = [:]
        for (offset, slot) in [own, own + 1, own + 2].enumerated() {
            let part = Int64(offset)
            let counts = plan.hasOwnFigures == (offset == 0)
            let memory = seed * 1_000 + Int64(number) * 10 + part
            let millicores = seed % 50 + Int64(number % 7) + part
            let key = "\(slot)"
            counters[key, default: 5_000_000_000] += millicores * Self.resolution * 1_000
            if offset > 0 {
                agent.set(slot, .memoryRSS, memory / 2)
                sums["memory/rss", default: 0] += Double(memory / 2)
            } else {
                agent.set(slot, .cpuShares, 100)
                guard plan.hasOwnFigures else { continue }
            }
            agent.set(slot, .memoryUsage, memory)
            agent.set(slot, .cpuUsage, counters[key] ?? 0)
            agent.set(slot, .processThreads, part + 3)
            guard counts else { continue }
            sums["memory/usage", default: 0] += Double(memory)
            sums["process/threads", default: 0] += Double(part + 3)
            if !isNew { sums["cpu/usage_rate", default: 0] += Double(millicores) }
        }
        sums["cpu/request"] = Double(plan.cpuRequest)
        sums["cpu/limit"] = 0
        if plan.gpuRequest > 0 { sums["nvidia.com/gpu/request"] = Double(plan.gpuRequest) }
        ledger.append(Entry(plan: plan, cycle: cycle(number), values: sums))
    }

    /// The slow sum: through the whole ledger for each question.
    func sum(
        _ metric: String, from start: Int64 = .min, _ isMeant: (Plan) -> Bool
    ) -> [Int64: Double] {
        var found: [Int64: Double] = [:]
        for entry in ledger where isMeant(entry.plan) && entry.cycle >= start {
            if let value = entry.values[metric] { found[entry.cycle, default: 0] += value }
        }
        return found
    }
}
