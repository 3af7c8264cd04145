import Wire

@testable import Aggregator

/// What the model must answer, worked out slowly and plainly: every reading of every frame is kept as
/// it came, and each question goes through all of them.
final class ReferenceModel {
    /// A subject by everything that makes it what it is.
    struct Identity: Hashable {
        let node: String
        let kind: SubjectKind
        let start: Int64
        let attributes: [Subject.Attribute: String]
        let metrics: [MetricID]
        /// Of the parent; a list, because a struct cannot hold itself.
        let ancestors: [String]

        /// Tells it from the node's others of its parent.
        let label: String

        init(
            node: String, kind: SubjectKind, start: Int64,
            attributes: [Subject.Attribute: String], metrics: [MetricID], parent: Identity?
        ) {
            self.node = node
            self.kind = kind
            self.start = start
            self.attributes = attributes
            self.metrics = metrics
            ancestors = parent.map { [$0.label] + $0.ancestors } ?? []
            let texts = attributes.map { "\($0.key.rawValue)=\($0.value)" }.sorted()
            label = "\(kind)/\(start)/\(texts)"
        }

        func hash(into hasher: inout Hasher) { hasher.combine(label) }
    }

    /// A frame as the agent took it.
    struct Frame {
        let node: String
        let step: Int64
        let delay: Int64
        /// Number of the chain among the node's, in the order of their beginnings.
        let chain: Int
        let sequence: UInt64
        /// Subjects that are added with it: all of them when it begins a chain.
        let added: [Identity]
        let rows: [(subject: Identity, values: [MetricID: Int64])]
    }

    private struct Observation {
        let chain: Int
        let sequence: UInt64
        let cycle: Int64
        let time: Int64
        let values: [MetricID: Int64]
    }

    /// That every node has.
    static let cores: UInt64 = 2

    let resolution: Int64
    private let names: any NameSource
    private var observations: [Identity: [Observation]] = [:]
    private var counted: Set<String> = []
    /// Of each node the first of each cycle.
    private var countedFrames: [Frame] = []
    /// Worked out for the frames so far.
    private var knownRollUps: [String: [MetricID: [Int64: Double]]]?

    init(resolution: Int64, names: any NameSource) {
        self.resolution = resolution
        self.names = names
    }

    var subjects: [Identity] { Array(observations.keys) }

    // MARK: Taking

    func take(_ frame: Frame) {
        guard frame.step % resolution == 0 else { return }
        knownRollUps = nil
        for (subject, values) in frame.rows {
            observations[subject, default: []].append(
                Observation(
                    chain: frame.chain, sequence: frame.sequence, cycle: frame.step,
                    time: frame.step + frame.delay + (values[.readOffset] ?? 0), values: values))
        }
        if counted.insert("\(frame.node)/\(frame.step)").inserted { countedFrames.append(frame) }
    }

    private func rates(
        _ now: Observation, _ before: Observation?, start: Int64
    ) -> [MetricID: Double] {
        var found: [MetricID: Double] = [:]
        for pair in Rates.pairs {
            guard let value = now.values[pair.counter] else { continue }
            let from: (time: Int64, value: Int64)
            if let before {
                from = (before.time, before.values[pair.counter] ?? 0)
            } else if start > 0, start >= now.time - 2 * resolution {
                from = (start, 0)
            } else {
                continue
            }
            let elapsed = now.time - from.time
            guard elapsed > 0, value >= from.value else { continue }
            guard pair.rate == .cpuUsageRate else {
                found[pair.rate] = Double(value - from.value) * 1_000 / Double(elapsed)
                continue
            }
            let millicores = Double((value - from.value) / elapsed / 1_000)
            found[pair.rate] =
                before == nil ? min(millicores, Double(Self.cores) * 1_000) : millicores
        }
        return found
    }

    /// What the pods had at each cycle, as their own series say, added up: by namespace (empty for the
    /// cluster), metric and cycle. Whatever order the frames came in.
    private var rollUps: [String: [MetricID: [Int64: Double]]] {
        if let known = knownRollUps { return known }
        let sums = addUp()
        knownRollUps = sums
        return sums
    }

    private func addUp() -> [String: [MetricID: [Int64: Double]]] {
        var sums: [String: [MetricID: [Int64: Double]]] = [:]
        var series: [Identity: [MetricID: [Int64: Double]]] = [:]
        for subject in observations.keys {
            for metric in RollUps.metrics {
                let counter = Rates.counter(of: metric) ?? metric
                guard subject.metrics.contains(counter) else { continue }
                series[subject, default: [:]][metric] = values(of: subject, metric)
            }
        }
        for frame in countedFrames {
            for uid in Set(frame.rows.compactMap({ podUID(of: $0.subject, in: frame) })) {
                let namespace = names.pod(uid: uid)?.namespace ?? unknownNamespace
                let parts = frame.rows.map(\.subject).filter { podUID(of: $0, in: frame) == uid }
                for metric in RollUps.metrics {
                    let found = parts.map { ($0.kind, series[$0]?[metric]?[frame.step]) }
                    let own = found.first { $0.0 == .pod }?.1
                    let others = found.filter { $0.0 != .pod }.compactMap(\.1)
                    guard let value = own ?? (others.isEmpty ? nil : others.reduce(0, +)) else {
                        continue
                    }
                    sums[namespace, default: [:]][metric, default: [:]][frame.step, default: 0] +=
                        value
                    sums["", default: [:]][metric, default: [:]][frame.step, default: 0] += value
                }
            }
        }
        return sums
    }

    private func podUID(of subject: Identity, in frame: Frame) -> String? {
        if subject.kind == .pod { return subject.attributes[.podUID] }
        return frame.rows.first {
            $0.subject.kind == .pod && subject.ancestors.contains($0.subject.label)
        }?.subject.attributes[.podUID]
    }

    // MARK: Answering

    func series(_ metric: MetricID, of entity: Entity) -> [Int64: Double] {
        switch entity {
        case .cluster: return rollUps[""]?[metric] ?? [:]
        case .namespace(let name): return rollUps[name]?[metric] ?? [:]
        default: break
        }
        let own = observations.keys.filter { matches($0, entity) }.sorted { $0.start < $1.start }
        let counter = Rates.counter(of: metric) ?? metric
        if metric == .uptime, own.allSatisfy({ !$0.metrics.contains(.uptime) }) {
            return latest(own.filter { $0.start > 0 }.map { uptimes(of: $0) })
        }
        // Heapster's rule: a pod's missing gauges and rates are its containers', not its counters.
        let sumsContainers =
            if case .pod = entity { Catalog.metric(metric).kind == .gauge } else { false }
        return latest(
            own.map { subject in
                if subject.metrics.contains(counter) { return values(of: subject, metric) }
                let parts = observations.keys.filter { child in
                    (child.kind == .networkInterface
                        || (sumsContainers && child.kind == .container))
                        && child.node == subject.node && child.ancestors.first == subject.label
                }
                return parts.reduce(into: [:]) { sum, part in
                    sum.merge(values(of: part, metric)) { $0 + $1 }
                }
            })
    }

    /// Of things that replace one another, the one that started last.
    private func latest(_ all: [[Int64: Double]]) -> [Int64: Double] {
        all.reduce(into: [:]) { $0.merge($1) { $1 } }
    }

    private func matches(_ subject: Identity, _ entity: Entity) -> Bool {
        switch entity {
        case .cluster, .namespace, .workload: return false
        case .node(let name): return subject.kind == .node && subject.node == name
        case .systemContainer(let node, let name):
            return subject.kind == .systemContainer && subject.node == node
                && subject.attributes[.name] == name
        case .pod(let namespace, let name):
            return subject.kind == .pod && isPod(subject, namespace, name)
        case .container(let namespace, let pod, let name):
            return subject.kind == .container && isPod(subject, namespace, pod)
                && names.containerName(
                    podUID: subject.attributes[.podUID] ?? "",
                    containerID: subject.attributes[.containerID] ?? "") == name
        }
    }

    private func isPod(_ subject: Identity, _ namespace: String, _ name: String) -> Bool {
        names.pod(uid: subject.attributes[.podUID] ?? "")
            == PodName(namespace: namespace, name: name)
    }

    /// One observation per cycle: of the chain that began first, and there of the first frame.
    private func cycles(of subject: Identity) -> [Observation] {
        var first: [Int64: Observation] = [:]
        for candidate in observations[subject] ?? [] {
            if let known = first[candidate.cycle],
                (known.chain, known.sequence) < (candidate.chain, candidate.sequence)
            {
                continue
            }
            first[candidate.cycle] = candidate
        }
        return first.values.sorted { $0.cycle < $1.cycle }
    }

    private func uptimes(of subject: Identity) -> [Int64: Double] {
        Dictionary(
            uniqueKeysWithValues: cycles(of: subject).map {
                ($0.cycle, Double($0.time - subject.start))
            })
    }

    private func values(of subject: Identity, _ metric: MetricID) -> [Int64: Double] {
        var found: [Int64: Double] = [:]
        var before: Observation?
        for now in cycles(of: subject) {
            if Rates.counter(of: metric) == nil {
                found[now.cycle] = now.values[metric].map(Double.init)
            } else {
                found[now.cycle] = rates(now, before, start: subject.start)[metric]
            }
            before = now
        }
        return found
    }
}
