import Wire

/// A node's live subjects with their names: who is in which slot. Immutable; made again when the
/// subjects or the names change.
final class JoinedNode: Sendable {
    let model: NodeModel
    /// Of the layout that the slots belong to.
    let generation: UInt64
    /// Of the names.
    let metadataGeneration: UInt64
    let machine: MachineFacts
    /// What the apiserver says of the node; `nil` while it says nothing.
    let metadata: Node?
    let node: JoinedSubject?
    let agent: JoinedSubject?
    /// In the order of their names.
    let systemContainers: [JoinedSubject]
    /// In the order of namespace and name.
    let pods: [JoinedPod]

    var name: String { model.name }
    /// Heapster's `hostname`.
    var hostname: String { metadata?.hostname ?? model.name }

    /// - Parameters:
    ///   - layout: the subjects.
    ///   - names: looks up pods and containers that the node's own view lacks.
    init(_ model: NodeModel, _ layout: LiveLayout, _ view: NodeView, names: PodDirectory) {
        self.model = model
        generation = layout.generation
        metadataGeneration = view.generation
        machine = layout.machine
        metadata = view.node
        let joiner = Joiner(layout)
        node = joiner.roots(.node).first
        agent = joiner.roots(.agent).first
        systemContainers = joiner.roots(.systemContainer)
            .sorted { $0.subject.name < $1.subject.name }
        pods = joiner.pods(on: model.name, view, names)
            .sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
    }

    /// Shows the newest values while the slots still mean the same; the body runs under the node's
    /// lock.
    ///
    /// - Returns: `nil` when the node has to be joined again.
    func withRows<Result>(_ body: (LiveRows) -> Result) -> Result? {
        model.withLiveRows(generation, body)
    }
}

/// Builds the tree of one node's subjects.
private struct Joiner {
    private let items: [LiveLayout.Item]
    private var childrenOf: [Slot: [Int]] = [:]

    init(_ layout: LiveLayout) {
        items = layout.items
        for (index, item) in items.enumerated() {
            if let parent = item.parent { childrenOf[parent, default: []].append(index) }
        }
    }

    private func joined(_ index: Int) -> JoinedSubject {
        let item = items[index]
        var joined = JoinedSubject(
            slot: item.slot, subject: item.subject, columns: item.schema.columns)
        for child in childrenOf[item.slot] ?? [] where items[child].subject.kind.isLeaf {
            joined.children.append(self.joined(child))
        }
        return joined
    }

    func roots(_ kind: SubjectKind) -> [JoinedSubject] {
        items.indices.filter { items[$0].subject.kind == kind }.map { joined($0) }
    }

    /// Everything that has a pod's UID, pod by pod. A container may be there before its pod.
    func pods(
        on nodeName: String, _ view: NodeView, _ names: PodDirectory
    ) -> [JoinedPod] {
        var byUID: [String: (pod: Int?, containers: [Int])] = [:]
        for (index, item) in items.enumerated() {
            switch item.subject.kind {
            case .pod: byUID[item.subject.podUID, default: (nil, [])].pod = index
            case .container:
                byUID[item.subject.podUID, default: (nil, [])].containers.append(index)
            default: break
            }
        }
        return byUID.map { uid, parts in
            let objectUID = ObjectUID(uid)
            let metadata = view.pod(uid: objectUID) ?? names.pod(uid: objectUID)
            let sandbox = parts.containers.first { items[$0].subject.isSandbox }
            let running = parts.containers.filter { !items[$0].subject.isSandbox }
                .map { joined($0) }
            return JoinedPod(
                namespace: metadata?.namespace ?? unknownNamespace, name: metadata?.name ?? uid,
                uid: uid, nodeName: nodeName, metadata: metadata,
                subject: parts.pod.map { joined($0) },
                containers: Self.containers(running, metadata, view, names),
                sandbox: sandbox.map { joined($0) })
        }
    }

    /// Running containers by name, the specified ones that do not run among them.
    private static func containers(
        _ running: [JoinedSubject], _ pod: Pod?, _ view: NodeView, _ names: PodDirectory
    ) -> [JoinedContainer] {
        var byName: [String: JoinedSubject] = [:]
        for subject in running {
            let id = ContainerID(subject.subject.containerID)
            let named = view.container(id: id) ?? names.container(id: id)
            let name = named?.container.name ?? subject.subject.containerID
            // Of two runs the later one counts.
            let start = byName[name]?.subject.startTimeMilliseconds ?? .min
            if subject.subject.startTimeMilliseconds >= start { byName[name] = subject }
        }
        var found: [JoinedContainer] = []
        for container in pod?.containers ?? [] {
            let subject = byName.removeValue(forKey: container.name)
            guard subject != nil || container.role == .regular else { continue }
            found.append(
                JoinedContainer(name: container.name, subject: subject, specification: container))
        }
        for (name, subject) in byName.sorted(by: { $0.key < $1.key }) {
            found.append(JoinedContainer(name: name, subject: subject, specification: nil))
        }
        return found
    }
}

extension SubjectKind {
    /// Belongs to another subject as a labelled part of it.
    fileprivate var isLeaf: Bool {
        switch self {
        case .networkInterface, .filesystem, .blockDevice, .accelerator, .hugePages: true
        case .node, .pod, .container, .systemContainer, .agent: false
        }
    }
}
