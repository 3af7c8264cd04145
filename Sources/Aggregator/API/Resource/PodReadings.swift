import CLinux
import Wire

/// What the containers of chosen pods use now, in the order of namespace and name: read node by node,
/// each lock held once.
struct PodReadings: Sendable {
    let order: PodOrder.Snapshot
    private let chosen: Chosen
    /// By node: index into the table of its first container.
    private var starts: [Int32]
    private let table: UsageTable

    private enum Chosen: Sendable {
        case all(Range<Int>)
        /// Indices of entries.
        case some([UInt32])
    }

    /// - Parameters:
    ///   - namespace: `nil` for all.
    ///   - isWanted: which of the pods that the apiserver knows; `nil` for all.
    init(
        _ index: ClusterIndex, namespace: String?, where isWanted: ((JoinedPod) -> Bool)?
    ) {
        let order = index.podOrder()
        self.order = order
        let range = order.range(of: namespace)
        starts = [Int32](repeating: -1, count: order.nodes.count)
        guard namespace != nil || isWanted != nil else {
            chosen = .all(range)
            table = UsageTable(count: Self.place(order.nodes, in: &starts) { _ in true })
            for (number, node) in order.nodes.enumerated() {
                guard let node, !node.containers.isEmpty else { continue }
                Self.read(node, index, into: table.readings, at: Int(starts[number]), pods: nil)
            }
            return
        }
        // By node, a list of its chosen pods through `next`.
        var first = [Int32](repeating: -1, count: order.nodes.count)
        var next: [Int32] = []
        var found: [UInt32] = []
        for place in range {
            let entry = order.entries[place]
            if let isWanted {
                guard let node = order.nodes[Int(entry.node)],
                    isWanted(node.joined.pods[Int(entry.pod)])
                else { continue }
            }
            next.append(first[Int(entry.node)])
            first[Int(entry.node)] = Int32(found.count)
            found.append(UInt32(place))
        }
        table = UsageTable(count: Self.place(order.nodes, in: &starts) { first[$0] >= 0 })
        for (number, node) in order.nodes.enumerated() where first[number] >= 0 {
            guard let node else { continue }
            var pods: [Int] = []
            var place = Int(first[number])
            while place >= 0 {
                pods.append(Int(order.entries[Int(found[place])].pod))
                place = Int(next[place])
            }
            Self.read(node, index, into: table.readings, at: Int(starts[number]), pods: pods)
        }
        chosen = .some(found)
    }

    /// Gives wanted nodes their places in a table; returns how many readings it has.
    private static func place(
        _ nodes: [NodePods?], in starts: inout [Int32], where isWanted: (Int) -> Bool
    ) -> Int {
        var count = 0
        for (number, node) in nodes.enumerated() where isWanted(number) {
            guard let node else { continue }
            starts[number] = Int32(count)
            count += node.containers.count
        }
        return count
    }

    /// Reads a node under its lock.
    ///
    /// - Parameter pods: which of its pods; `nil` for all.
    private static func read(
        _ node: NodePods, _ index: ClusterIndex,
        into readings: UnsafeMutableBufferPointer<UsageReading>, at start: Int, pods: [Int]?
    ) {
        guard let base = readings.baseAddress else { return }
        let target = base + start
        _ = index.read(node.joined) { joined, rows in
            guard joined === node.joined else {
                return readAgain(joined, rows, node, into: target, pods ?? Array(node.pods.indices))
            }
            guard let pods else {
                return rows.read(node.containers, of: node, node.containers.indices, into: target)
            }
            for pod in pods {
                let range = node.pods[pod].containers
                rows.read(
                    node.containers, of: node, Int(range.lowerBound)..<Int(range.upperBound),
                    into: target)
            }
        }
    }

    /// The node's subjects changed since it was put in order: by UID and name instead.
    private static func readAgain(
        _ joined: JoinedNode, _ rows: LiveRows, _ node: NodePods,
        into target: UnsafeMutablePointer<UsageReading>, _ pods: [Int]
    ) {
        var again: [String: JoinedPod] = [:]
        for pod in joined.pods { again[pod.uid] = pod }
        for number in pods {
            let pod = node.joined.pods[number]
            guard let now = again[pod.uid] else { continue }
            let first = Int(node.pods[number].containers.lowerBound)
            for (offset, container) in pod.listedContainers.enumerated() {
                let same = now.containers.first { $0.name == container.name }
                guard let usage = same?.subject?.usage(in: rows) else { continue }
                target[first + offset] = UsageReading(
                    cpuNanocores: usage.cpuNanocores, memoryBytes: usage.memoryBytes,
                    time: usage.time, window: usage.window)
            }
        }
    }

    // MARK: What was read

    /// How many pods were chosen; some may turn out to have no readings.
    var count: Int {
        switch chosen {
        case .all(let range): range.count
        case .some(let places): places.count
        }
    }

    /// The pod at an index below `count`.
    @inline(__always)
    func entry(_ index: Int) -> PodOrder.Entry {
        switch chosen {
        case .all(let range): order.entries[range.lowerBound + index]
        case .some(let places): order.entries[Int(places[index])]
        }
    }

    /// The readings of a pod's containers, from its first on. Valid as long as these readings.
    @inline(__always)
    func readings(of entry: PodOrder.Entry) -> UnsafePointer<UsageReading>? {
        table.readings.baseAddress.map {
            UnsafePointer($0 + Int(starts[Int(entry.node)]) + Int(entry.firstContainer))
        }
    }

    /// Fetches from memory what comes some pods later.
    @inline(__always)
    func prefetch(after index: Int) {
        if index + 8 < count { hw_prefetch(readings(of: entry(index + 8))) }
    }

    /// Shows the pod at an index below `count` with the readings of its listed containers.
    @discardableResult
    func withPod<Result>(
        _ index: Int, _ body: (JoinedPod, UnsafePointer<UsageReading>) -> Result
    ) -> Result? {
        let entry = entry(index)
        guard let node = order.nodes[Int(entry.node)], let readings = readings(of: entry) else {
            return nil
        }
        return body(node.joined.pods[Int(entry.pod)], readings)
    }

    /// As objects, for tables and metadata.
    var items: [ResourceItem] {
        (0..<count).compactMap { index in
            withPod(index) { pod, readings -> ResourceItem? in
                var containers: [(name: String, usage: ResourceUsage)] = []
                for (offset, container) in pod.listedContainers.enumerated()
                where readings[offset].isThere {
                    containers.append((container.name, ResourceUsage(readings[offset])))
                }
                guard !containers.isEmpty else { return nil }
                return ResourceItem(
                    name: pod.name, labels: pod.metadata?.labels,
                    content: .pod(namespace: pod.namespace, containers: containers))
            } ?? nil
        }
    }
}

extension ResourceUsage {
    fileprivate init(_ reading: UsageReading) {
        self.init(
            cpuNanocores: reading.cpuNanocores, memoryBytes: reading.memoryBytes,
            time: reading.time, window: reading.window)
    }
}
