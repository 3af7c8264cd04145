import Foundation

/// A folder of recorded summaries: `summary_NODE_nK.json`, K from 0.
struct Recording {
    enum Failure: Error, CustomStringConvertible {
        case unreadable(path: String, reason: String)
        case empty(path: String)

        var description: String {
            switch self {
            case .unreadable(let path, let reason): "cannot read \(path): \(reason)"
            case .empty(let path): "no summary_NODE_nK.json in \(path)"
            }
        }
    }

    /// By node; a step for which a node has no file is `nil`.
    private(set) var nodes: [String: [KubeletSummary?]] = [:]
    private(set) var stepCount = 0
    /// The apiserver's pod list as parsed JSON; empty without one.
    private(set) var pods: [String: Any] = [:]

    /// - Parameter podsPath: `nil` takes `api_pods.json` of the folder, if it is there.
    init(directory: String, podsPath: String?) throws {
        let files = FileManager.default
        var byNode: [String: [Int: KubeletSummary]] = [:]
        let names: [String]
        do {
            names = try files.contentsOfDirectory(atPath: directory)
        } catch {
            throw Failure.unreadable(path: directory, reason: "\(error)")
        }
        for name in names.sorted() {
            guard let (node, step) = Self.parse(name) else { continue }
            let data = try Self.contents("\(directory)/\(name)")
            do {
                byNode[node, default: [:]][step] =
                    try JSONDecoder().decode(KubeletSummary.self, from: data)
            } catch {
                throw Failure.unreadable(path: "\(directory)/\(name)", reason: "\(error)")
            }
        }
        stepCount = (byNode.values.flatMap(\.keys).max() ?? -1) + 1
        guard stepCount > 0 else { throw Failure.empty(path: directory) }
        for (node, steps) in byNode { nodes[node] = (0..<stepCount).map { steps[$0] } }
        let path = podsPath ?? "\(directory)/api_pods.json"
        if podsPath != nil || files.fileExists(atPath: path) {
            let parsed = try JSONSerialization.jsonObject(with: Self.contents(path))
            pods = parsed as? [String: Any] ?? [:]
        }
    }

    private static func contents(_ path: String) throws -> Data {
        do {
            return try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw Failure.unreadable(path: path, reason: "\(error)")
        }
    }

    /// Node and step in a file's name.
    private static func parse(_ name: String) -> (node: String, step: Int)? {
        guard name.hasPrefix("summary_"), name.hasSuffix(".json") else { return nil }
        let middle = name.dropFirst("summary_".count).dropLast(".json".count)
        guard let mark = middle.range(of: "_n", options: .backwards),
            let step = Int(middle[mark.upperBound...]), step >= 0
        else { return nil }
        return (String(middle[..<mark.lowerBound]), step)
    }

    /// The pod list with the container IDs that the frames have, so that names can be joined. The
    /// newest container of a name is the status's own, the one before it its last state's.
    func podsWithContainerIDs(_ containerIDs: ContainerIDs) -> [String: Any] {
        var starts: [String: Set<String>] = [:]
        for summary in nodes.values.joined().compactMap({ $0 }) {
            for pod in summary.pods {
                for container in pod.containers ?? [] {
                    starts["\(pod.podRef.uid)/\(container.name)", default: []]
                        .insert(container.startTime ?? "")
                }
            }
        }
        var list = pods
        list["kind"] = "PodList"
        list["apiVersion"] = "v1"
        list["items"] = (pods["items"] as? [[String: Any]] ?? []).map { pod in
            var pod = pod
            let uid = (pod["metadata"] as? [String: Any])?["uid"] as? String ?? ""
            guard var status = pod["status"] as? [String: Any],
                let containers = status["containerStatuses"] as? [[String: Any]]
            else { return pod }
            status["containerStatuses"] = containers.map { container in
                var container = container
                let name = container["name"] as? String ?? ""
                let ids = (starts["\(uid)/\(name)"] ?? []).sorted().map {
                    "containerd://"
                        + containerIDs.identifier(podUID: uid, name: name, startTime: $0)
                }
                if let newest = ids.last { container["containerID"] = newest }
                if ids.count > 1 {
                    container["lastState"] = ["terminated": ["containerID": ids[ids.count - 2]]]
                }
                return container
            }
            pod["status"] = status
            return pod
        }
        return list
    }
}
