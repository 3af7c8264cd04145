import Glibc
import Synchronization

/// The listed pods of all nodes in the order of namespace and name, kept from one list to the next:
/// only the pods of nodes that were joined again since are put in their places.
final class PodOrder: Sendable {
    struct Entry: BitwiseCopyable {
        /// Index into the snapshot's nodes.
        let node: UInt32
        /// Index into the node's pods.
        let pod: UInt32
        /// Index into the node's containers of the pod's first.
        let firstContainer: UInt32
        fileprivate(set) var text: PodTexts.Position
    }

    /// The order at a moment.
    struct Snapshot: Sendable {
        /// With gaps where a node has gone.
        fileprivate(set) var nodes: [NodePods?] = []
        fileprivate(set) var entries: [Entry] = []
        fileprivate(set) var texts = PodTexts()
        /// Bytes of `texts` that are not in the order of the entries, or of pods that have gone.
        fileprivate var scatteredByteCount = 0
    }

    fileprivate struct State {
        var snapshot = Snapshot()
        /// By the node's model, which `snapshot.nodes` keeps alive.
        var indices: [ObjectIdentifier: Int] = [:]
        var free: [Int] = []
    }

    private let state = Mutex(State())

    /// The pods of just these nodes.
    func snapshot(of nodes: [JoinedNode]) -> Snapshot {
        state.withLock { state in
            state.update(to: nodes)
            return state.snapshot
        }
    }
}

extension PodOrder.State {
    fileprivate mutating func update(to nodes: [JoinedNode]) {
        var isSeen = [Bool](repeating: false, count: snapshot.nodes.count)
        var isChanged = isSeen
        var fresh: [Int] = []
        for node in nodes {
            let index = self.index(of: node)
            if index == isSeen.count {
                isSeen.append(false)
                isChanged.append(false)
            }
            isSeen[index] = true
            guard snapshot.nodes[index]?.joined !== node else { continue }
            snapshot.nodes[index] = NodePods(node)
            isChanged[index] = true
            fresh.append(index)
        }
        var hasLost = false
        for index in isSeen.indices where !isSeen[index] {
            guard let gone = snapshot.nodes[index] else { continue }
            indices[ObjectIdentifier(gone.joined.model)] = nil
            snapshot.nodes[index] = nil
            free.append(index)
            isChanged[index] = true
            hasLost = true
        }
        guard hasLost || !fresh.isEmpty else { return }
        snapshot.remove { isChanged[Int($0.node)] }
        snapshot.merge(entriesOf: fresh)
    }

    private mutating func index(of node: JoinedNode) -> Int {
        let identity = ObjectIdentifier(node.model)
        if let index = indices[identity] { return index }
        let index = free.popLast() ?? snapshot.nodes.count
        if index == snapshot.nodes.count { snapshot.nodes.append(nil) }
        indices[identity] = index
        return index
    }
}

extension PodOrder.Snapshot {
    /// Their texts stay behind until all are arranged anew.
    fileprivate mutating func remove(where isGone: (PodOrder.Entry) -> Bool) {
        let before = entries.count
        entries.removeAll(where: isGone)
        guard before > entries.count else { return }
        scatteredByteCount += texts.byteCount / before * (before - entries.count)
    }

    fileprivate mutating func merge(entriesOf fresh: [Int]) {
        let before = texts.byteCount
        var added: [PodOrder.Entry] = []
        for index in fresh {
            guard let node = nodes[index] else { continue }
            for (number, pod) in node.pods.enumerated() where pod.isListed {
                added.append(
                    PodOrder.Entry(
                        node: UInt32(index), pod: UInt32(number),
                        firstContainer: UInt32(pod.containers.lowerBound),
                        text: texts.append(node.joined.pods[number])))
            }
        }
        scatteredByteCount += texts.byteCount - before
        withKeys { key in
            added.sort { Self.compare(key($0), key($1)) < 0 }
            var merged: [PodOrder.Entry] = []
            merged.reserveCapacity(entries.count + added.count)
            var start = 0
            for entry in added {
                let wanted = key(entry)
                let place = Self.firstIndex(in: entries[start...]) {
                    Self.compare(key($0), wanted) > 0
                }
                merged += entries[start..<place]
                merged.append(entry)
                start = place
            }
            merged += entries[start...]
            entries = merged
        }
        if scatteredByteCount > texts.byteCount / 4 { arrange() }
    }

    /// Puts the texts into the order of the entries.
    private mutating func arrange() {
        var arranged = PodTexts()
        texts.withTexts { text in
            for index in entries.indices {
                entries[index].text = arranged.append(text(entries[index].text))
            }
        }
        texts = arranged
        scatteredByteCount = 0
    }

    /// The entries of a namespace; all of them for `nil`.
    func range(of namespace: String?) -> Range<Int> {
        guard let namespace else { return entries.indices }
        let (low, high) = (Array(namespace.utf8) + [0], Array(namespace.utf8) + [1])
        return withKeys { key in
            func place(_ bound: [UInt8]) -> Int {
                bound.withUnsafeBytes { bound in
                    Self.firstIndex(in: entries[...]) { Self.compare(key($0), bound) >= 0 }
                }
            }
            return place(low)..<place(high)
        }
    }

    private func withKeys<Result>(
        _ body: ((PodOrder.Entry) -> UnsafeRawBufferPointer) -> Result
    ) -> Result {
        // References are not counted at each look; `nodes` keeps them.
        let pods = nodes.map { $0?.pods.baseAddress }
        let keys = nodes.map { $0?.keys.baseAddress }
        return withExtendedLifetime(nodes) {
            body { entry in
                guard let pod = pods[Int(entry.node)], let text = keys[Int(entry.node)] else {
                    preconditionFailure("an entry of a node that has gone")
                }
                let range = pod[Int(entry.pod)].key
                return UnsafeRawBufferPointer(
                    start: text + Int(range.lowerBound), count: range.count)
            }
        }
    }

    private static func compare(
        _ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer
    ) -> Int32 {
        guard let first = a.baseAddress, let second = b.baseAddress else { return 0 }
        let order = memcmp(first, second, min(a.count, b.count))
        return order != 0 ? order : Int32(a.count - b.count)
    }

    /// The first entry for which the condition holds, which holds for all after it.
    private static func firstIndex(
        in entries: ArraySlice<PodOrder.Entry>, where condition: (PodOrder.Entry) -> Bool
    ) -> Int {
        var (low, high) = (entries.startIndex, entries.endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if condition(entries[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
