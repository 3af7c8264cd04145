import Wire

/// What of a node has samples in a scrape, with its labels as they are written: made once per node
/// and scrape, not once per sample.
///
/// Empty labels are left out: for PromQL they are the same as empty ones.
struct ExpositionThings {
    struct Exposed {
        let subject: JoinedSubject
        let target: SeriesFamily.Targets
        /// `namespace="a",pod="b"`, escaped.
        let labels: [UInt8]
        /// The selectors of the request that take it.
        let mask: SeriesSelection.Mask
        /// Interfaces, filesystems, devices, each with what comes behind the thing's labels.
        var parts: [Part] = []
    }

    struct Part {
        let subject: JoinedSubject
        /// `,interface="eth0"`, escaped.
        let labels: [UInt8]
        /// The same, for a selection.
        let pairs: [Pair]
    }

    typealias Pair = (name: StaticString, value: String)

    /// Whose labels a thing gets.
    enum Style: Sendable {
        /// The kubelet's for cAdvisor: also `id`, `image`, `name`.
        case cadvisor
        /// Names of the Kubernetes API only.
        case resource
    }

    let node: JoinedNode
    /// Of the families about the machine.
    let machineLabels: [UInt8]
    let machineMask: SeriesSelection.Mask
    private(set) var things: [Exposed] = []
    /// About the memory that this takes.
    private(set) var byteCount = 0
    private let selection: SeriesSelection?
    /// What the selection's regular expressions cost.
    private(set) var steps = 0

    /// - Parameter selection: things that none of its selectors takes are left out.
    init(_ node: JoinedNode, _ style: Style, _ selection: SeriesSelection? = nil) {
        self.node = node
        self.selection = selection
        let machine: [Pair] = [
            ("node", node.name), ("machine_id", node.machine.machineID),
            ("system_uuid", node.machine.systemUUID), ("boot_id", node.machine.bootID),
        ]
        machineLabels = Labels.all(machine)
        var steps = 0
        machineMask =
            selection?.mask(outer: machine, steps: &steps) ?? SeriesSelection.everything
        self.steps = steps
        let isFull = style == .cadvisor
        if let own = node.node { add(own, .node, isFull ? [("id", "/")] : [], isFull) }
        for container in isFull ? node.systemContainers : [] {
            let name = container.subject.name
            add(
                container, .system,
                [
                    ("id", name.hasPrefix("/") ? name : "/\(name)"),
                    ("name", container.subject.containerID),
                ], true)
        }
        addPods(node, isFull)
    }

    private mutating func addPods(_ node: JoinedNode, _ isFull: Bool) {
        for pod in node.pods {
            let paths = CgroupPaths(node.machine, pod)
            let names: [(StaticString, String)] = [("namespace", pod.namespace), ("pod", pod.name)]
            if let own = pod.subject {
                add(own, .pod, isFull ? names + [("id", paths.pod)] : names, isFull)
            }
            for container in pod.containers {
                guard let subject = container.subject else { continue }
                var labels = names + [("container", container.name)]
                if isFull {
                    labels += [
                        ("image", container.specification?.image ?? ""),
                        ("name", subject.subject.containerID),
                        ("id", paths.container(subject.subject)),
                    ]
                }
                add(subject, .container, labels, isFull)
            }
            if isFull, let sandbox = pod.sandbox {
                let id = sandbox.subject.containerID
                add(
                    sandbox, .sandbox,
                    names + [("name", id), ("id", paths.container(sandbox.subject))], true)
            }
        }
    }

    private mutating func add(
        _ subject: JoinedSubject, _ target: SeriesFamily.Targets,
        _ pairs: [(StaticString, String)], _ hasParts: Bool
    ) {
        let pairs = [("node", node.name)] + pairs
        let mask = selection?.mask(outer: pairs, steps: &steps) ?? SeriesSelection.everything
        guard mask != 0 else { return }
        var thing = Exposed(
            subject: subject, target: target, labels: Labels.all(pairs), mask: mask)
        byteCount += thing.labels.count + 128
        if hasParts {
            var seen = Set<[UInt8]>()
            for child in subject.children {
                var pairs = Self.labels(of: child.subject)
                var bytes = Labels.part(pairs)
                if !seen.insert([child.subject.kind.rawValue] + bytes).inserted {
                    // Subvolumes have one device; where they are mounted tells them apart.
                    pairs = [("device", child.subject.name)]
                    bytes = Labels.part(pairs)
                    guard seen.insert([child.subject.kind.rawValue] + bytes).inserted else {
                        continue
                    }
                }
                thing.parts.append(
                    Part(
                        subject: child, labels: bytes, pairs: selection == nil ? [] : pairs))
                byteCount += bytes.count + 128
            }
        }
        things.append(thing)
    }

    /// `,node_id="0"`, escaped.
    static func labels(_ pairs: [Pair]) -> [UInt8] { Labels.part(pairs) }

    /// In cAdvisor's names. A filesystem without a device (tmpfs) goes by its mount point there.
    private static func labels(of part: SubjectIdentity) -> [Pair] {
        switch part.kind {
        case .networkInterface: return [("interface", part.name)]
        case .hugePages: return [("pagesize", part.name)]
        case .filesystem:
            let device = part[.device] ?? ""
            return [("device", device.hasPrefix("/") ? device : part.name)]
        case .blockDevice:
            let number = (part[.deviceNumber] ?? "").split(separator: ":")
            let name = part.name.hasPrefix("/") ? part.name : "/dev/\(part.name)"
            guard number.count == 2 else { return [("device", name)] }
            return [
                ("device", name), ("major", String(number[0])), ("minor", String(number[1])),
            ]
        default: return []
        }
    }
}

/// Labels as they stand between the braces.
private enum Labels {
    /// `node="n1",pod="a"`: the first is always there.
    static func all(_ pairs: [ExpositionThings.Pair]) -> [UInt8] { Array(part(pairs).dropFirst()) }

    /// `,interface="eth0"`; empty ones are left out.
    static func part(_ pairs: [ExpositionThings.Pair]) -> [UInt8] {
        var writer = ExpositionWriter(.text)
        for (name, value) in pairs where !value.isEmpty {
            writer.append(",")
            writer.append(name)
            writer.append("=\"")
            writer.appendEscaped(value)
            writer.append("\"")
        }
        return writer.bytes
    }
}

/// Where the kubelet puts a pod's cgroups (`pkg/kubelet/cm` of kubernetes), which cAdvisor shows as
/// `id`. The dictionary has no paths: this is what they are without `--cgroup-root`.
private struct CgroupPaths {
    private let isSystemd: Bool
    let pod: String

    init(_ machine: MachineFacts, _ pod: JoinedPod) {
        isSystemd = machine.cgroupDriver == "systemd"
        let subject = pod.subject ?? pod.containers.lazy.compactMap(\.subject).first ?? pod.sandbox
        let quality = subject?.subject[.qosClass] ?? ""
        let group = quality == "guaranteed" ? "" : quality
        if isSystemd {
            let uid = String(decoding: pod.uid.utf8.map { $0 == 0x2D ? 0x5F : $0 }, as: UTF8.self)
            let outer = group.isEmpty ? "" : "/kubepods-\(group).slice"
            let prefix = group.isEmpty ? "kubepods" : "kubepods-\(group)"
            self.pod = "/kubepods.slice\(outer)/\(prefix)-pod\(uid).slice"
        } else {
            self.pod = "/kubepods\(group.isEmpty ? "" : "/\(group)")/pod\(pod.uid)"
        }
    }

    func container(_ container: SubjectIdentity) -> String {
        guard isSystemd else { return "\(pod)/\(container.containerID)" }
        let prefix =
            switch container[.runtime] {
            case "containerd": "cri-containerd-"
            case "cri-o": "crio-"
            case "docker": "docker-"
            case "podman": "libpod-"
            default: ""
            }
        return "\(pod)/\(prefix)\(container.containerID).scope"
    }
}
