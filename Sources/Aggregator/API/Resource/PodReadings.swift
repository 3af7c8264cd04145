import Wire

/// What the containers of chosen pods use now, in the order of namespace and name: read node by node,
/// each lock held once.
struct PodReadings: Sendable {
    struct Pod {
        let entry: PodOrder.Entry
        /// Index into `usages` of its first container.
        let start: Int
    }

    let nodes: [NodePods?]
    private(set) var pods: [Pod] = []
    /// By container, in the order of `NodePods.containers`; `nil` for one that has no rate yet.
    private(set) var usages: [ResourceUsage?]

    /// - Parameters:
    ///   - namespace: `nil` for all.
    ///   - isWanted: which of the pods that the apiserver knows; `nil` for all.
    init(
        _ index: ClusterIndex, namespace: String?, where isWanted: ((JoinedPod) -> Bool)?
    ) {
        let order = index.podOrder()
        nodes = order.nodes
        // By node, a list of its chosen pods through `next`.
        var first = [Int32](repeating: -1, count: nodes.count)
        var next: [Int32] = []
        var count = 0
        let range = order.range(of: namespace)
        pods.reserveCapacity(range.count)
        next.reserveCapacity(range.count)
        for entry in order.entries[range] {
            guard let node = nodes[Int(entry.node)] else { continue }
            let pod = node.pods[Int(entry.pod)]
            guard pod.isNamed, !pod.containers.isEmpty else { continue }
            if let isWanted, !isWanted(node.joined.pods[Int(entry.pod)]) { continue }
            next.append(first[Int(entry.node)])
            first[Int(entry.node)] = Int32(pods.count)
            pods.append(Pod(entry: entry, start: count))
            count += pod.containers.count
        }
        usages = [ResourceUsage?](repeating: nil, count: count)
        usages.withUnsafeMutableBufferPointer { usages in
            for (place, node) in nodes.enumerated() where first[place] >= 0 {
                guard let node else { continue }
                Self.read(node, index) { read in
                    var chosen = Int(first[place])
                    while chosen >= 0 {
                        read(Int(pods[chosen].entry.pod), &usages, pods[chosen].start)
                        chosen = Int(next[chosen])
                    }
                }
            }
        }
    }

    private typealias Reader = (
        _ pod: Int, _ usages: inout UnsafeMutableBufferPointer<ResourceUsage?>, _ start: Int
    ) -> Void

    /// Hands a function that reads a pod of the node to the body, under the node's lock.
    private static func read(
        _ node: NodePods, _ index: ClusterIndex, _ body: (Reader) -> Void
    ) {
        _ = index.read(node.joined) { joined, rows in
            if joined === node.joined {
                return body { pod, usages, start in
                    var place = start
                    let range = node.pods[pod].containers
                    for container in Int(range.lowerBound)..<Int(range.upperBound) {
                        usages[place] = rows.usage(node.containers[container])
                        place += 1
                    }
                }
            }
            // The node's subjects changed since it was put in order: by UID and name instead.
            var again: [String: JoinedPod] = [:]
            for pod in joined.pods { again[pod.uid] = pod }
            body { pod, usages, start in
                let pod = node.joined.pods[pod]
                guard let now = again[pod.uid] else { return }
                var place = start
                for container in pod.containers where NodePods.isListed(container) {
                    let same = now.containers.first { $0.name == container.name }
                    usages[place] = same?.subject?.usage(in: rows)
                    place += 1
                }
            }
        }
    }

    /// Of the pod at an index of `pods`: what was read, earliest time, longest window; `nil` where
    /// nothing was.
    func total(of index: Int, _ containerCount: Int) -> ResourceUsage? {
        let start = pods[index].start
        var total: ResourceUsage?
        for place in start..<start + containerCount {
            guard let usage = usages[place] else { continue }
            if total == nil { total = usage } else { total?.add(usage) }
        }
        return total
    }

    /// As objects, for forms other than JSON lists.
    var items: [ResourceItem] {
        pods.compactMap { pod in
            guard let node = nodes[Int(pod.entry.node)] else { return nil }
            let joined = node.joined.pods[Int(pod.entry.pod)]
            let listed = joined.containers.filter(NodePods.isListed)
            var containers: [(name: String, usage: ResourceUsage)] = []
            for (offset, container) in listed.enumerated() {
                guard let usage = usages[pod.start + offset] else { continue }
                containers.append((container.name, usage))
            }
            guard !containers.isEmpty else { return nil }
            return ResourceItem(
                name: joined.name, labels: joined.metadata?.labels,
                content: .pod(namespace: joined.namespace, containers: containers))
        }
    }
}

extension LiveRows {
    /// `nil` while there is no rate.
    @inline(__always)
    fileprivate func usage(_ container: NodePods.Container) -> ResourceUsage? {
        guard let cpu = cpu(container.slot), let row = row(container.slot) else { return nil }
        return ResourceUsage(
            cpuNanocores: cpu.nanocores, memoryBytes: row[Int(container.memoryColumn)],
            time: cpu.time, window: cpu.window)
    }
}
