import Foundation
import TestSupport
import Wire

@testable import Aggregator

/// The small cluster of the recordings, fed to a real model: what the apiserver and the kubelets said.
///
/// Cycle n is 2026-01-01T00:00:00Z plus n minutes, the time of the n-th summaries.
final class GoldenCluster {
    static let resolution: Int64 = 60_000
    static let firstCycle: Int64 = 1_767_225_600_000
    static let folder = Repository.shared?.appendingPathComponent("golden/heapster")

    let cluster: Cluster
    let directory = PodDirectory()
    let api: AggregatorAPI
    /// Shows the seconds after the last cycle.
    let clock = ManualClock()
    let router: Router
    private var nodes: [String: (agent: SyntheticNode, model: NodeModel)] = [:]
    private var places: [String: [String: (slot: Slot, start: String)]] = [:]

    /// - Parameters:
    ///   - steps: how many summaries of each node are fed.
    ///   - framesOnly: without what no frame carries and no list of pods says: custom metrics and the
    ///     annotation that a source names.
    init?(steps: Int, limits: APILimits = APILimits(), framesOnly: Bool = false) throws {
        guard let folder = Self.folder else {
            print("skipped: the recordings are not beside the project")
            return nil
        }
        var configuration = ModelConfiguration()
        configuration.resolution = Self.resolution
        cluster = Cluster(configuration: configuration, facts: directory)
        let last = Self.firstCycle + Int64(max(0, steps - 1)) * Self.resolution
        clock.setRealtime(nanoseconds: UInt64(last + 8_000) * 1_000_000)
        var api = AggregatorAPI(
            cluster: cluster, ingest: IngestCounters(),
            metadata: MetadataMetrics(directory: directory, status: nil), limits: limits,
            clock: .manual(clock))
        if !framesOnly { api.batchOptions.hostIDAnnotation = "example.com/hostid" }
        api.allowsDebug = true
        self.api = api
        router = api.router()
        try loadObjects(folder.appendingPathComponent("input"))
        for step in 0..<steps {
            for node in ["node-a", "node-b", "node-c"] {
                try feed(
                    node, step: step,
                    Self.json(folder.appendingPathComponent("input/summary_\(node)_n\(step).json")),
                    withCustom: !framesOnly)
            }
        }
    }

    static func json(_ url: URL) throws -> [String: Any] {
        try JSONSerialization.jsonObject(with: Data(contentsOf: url)) as? [String: Any] ?? [:]
    }

    /// Answers a request as the server would, without one.
    func answer(
        _ target: String, _ fields: String = "", method: String = "GET", sending text: String = ""
    ) throws -> (response: HTTPResponse, body: [UInt8]) {
        let request = try get(target, fields, method: method)
        Array(text.utf8).withUnsafeBytes { request.append(bodyBytes: $0) }
        let answer = RoutedAnswer(router, request)
        return (answer.response, answer.body)
    }

    // MARK: What the apiserver said

    private func loadObjects(_ input: URL) throws {
        let path = FileManager.default.temporaryDirectory
            .appendingPathComponent("heapwire-golden-\(UUID().uuidString).json")
        try Self.writeObjects(input, to: path)
        defer {
            do { try FileManager.default.removeItem(at: path) } catch { print("\(error)") }
        }
        try PodListFile(path: path.path).load(into: directory, now: Self.firstCycle)
    }

    /// The recorded lists in one, pods with IDs for their containers.
    static func writeObjects(_ input: URL, to path: URL) throws {
        var items: [[String: Any]] = []
        for (name, kind) in [
            ("api_namespaces", "Namespace"), ("api_nodes", "Node"), ("api_pods", "Pod"),
        ] {
            let list = try Self.json(input.appendingPathComponent("\(name).json"))
            for var item in list["items"] as? [[String: Any]] ?? [] {
                item["kind"] = kind
                item["apiVersion"] = "v1"
                if kind == "Pod" { item = Self.withContainerIDs(item) }
                items.append(item)
            }
        }
        let list: [String: Any] = ["kind": "List", "apiVersion": "v1", "items": items]
        try JSONSerialization.data(withJSONObject: list).write(to: path)
    }

    private static func containerID(_ uid: String, _ name: String) -> String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in "\(uid)/\(name)".utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let word = String(hash, radix: 16)
        let padded = String(repeating: "0", count: 16 - word.count) + word
        return String(repeating: padded, count: 4)
    }

    private static func withContainerIDs(_ pod: [String: Any]) -> [String: Any] {
        var pod = pod
        let uid = (pod["metadata"] as? [String: Any])?["uid"] as? String ?? ""
        guard var status = pod["status"] as? [String: Any],
            let statuses = status["containerStatuses"] as? [[String: Any]]
        else { return pod }
        status["containerStatuses"] = statuses.map { one in
            var one = one
            let name = one["name"] as? String ?? ""
            one["containerID"] = "containerd://\(containerID(uid, name))"
            return one
        }
        pod["status"] = status
        return pod
    }

    // MARK: What the kubelets said

    private func feed(
        _ name: String, step: Int, _ summary: [String: Any], withCustom: Bool
    ) throws {
        let time = Self.firstCycle + Int64(step) * Self.resolution
        if nodes[name] == nil {
            let agent = SyntheticNode(name)
            var hello = agent.hello
            // As `heapwire-fleet` says it; it bounds what a container's first rate can be.
            if !withCustom { hello.machine.cores = 16 }
            guard let (model, _) = cluster.enter(hello, now: time) else { return }
            _ = model.begin(hello)
            nodes[name] = (agent, model)
        }
        guard let (agent, model) = nodes[name] else { return }
        var feeder = SummaryFeeder(agent, base: time, places: places[name] ?? [:])
        try feeder.add(node: summary["node"] as? [String: Any] ?? [:])
        for pod in summary["pods"] as? [[String: Any]] ?? [] {
            try feeder.add(pod: pod) { Self.containerID($0, $1) }
            for (owner, sample) in SummaryFeeder.customMetrics(pod) where withCustom {
                try api.custom.push(sample, of: owner, time: time)
            }
        }
        try feeder.removeRest()
        places[name] = feeder.seen
        try model.receive(agent.frame(step: time))
    }
}

/// Turns one kubelet summary into subjects and values of a synthetic node.
struct SummaryFeeder {
    private let agent: SyntheticNode
    private let base: Int64
    private var places: [String: (slot: Slot, start: String)]
    private(set) var seen: [String: (slot: Slot, start: String)] = [:]
    private var nextSlot: Slot

    init(_ agent: SyntheticNode, base: Int64, places: [String: (slot: Slot, start: String)]) {
        self.agent = agent
        self.base = base
        self.places = places
        nextSlot = (places.values.map(\.slot).max() ?? 0) + 1
        if places.isEmpty { nextSlot = 0 }
    }

    typealias Values = [(MetricID, Any?)]

    mutating func add(node: [String: Any]) throws {
        let fs = node["fs"] as? [String: Any]
        let slot = try place(
            "node", .node, parent: nil, start: node["startTime"], [:],
            cgroup(node) + [(.ephemeralStorageUsage, fs?["usedBytes"])], time: time(node))
        try add(network: node["network"], of: "node", slot)
        try add(filesystem: fs, "node/fs", slot, [.name: "/"])
        for container in node["systemContainers"] as? [[String: Any]] ?? [] {
            let name = container["name"] as? String ?? ""
            let known = ["runtime": "docker-daemon", "misc": "system"][name] ?? name
            try add(
                container, "system/\(name)", .systemContainer, parent: slot, [.name: known])
        }
    }

    mutating func add(
        pod: [String: Any], containerID: (String, String) -> String
    ) throws {
        let reference = pod["podRef"] as? [String: Any] ?? [:]
        let uid = reference["uid"] as? String ?? ""
        let storage = pod["ephemeral-storage"] as? [String: Any]
        let slot = try place(
            "pod/\(uid)", .pod, parent: 0, start: pod["startTime"], [.podUID: uid],
            cgroup(pod) + [(.ephemeralStorageUsage, storage?["usedBytes"])], time: time(pod))
        try add(network: pod["network"], of: "pod/\(uid)", slot)
        for volume in pod["volume"] as? [[String: Any]] ?? [] {
            let name = volume["name"] as? String ?? ""
            try add(
                filesystem: volume, "pod/\(uid)/volume/\(name)", slot,
                [.name: name, .role: "volume"])
        }
        for container in Self.newestOfEachName(pod["containers"]) {
            let name = container["name"] as? String ?? ""
            try add(
                container, "pod/\(uid)/\(name)", .container, parent: slot,
                [.podUID: uid, .containerID: containerID(uid, name)])
        }
    }

    /// The recording has one container twice, as kubelets sometimes did; a node has one cgroup.
    private static func newestOfEachName(_ containers: Any?) -> [[String: Any]] {
        var found: [String: [String: Any]] = [:]
        for container in containers as? [[String: Any]] ?? [] {
            let name = container["name"] as? String ?? ""
            let (start, other) = (container["startTime"], found[name]?["startTime"])
            if (start as? String ?? "") >= (other as? String ?? "") { found[name] = container }
        }
        return found.sorted { $0.key < $1.key }.map(\.value)
    }

    static func customMetrics(
        _ pod: [String: Any]
    ) -> [(CustomOwner, CustomMetrics.Sample)] {
        let reference = pod["podRef"] as? [String: Any] ?? [:]
        return (pod["containers"] as? [[String: Any]] ?? []).flatMap { container in
            (container["userDefinedMetrics"] as? [[String: Any]] ?? []).compactMap { metric in
                // Heapster skipped types that it did not know.
                guard let name = metric["name"] as? String,
                    ["gauge", "cumulative", "delta"].contains(metric["type"] as? String ?? ""),
                    let value = (metric["value"] as? NSNumber)?.doubleValue
                else { return nil }
                return (
                    CustomOwner(
                        namespace: reference["namespace"] as? String ?? "",
                        pod: reference["name"] as? String ?? "",
                        container: container["name"] as? String ?? ""),
                    CustomMetrics.Sample(name: name, value: value)
                )
            }
        }
    }

    mutating func removeRest() throws {
        for (path, place) in places where seen[path] == nil { try agent.remove(place.slot) }
    }

    private mutating func add(
        _ container: [String: Any], _ path: String, _ kind: SubjectKind, parent: Slot,
        _ attributes: [Subject.Attribute: String]
    ) throws {
        let rootfs = container["rootfs"] as? [String: Any]
        let logs = container["logs"] as? [String: Any]
        var values = cgroup(container)
        if let a = Self.number(rootfs?["usedBytes"]), let b = Self.number(logs?["usedBytes"]) {
            values.append((.ephemeralStorageUsage, a + b))
        }
        let slot = try place(
            path, kind, parent: parent, start: container["startTime"], attributes, values,
            time: time(container))
        try add(filesystem: rootfs, "\(path)/rootfs", slot, [.name: "/", .role: "rootfs"])
        try add(filesystem: logs, "\(path)/logs", slot, [.name: "logs", .role: "logs"])
        for accelerator in container["accelerators"] as? [[String: Any]] ?? [] {
            let id = accelerator["id"] as? String ?? ""
            _ = try place(
                "\(path)/accelerator/\(id)", .accelerator, parent: slot, start: nil,
                [
                    .make: accelerator["make"] as? String ?? "",
                    .model: accelerator["model"] as? String ?? "", .identifier: id,
                ],
                [
                    (.acceleratorMemoryTotal, accelerator["memoryTotal"]),
                    (.acceleratorMemoryUsed, accelerator["memoryUsed"]),
                    (.acceleratorDutyCycle, accelerator["dutyCycle"]),
                ], time: base)
        }
    }

    private mutating func add(network: Any?, of path: String, _ parent: Slot) throws {
        guard let network = network as? [String: Any] else { return }
        let name = network["name"] as? String ?? "eth0"
        _ = try place(
            "\(path)/network", .networkInterface, parent: parent, start: nil, [.name: name],
            [
                (.networkReceiveBytes, network["rxBytes"]),
                (.networkReceiveErrors, network["rxErrors"]),
                (.networkTransmitBytes, network["txBytes"]),
                (.networkTransmitErrors, network["txErrors"]),
            ], time: time(network))
    }

    private mutating func add(
        filesystem: [String: Any]?, _ path: String, _ parent: Slot,
        _ attributes: [Subject.Attribute: String]
    ) throws {
        guard let filesystem else { return }
        _ = try place(
            path, .filesystem, parent: parent, start: nil, attributes,
            [
                (.filesystemUsage, filesystem["usedBytes"]),
                (.filesystemLimit, filesystem["capacityBytes"]),
                (.filesystemAvailable, filesystem["availableBytes"]),
                (.filesystemInodes, filesystem["inodes"]),
                (.filesystemInodesFree, filesystem["inodesFree"]),
            ], time: time(filesystem))
    }

    private func cgroup(_ object: [String: Any]) -> Values {
        let cpu = object["cpu"] as? [String: Any]
        let memory = object["memory"] as? [String: Any]
        return [
            (.cpuUsage, cpu?["usageCoreNanoSeconds"]), (.memoryUsage, memory?["usageBytes"]),
            (.memoryWorkingSet, memory?["workingSetBytes"]), (.memoryRSS, memory?["rssBytes"]),
            (.memoryPageFaults, memory?["pageFaults"]),
            (.memoryMajorPageFaults, memory?["majorPageFaults"]),
        ]
    }

    /// When it was read: the first of the parts that say.
    private func time(_ object: [String: Any]) -> Int64 {
        let texts = [
            (object["cpu"] as? [String: Any])?["time"],
            (object["memory"] as? [String: Any])?["time"],
            (object["network"] as? [String: Any])?["time"], object["time"],
        ]
        let text = texts.lazy.compactMap { $0 as? String }.first
        return text.flatMap { RFC3339.milliseconds(parsing: $0) } ?? base
    }

    private mutating func place(
        _ path: String, _ kind: SubjectKind, parent: Slot?, start: Any?,
        _ attributes: [Subject.Attribute: String], _ values: Values, time: Int64
    ) throws -> Slot {
        let startText = start as? String ?? ""
        // What belongs to a restarted container is new with it.
        let path = parent.map { "\($0)/\(path)" } ?? path
        let known = values.compactMap { metric, value in
            Self.number(value).map { (metric, $0) }
        }
        let slot: Slot
        if let old = places[path], old.start == startText {
            slot = old.slot
        } else {
            if let old = places[path] { try agent.remove(old.slot) }
            slot = nextSlot
            nextSlot += 1
            let subject = Subject(
                kind: kind, parent: parent,
                startTimeMilliseconds: RFC3339.milliseconds(parsing: startText) ?? 0,
                attributes: attributes)
            try agent.add(slot, subject, known.map(\.0))
        }
        places[path] = (slot, startText)
        seen[path] = (slot, startText)
        for (metric, value) in known { agent.set(slot, metric, value) }
        agent.set(slot, .readOffset, time - base)
        return slot
    }

    private static func number(_ value: Any?) -> Int64? {
        if let value = value as? Int64 { return value }
        return (value as? NSNumber)?.int64Value
    }
}
