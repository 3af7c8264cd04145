import TestSupport
import Wire

@testable import Aggregator

/// An agent to which things happen: pods come and go, containers restart, slots are used again, the
/// clock is set, the agent restarts, the network fails and delivers later.
final class RandomNode {
    /// A frame on its way: what the model gets and what the reference gets.
    struct Delivery {
        let records: [Record]
        let hello: Hello
        let chain: ChainID
        let sequence: UInt64
        let step: Int64
        let run: UInt8
        let begins: Bool
        let frame: (Int) -> ReferenceModel.Frame
    }

    private struct Live {
        let slot: Slot
        let identity: ReferenceModel.Identity
        let metrics: [MetricID]
        var values: [MetricID: Int64]
    }

    let name: String
    private var random: SeededRandom
    private var agent: SyntheticNode
    private var run: UInt8 = 1
    private var live: [Live] = []
    private var added: [ReferenceModel.Identity] = []
    private var clock: Int64
    private var chain: ChainID = 0
    private var sequence: UInt64 = 0
    private var serial = 0
    private let stepLength: Int64
    private let clockMayStep: Bool
    private let mayRestart: Bool

    init(
        _ name: String, seed: UInt64, start: Int64, stepLength: Int64, clockMayStep: Bool,
        mayRestart: Bool = true
    ) throws {
        self.name = name
        random = SeededRandom(seed: seed)
        agent = SyntheticNode(name, run: 1)
        agent.cores = ReferenceModel.cores
        clock = start
        self.stepLength = stepLength
        self.clockMayStep = clockMayStep
        self.mayRestart = mayRestart
        try addMachine()
    }

    private func addMachine() throws {
        try add(.node, parent: nil, start: 500_000, [:], [.cpuUsage, .memoryUsage, .load1])
        try add(
            .networkInterface, parent: 0, start: 0, [.name: "eth0"],
            [.networkReceiveBytes, .networkTransmitBytes])
        try add(
            .systemContainer, parent: 0, start: 600_000, [.name: "kubelet"],
            [.cpuUsage, .memoryWorkingSet, .memoryPageFaults])
    }

    private func add(
        _ kind: SubjectKind, parent: Int?, start: Int64,
        _ attributes: [Subject.Attribute: String], _ metrics: [MetricID]
    ) throws {
        let used = Set(live.map(\.slot))
        let slot = Slot((0...).first { !used.contains(Slot($0)) } ?? 0)
        let above = parent.map { live[$0].identity }
        let identity = ReferenceModel.Identity(
            node: name, kind: kind, start: start, attributes: attributes, metrics: metrics,
            parent: above)
        try agent.add(
            slot,
            Subject(
                kind: kind, parent: parent.map { live[$0].slot }, startTimeMilliseconds: start,
                attributes: attributes), metrics)
        var values: [MetricID: Int64] = [.readOffset: 0]
        for metric in metrics {
            let value = Int64.random(in: 0...5_000, using: &random)
            values[metric] = value
            agent.set(slot, metric, value)
        }
        live.append(Live(slot: slot, identity: identity, metrics: metrics, values: values))
        added.append(identity)
    }

    // MARK: What happens

    /// One step later: something may have happened, and a frame is taken.
    func step() throws -> Delivery {
        clock += stepLength
        let chance = Int.random(in: 0..<100, using: &random)
        var begins = sequence == 0
        switch chance {
        case 0..<12: try addPod()
        case 12..<18: try removePod()
        case 18..<26: try restartContainer()
        case 26..<30: try addSystemContainer()
        case 30..<34: begins = true
        case 34..<36 where mayRestart:
            try restartAgent()
            begins = true
        case 36..<38 where clockMayStep:
            clock += Int64.random(in: -12...12, using: &random) * stepLength
        default: break
        }
        move()
        return takeFrame(begins: begins)
    }

    private func move() {
        for index in live.indices where Int.random(in: 0..<3, using: &random) > 0 {
            for metric in live[index].metrics {
                let isCounter = Catalog.metric(metric).kind == .counter
                let change = Int64.random(in: 0...9_000_000_000, using: &random)
                let old = live[index].values[metric] ?? 0
                // A counter falls now and then without anybody saying why.
                let falls = Int.random(in: 0..<40, using: &random) == 0
                live[index].values[metric] = isCounter && !falls ? old &+ change : change
                agent.set(live[index].slot, metric, live[index].values[metric] ?? 0)
            }
            let offset = Int64.random(in: 0...400, using: &random)
            live[index].values[.readOffset] = offset
            agent.set(live[index].slot, .readOffset, offset)
        }
    }

    private func takeFrame(begins: Bool) -> Delivery {
        sequence += 1
        if begins {
            chain = sequence
            added = live.map(\.identity)
        }
        let delay = Int64.random(in: 0...30, using: &random)
        let records = agent.frame(step: clock, delay: delay, key: begins)
        let (node, step, sequence) = (name, clock, sequence)
        let newcomers = added
        let rows = live.map { ($0.identity, $0.values) }
        added = []
        return Delivery(
            records: records, hello: agent.hello, chain: chain, sequence: sequence, step: step,
            run: run, begins: begins
        ) { number in
            ReferenceModel.Frame(
                node: node, step: step, delay: delay, chain: number, sequence: sequence,
                added: newcomers, rows: rows.map { (subject: $0.0, values: $0.1) })
        }
    }

    private func addPod() throws {
        guard live.count < 30 else { return }
        serial += 1
        // Few names, so that pods are replaced under their names. Each UID belongs to one node.
        let uid = "\(name)-p\(Int.random(in: 0..<4, using: &random))-\(serial)"
        let start = clock - Int64.random(in: 1...60_000, using: &random)
        let hasOwn = Bool.random(using: &random)
        try add(
            .pod, parent: 0, start: start, [.podUID: uid],
            hasOwn ? [.cpuUsage, .memoryUsage] : [.memoryRSS])
        let pod = live.count - 1
        if Bool.random(using: &random) {
            try add(
                .networkInterface, parent: pod, start: 0, [.name: "eth0"],
                [.networkReceiveBytes, .networkReceiveErrors])
        }
        for _ in 0..<Int.random(in: 0...2, using: &random) { try addContainer(pod: pod) }
    }

    private func addContainer(pod: Int) throws {
        serial += 1
        let start = clock - Int64.random(in: 1...40_000, using: &random)
        let names = ["app", "side"]
        let container = names[Int.random(in: 0..<2, using: &random)]
        try add(
            .container, parent: pod, start: start + Int64(serial),
            [
                .podUID: live[pod].identity.attributes[.podUID] ?? "",
                .containerID: "\(container)-\(name)-\(serial)",
            ], [.cpuUsage, .memoryUsage, .memoryWorkingSet])
    }

    private func children(of index: Int) -> [Int] {
        let label = live[index].identity.label
        return live.indices.filter { live[$0].identity.ancestors.contains(label) }
    }

    private func remove(_ indices: [Int]) throws {
        for index in indices.sorted(by: >) {
            try agent.remove(live[index].slot)
            live.remove(at: index)
        }
    }

    private func removePod() throws {
        let pods = live.indices.filter { live[$0].identity.kind == .pod }
        guard let pod = pods.randomElement(using: &random) else { return }
        try remove(children(of: pod) + [pod])
        added.removeAll { identity in !live.contains { $0.identity == identity } }
    }

    private func restartContainer() throws {
        let containers = live.indices.filter { live[$0].identity.kind == .container }
        guard let container = containers.randomElement(using: &random),
            let above = live[container].identity.ancestors.first,
            let pod = live.firstIndex(where: { $0.identity.label == above })
        else { return }
        let podSlot = live[pod].slot
        try remove([container])
        if let pod = live.firstIndex(where: { $0.slot == podSlot }) {
            try addContainer(pod: pod)
        }
    }

    private func addSystemContainer() throws {
        let units = live.indices.filter { live[$0].identity.attributes[.name] == "cron.service" }
        if units.isEmpty {
            try add(
                .systemContainer, parent: 0, start: clock - 100, [.name: "cron.service"],
                [.cpuUsage, .memoryWorkingSet])
        } else {
            try remove(units)
        }
    }

    /// Another run: the same subjects under new slots, sequences from 1.
    private func restartAgent() throws {
        run &+= 1
        agent = SyntheticNode(name, run: run)
        agent.cores = ReferenceModel.cores
        sequence = 0
        let old = live
        live = []
        added = []
        for subject in old {
            let parent = subject.identity.ancestors.first.flatMap { label in
                live.firstIndex { $0.identity.label == label }
            }
            try add(
                subject.identity.kind, parent: parent, start: subject.identity.start,
                subject.identity.attributes, subject.metrics)
            live[live.count - 1].values = subject.values
            for (metric, value) in subject.values {
                agent.set(live[live.count - 1].slot, metric, value)
            }
        }
    }
}
