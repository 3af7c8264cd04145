import Synchronization

/// What is known about one node and its pods, for the thread that joins this node's frames.
///
///     reader                                    writer (holds the directory's lock)
///     generation.load  == cached: keep          pods or node change
///                      != cached: view() ──┐    generation += 1
///                                          └──  node's own lock, microseconds
///
/// A change of a pod bumps the generation of its node only: a reader compares one atomic number a
/// frame and looks names up again only when something on this very node changed. Views are immutable;
/// nothing that a reader holds is ever changed.
final class NodeMetadata: Sendable {
    let name: String
    /// Grows with every change of the node or of a pod on it.
    var generation: UInt64 { counter.load(ordering: .acquiring) }

    private let counter = Atomic<UInt64>(1)
    private let content = Mutex(Content())

    private struct Content {
        var node: Node?
        var pods: [Pod] = []
        var departed: [Pod] = []
        var totals = ResourceTotals()
        var view: NodeView?

        mutating func count(_ pod: Pod, _ sign: Int) {
            guard pod.holdsResources else { return }
            let own = ResourceTotals(pod)
            if sign > 0 { totals.add(own) } else { totals.subtract(own) }
        }
    }

    init(name: String) { self.name = name }

    /// The state now; built when it changed since the last call, O(containers of the node).
    func view() -> NodeView {
        content.withLock { content in
            let generation = counter.load(ordering: .acquiring)
            if let view = content.view, view.generation == generation { return view }
            let view = NodeView(
                generation: generation, node: content.node, pods: content.pods,
                departedPods: content.departed, totals: content.totals)
            content.view = view
            return view
        }
    }

    // MARK: For the directory

    func set(_ node: Node?) {
        change { $0.node = node }
    }

    /// Adds a pod or puts it in the place of its earlier state.
    func put(_ pod: Pod) {
        change { content in
            content.departed.removeAll { $0.uid == pod.uid }
            if let place = content.pods.firstIndex(where: { $0.uid == pod.uid }) {
                content.count(content.pods[place], -1)
                content.pods[place] = pod
            } else {
                content.pods.append(pod)
            }
            content.count(pod, 1)
        }
    }

    /// The pod has gone from here; with `keeping` it can still be found.
    func remove(_ pod: Pod, keeping: Bool) {
        change { content in
            guard let place = content.pods.firstIndex(where: { $0.uid == pod.uid }) else { return }
            content.count(content.pods[place], -1)
            content.pods.remove(at: place)
            if keeping { content.departed.append(pod) }
        }
    }

    func forget(_ uid: ObjectUID) {
        change { content in content.departed.removeAll { $0.uid == uid } }
    }

    /// Whether nothing is known, so that the directory may drop it.
    var isVacant: Bool {
        content.withLock { $0.node == nil && $0.pods.isEmpty && $0.departed.isEmpty }
    }

    private func change(_ body: (inout Content) -> Void) {
        content.withLock { content in
            body(&content)
            content.view = nil
            counter.add(1, ordering: .releasing)
        }
    }
}

/// One node and its pods at one moment.
final class NodeView: Sendable {
    let generation: UInt64
    /// `nil` while the apiserver has not told of it.
    let node: Node?
    let pods: [Pod]
    /// Pods that have gone within the history window.
    let departedPods: [Pod]
    /// Of the pods that hold resources.
    let totals: ResourceTotals
    private let containers: FingerprintIndex

    init(
        generation: UInt64, node: Node?, pods: [Pod], departedPods: [Pod], totals: ResourceTotals
    ) {
        self.generation = generation
        self.node = node
        self.pods = pods
        self.departedPods = departedPods
        self.totals = totals
        containers = FingerprintIndex(pods: pods, departedPods: departedPods)
    }

    /// A pod of this node by its UID or its static pod's; O(pods of the node).
    func pod(uid: ObjectUID) -> Pod? {
        pods.first { $0.uid == uid || $0.configHash == uid }
            ?? departedPods.last { $0.uid == uid || $0.configHash == uid }
    }

    /// A container of this node by the ID of its present run, O(log containers of the node). Earlier
    /// runs are in the directory.
    func container(id: ContainerID) -> PodContainer? {
        containers.find(id) { number in
            number < pods.count ? pods[number] : departedPods[number - pods.count]
        }
    }
}

/// A container and its pod.
struct PodContainer: Sendable {
    let pod: Pod
    /// In the pod's `containers`.
    let index: Int
    var container: Pod.Container { pod.containers[index] }
}

/// Containers of a few pods by ID: sorted 16-byte entries instead of a dictionary, because there is
/// one for each of thousands of nodes.
private struct FingerprintIndex {
    private struct Entry {
        let fingerprint: UInt64
        let pod: UInt32
        let container: UInt32
    }

    private let entries: [Entry]

    init(pods: [Pod], departedPods: [Pod]) {
        var entries: [Entry] = []
        for (number, pod) in (pods + departedPods).enumerated() {
            for (index, container) in pod.containers.enumerated() where !container.id.isEmpty {
                entries.append(
                    Entry(
                        fingerprint: container.id.fingerprint, pod: UInt32(number),
                        container: UInt32(index)))
            }
        }
        self.entries = entries.sorted { $0.fingerprint < $1.fingerprint }
    }

    func find(_ id: ContainerID, pod: (Int) -> Pod) -> PodContainer? {
        let wanted = id.fingerprint
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].fingerprint < wanted { low = middle + 1 } else { high = middle }
        }
        while low < entries.count, entries[low].fingerprint == wanted {
            let candidate = PodContainer(
                pod: pod(Int(entries[low].pod)), index: Int(entries[low].container))
            if candidate.container.id == id { return candidate }
            low += 1
        }
        return nil
    }
}
