import Testing
import Wire

@testable import Aggregator

/// Pods are called by the fourth part of their UIDs, so several have had a name; containers by the
/// first part of their IDs.
struct RandomPodNames: NameSource {
    func pod(uid: String) -> PodName? {
        let parts = uid.split(separator: "-")
        guard parts.count == 3, let number = Int(parts[1].dropFirst()) else { return nil }
        // Nobody knows the pods of one number: they have no namespace.
        guard number < 3 else { return nil }
        return PodName(namespace: number == 0 ? "system" : "default", name: "pod-\(number)")
    }
    let uids: [String]

    init(uids: [String]) { self.uids = uids }

    /// Of all pods that the reference has seen.
    init(_ reference: ReferenceModel) {
        uids = Set(reference.subjects.compactMap { $0.attributes[.podUID] }).sorted()
    }

    func podUIDs(namespace: String, name: String) -> [String] {
        uids.filter { pod(uid: $0) == PodName(namespace: namespace, name: name) }
    }
    func containerName(podUID: String, containerID: String) -> String? {
        containerID.split(separator: "-").first.map(String.init)
    }
    func values(of entity: Entity) -> [MetricID: Double] { [:] }
    func specifiedContainers(namespace: String, pod: String) -> [String] { [] }
}

/// Compares the series of a model with those of the reference.
enum SeriesExpectation {
    static let asked: [MetricID] = [
        .cpuUsage, .cpuUsageRate, .memoryUsage, .memoryWorkingSet, .memoryRSS, .load1, .uptime,
        .memoryPageFaultsRate, .networkReceiveBytes, .networkReceiveRate, .networkTransmitRate,
    ]

    /// Everything that can be asked for.
    static func entities(_ reference: ReferenceModel, _ names: RandomPodNames) -> [Entity] {
        var found = Set<Entity>([.cluster, .namespace("default"), .namespace("system")])
        found.insert(.namespace(unknownNamespace))
        for subject in reference.subjects {
            switch subject.kind {
            case .node: found.insert(.node(subject.node))
            case .systemContainer:
                found.insert(
                    .systemContainer(
                        node: subject.node, name: subject.attributes[.name] ?? ""))
            case .pod, .container:
                guard let pod = names.pod(uid: subject.attributes[.podUID] ?? "") else { continue }
                found.insert(.pod(namespace: pod.namespace, name: pod.name))
                for container in ["app", "side"] where subject.kind == .container {
                    found.insert(
                        .container(namespace: pod.namespace, pod: pod.name, name: container))
                }
            default: break
            }
        }
        return found.sorted { "\($0)" < "\($1)" }
    }

    static func expect(
        _ actual: [SeriesPoint], _ expected: [Int64: Double], _ metric: MetricID,
        _ entity: Entity, _ what: String
    ) {
        let wanted = expected.sorted { $0.key < $1.key }.map {
            SeriesPoint(cycle: $0.key, value: MetricValue($0.value, of: metric))
        }
        let isSum = Self.isSum(entity)
        // Where a rate was taken back that was the only one, a sum of nothing is left.
        let actual =
            isSum ? actual.filter { expected[$0.cycle] != nil || $0.value.double != 0 } : actual
        let isNear = { (a: SeriesPoint, b: SeriesPoint) in
            Self.isNear(a, b, within: isSum ? 1e-6 : 1e-9)
        }
        guard actual.count == wanted.count, zip(actual, wanted).allSatisfy(isNear) else {
            let difference = zip(actual, wanted).first { !isNear($0, $1) }
            Issue.record(
                """
                \(what): \(metric) of \(entity): \(actual.count) points, \(wanted.count) \
                expected; first difference \(String(describing: difference))
                """)
            return
        }
    }

    static func isSum(_ entity: Entity) -> Bool {
        switch entity {
        case .cluster, .namespace: true
        default: false
        }
    }

    /// Sums of floating point numbers depend on the order in a few last bits, and differences of large
    /// ones in some more.
    private static func isNear(
        _ a: SeriesPoint, _ b: SeriesPoint, within tolerance: Double
    ) -> Bool {
        guard a.cycle == b.cycle else { return false }
        switch (a.value, b.value) {
        case (.integer(let x), .integer(let y)): return abs(x - y) <= 1
        case (.float(let x), .float(let y)):
            return abs(x - y) <= tolerance * max(abs(x), abs(y), 1)
        default: return false
        }
    }
}
