import Wire

/// A cycle's nodes as metric sets, made once for all sinks that read them at the same time.
///
/// A batch is never in memory as a whole: the newest `windowCount` nodes are, and readers move through
/// them together. The one in front makes the next node; who comes behind finds it made. Who is further
/// behind than the window makes its nodes itself, so the one in front waits a little for slower ones,
/// `patience` in all, and for nobody that comes later than that.
///
/// ```
///   nodes   ■ ■ ■ ■ ■ ■ □ □ □ □     ■ made   □ to be made
///               └─window─┘
///               slow     front
/// ```
final class CycleReading: @unchecked Sendable {
    /// Nodes that are kept: about 180 KB each with 60 containers.
    static let windowCount = 16
    private static let slowestWait: UInt64 = 20_000_000

    private let timestamp: Int64
    private let nodes: [NodeModel]
    private let source: BatchSource
    private let clock: Clock
    /// How long a reader waits for others, nanoseconds.
    private let patience: UInt64

    private let monitor = Monitor()
    // Guarded by the monitor.
    private var window: [MadeNode] = []
    /// The next node to be made.
    private var front = 0
    private var isMaking = false
    /// Where each reader is.
    private var positions: [ObjectIdentifier: Int] = [:]

    // Belong to the reader that has set `isMaking`.
    private var builder: NodeSets?
    private var sums = BatchSums()

    /// A node's sets, as long as somebody reads them.
    private final class MadeNode: @unchecked Sendable {
        var position = -1
        /// `nil` where the node could not be read any more; it is late then.
        var sets: NodeSets.Sets? = NodeSets.Sets()
        var readerCount = 0
    }

    /// One sink on its way through the nodes.
    final class Reader {
        fileprivate var patience: UInt64
        fileprivate var builder: NodeSets?
        fileprivate init(patience: UInt64) { self.patience = patience }
    }

    init(
        _ timestamp: Int64, of nodes: [NodeModel], from source: BatchSource, clock: Clock = .system
    ) {
        self.timestamp = timestamp
        self.nodes = nodes
        self.source = source
        self.clock = clock
        let resolution = UInt64(max(1, source.cluster.configuration.resolution))
        patience = min(2_000_000_000, resolution * 1_000_000 / 5)
    }

    /// Calls `body` for each set of each node.
    ///
    /// - Returns: the sums of all nodes that could be read.
    func forEachSet<Failure: Error>(
        _ body: (borrowing MetricSet) throws(Failure) -> Void
    ) throws(Failure) -> BatchSums {
        let reader = Reader(patience: patience)
        let identity = ObjectIdentifier(reader)
        monitor.withLock { positions[identity] = 0 }
        defer { leave(identity) }
        for position in nodes.indices {
            if let made = take(position, reader) {
                defer { giveBack(made) }
                guard let sets = made.sets else { continue }
                try sets.forEachSet(body)
            } else {
                try makeAgain(position, reader, body)
            }
        }
        return monitor.withLock { sums }
    }

    /// A sink did not come to read it: all its nodes are missed.
    func noteDropped() {
        let isUnread = source.handed.setBase(BatchSums(), at: timestamp)
        for node in nodes { source.noteMissed(node, at: timestamp, isInSums: !isUnread) }
    }

    private func leave(_ identity: ObjectIdentifier) {
        monitor.withLock {
            positions[identity] = nil
            if positions.isEmpty { (window, builder) = ([], nil) }
            monitor.signal()
        }
    }

    // MARK: In the window

    /// The node at a position, made if nobody has; `nil` where the window is past it.
    private func take(_ position: Int, _ reader: Reader) -> MadeNode? {
        let slot: MadeNode? = monitor.withLock {
            positions[ObjectIdentifier(reader)] = position
            monitor.signal()
            while position >= front {
                if isMaking {
                    monitor.wait(untilNanoseconds: .max)
                } else if mustWait(reader) {
                    waitForOthers(reader)
                } else {
                    isMaking = true
                    return freeSlot()
                }
            }
            guard let made = window.first(where: { $0.position == position }) else { return nil }
            made.readerCount += 1
            return made
        }
        guard let slot, slot.position != position else { return slot }
        make(position, slot)
        monitor.withLock {
            slot.position = position
            slot.readerCount = 1
            front = position + 1
            isMaking = false
            monitor.signal()
        }
        return slot
    }

    private func giveBack(_ made: MadeNode) {
        monitor.withLock { made.readerCount -= 1 }
    }

    private func mustWait(_ reader: Reader) -> Bool {
        guard reader.patience > 0, let slowest = positions.values.min() else { return false }
        return front - slowest >= Self.windowCount
    }

    private func waitForOthers(_ reader: Reader) {
        let begin = clock.monotonicNanoseconds
        monitor.wait(untilNanoseconds: begin + min(reader.patience, Self.slowestWait))
        reader.patience -= min(reader.patience, max(1, clock.monotonicNanoseconds - begin))
    }

    /// Room for the next node: that of the oldest one, unless it is being read still.
    private func freeSlot() -> MadeNode {
        let oldest = front - Self.windowCount
        if let index = window.firstIndex(where: { $0.position <= oldest }) {
            if window[index].readerCount == 0 {
                window[index].position = -1
                return window[index]
            }
            window.remove(at: index)
        }
        let fresh = MadeNode()
        window.append(fresh)
        return fresh
    }

    private func make(_ position: Int, _ slot: MadeNode) {
        var made = slot.sets ?? NodeSets.Sets()
        slot.sets = nil
        var builder = self.builder.take() ?? source.builder(at: timestamp)
        if read(position, &builder, &made) {
            made.forEachSet { sums.add($0) }
            slot.sets = made
        } else {
            source.noteMissed(nodes[position], at: timestamp, isInSums: false)
        }
        self.builder = builder
    }

    // MARK: Behind the window

    private func makeAgain<Failure: Error>(
        _ position: Int, _ reader: Reader, _ body: (borrowing MetricSet) throws(Failure) -> Void
    ) throws(Failure) {
        source.noteMadeAgain()
        var builder = reader.builder.take() ?? source.builder(at: timestamp)
        defer { reader.builder = builder }
        var made = NodeSets.Sets()
        builder.exchange(&made)
        defer { builder.exchange(&made) }
        guard read(position, &builder, &made) else {
            return source.noteMissed(nodes[position], at: timestamp, isInSums: true)
        }
        try made.forEachSet(body)
    }

    /// False where too many cycles wait to be read; see `CycleRows`.
    private func read(
        _ position: Int, _ builder: inout NodeSets, _ made: inout NodeSets.Sets
    ) -> Bool {
        let node = nodes[position]
        guard let rows = node.cycleRows(at: timestamp), let joined = source.joined(node, rows)
        else { return false }
        builder.exchange(&made)
        builder.build(joined, rows)
        builder.exchange(&made)
        return true
    }
}
