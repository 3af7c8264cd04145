import Synchronization
import Wire

/// Keeps the process within its memory, so that the kernel never has to end it.
///
/// ```
///  85 %  history shortens: first of nodes that nobody asks about, then of the others, to the least
///  92 %  histories are dropped whole; the node with the most subjects may have no more
///  95 %  no node may have more subjects, no new node comes
/// ```
/// Below 75 % history may grow again. History is whole frames, of which no single metric can be taken
/// out without encoding all of them anew, so it is nodes that are ranked by what is asked, not metrics.
/// Called by one thread at a time.
final class MemoryKeeper: @unchecked Sendable {
    /// In the order in which their history is to be shortened.
    struct Nodes {
        /// Nobody has asked for their history within the window.
        var unasked: [NodeModel]
        var asked: [NodeModel]
    }

    /// Thousandths of the limit.
    private enum Threshold {
        static let restore = 750
        static let target = 830
        static let shorten = 850
        /// A gate that was closed or narrow opens below.
        static let open = 900
        static let narrow = 920
        static let closed = 950
    }

    struct Status: Sendable, Equatable {
        var used = 0
        /// With what subjects that were admitted a moment ago will take, for the gate.
        var expected = 0
        /// Milliseconds of history that nodes keep.
        var unaskedWindow: Int64
        var askedWindow: Int64
        var freedBytes: UInt64 = 0
        /// Histories that were dropped whole.
        var droppedHistories: UInt64 = 0
    }

    let limit: MemoryLimit
    private let cluster: Cluster
    /// Resident bytes; `nil` where nobody knows.
    private let usage: @Sendable () -> Int?
    /// Gives what is free back to the kernel.
    private let release: @Sendable () -> Void
    private let shown: Mutex<Status>
    private let diagnostics = LimitedDiagnostics(perMinute: 6)

    // The thread's own.
    private var status: Status
    private var nextRelief: UInt64 = 0
    private var nextRestore: UInt64 = 0
    /// Looks of the last moments, oldest first.
    private var looks: [Look] = []

    private struct Look {
        /// Monotonic nanoseconds.
        let time: UInt64
        let used: Int
        /// Subjects that the gate had admitted until then.
        let admitted: Int
    }

    private static let reliefNanoseconds: UInt64 = 1_000_000_000
    /// What a subject takes with everything about it, taken high (measured: 1.1 kB).
    private static let bytesPerSubject = 1_536
    /// Less history than so many thousandths of the limit is a few seconds, and the bases.
    private static let worthDropping = 20
    /// A subject's memory is taken by its first frames, some time after it was admitted.
    private static let stepsUntilTaken: Int64 = 3
    private static let leastUntilTaken: UInt64 = 5_000_000_000
    /// Nodes between two looks at how much is used.
    private static let nodesPerLook = 16

    init(
        _ limit: MemoryLimit, cluster: Cluster,
        usage: @escaping @Sendable () -> Int? = { ProcessMemory.residentByteCount() },
        release: @escaping @Sendable () -> Void = { ProcessMemory.release() }
    ) {
        self.limit = limit
        self.cluster = cluster
        self.usage = usage
        self.release = release
        let window = cluster.configuration.window
        status = Status(unaskedWindow: window, askedWindow: window)
        shown = Mutex(status)
    }

    /// Never less than what three steps of silence need.
    private var leastWindow: Int64 {
        let configuration = cluster.configuration
        return min(configuration.window, max(60_000, 3 * configuration.resolution))
    }

    /// As of the last turn.
    var current: Status { shown.withLock { $0 } }

    /// Looks at how much is used, and does what that asks for.
    ///
    /// - Parameter nodes: asked only when history has to give way or may grow.
    func turn(_ now: UInt64, nodes: () -> Nodes) {
        forgetLooks(now)
        guard var share = look() else { return }
        looks.append(Look(time: now, used: status.used, admitted: cluster.gate.admittedCount))
        if share >= Threshold.shorten, now >= nextRelief {
            nextRelief = now + Self.reliefNanoseconds
            let freed = relieve(nodes())
            if freed > 0 {
                release()
                share = look() ?? share
                report(freed, share)
            }
        } else if share < Threshold.restore, isShortened, now >= nextRestore {
            nextRestore = now + UInt64(cluster.configuration.trimInterval) * 1_000_000
            restore(nodes())
        }
        shown.withLock { [status] in $0 = status }
    }

    private var isShortened: Bool {
        min(status.unaskedWindow, status.askedWindow) < cluster.configuration.window
    }

    private func forgetLooks(_ now: UInt64) {
        let steps = UInt64(max(0, Self.stepsUntilTaken * cluster.configuration.resolution))
        let period = max(Self.leastUntilTaken, steps * 1_000_000)
        looks.removeAll { now &- $0.time > period }
    }

    /// What will be used when every subject that was admitted has its memory.
    private func expect(_ used: Int) -> Int {
        let admitted = cluster.gate.admittedCount
        return looks.reduce(used) { most, look in
            let new = admitted &- look.admitted
            return new > 0 ? max(most, look.used + new * Self.bytesPerSubject) : most
        }
    }

    /// Sets the gate by how much is used, and by what was admitted and will be.
    ///
    /// - Returns: thousandths of the limit that are used; `nil` where nobody knows.
    private func look() -> Int? {
        guard let used = usage() else { return nil }
        let expected = expect(used)
        (status.used, status.expected) = (used, expected)
        let thousandth = max(1, limit.byteCount / 1_000)
        let share = used / thousandth
        let before = cluster.gate.level
        let level = Self.level(expected / thousandth, before: before)
        var words = "\(used >> 20) MiB of \(limit.byteCount >> 20) MiB, --memory-limit"
        if expected > used { words += ", \(expected >> 20) MiB with what has just come" }
        let room = limit.byteCount / 1_000 * Threshold.closed - expected
        cluster.gate.set(
            level, largest: level == .narrow ? largestNode : nil,
            subjects: max(0, room) / Self.bytesPerSubject, words: words)
        if level != before { announce(level, words) }
        return share
    }

    private static func level(_ share: Int, before: MemoryGate.Level) -> MemoryGate.Level {
        if share >= Threshold.closed { return .closed }
        if before == .closed, share >= Threshold.narrow { return .closed }
        if share >= Threshold.narrow { return .narrow }
        return before != .open && share >= Threshold.open ? .narrow : .open
    }

    private var largestNode: NodeModel? {
        cluster.nodes.map { ($0, $0.read { $0.subjectCount }) }.max { $0.1 < $1.1 }?.0
    }

    private func announce(_ level: MemoryGate.Level, _ words: String) {
        switch level {
        case .open: Diagnostics.info("memory: \(words): new subjects and nodes are taken again")
        case .narrow:
            let name = largestNode.map { $0.name } ?? "none"
            diagnostics.warning(
                "memory: \(words): the largest node, \(name), may have no more subjects")
        case .closed:
            diagnostics.warning("memory: \(words): no new subjects and no new nodes are taken")
        }
    }

    private func report(_ freed: Int, _ share: Int) {
        let unasked = describeDuration(milliseconds: status.unaskedWindow)
        let asked = describeDuration(milliseconds: status.askedWindow)
        diagnostics.warning(
            "memory: history shortened, \(freed >> 20) MiB given back, \(share / 10) % of "
                + "--memory-limit used; kept: \(asked) of nodes that are asked about, \(unasked) of others"
        )
    }

    // MARK: Less history

    /// As of the last look.
    private var isUrgent: Bool { status.used >= limit.byteCount / 1_000 * Threshold.narrow }

    /// - Returns: bytes that were given back.
    private func relieve(_ nodes: Nodes) -> Int {
        let needed = status.used - limit.byteCount / 1_000 * Threshold.target
        var relief = Relief(needed: needed)
        if !isUrgent {
            shorten(nodes.unasked, \.unaskedWindow, &relief)
            shorten(nodes.asked, \.askedWindow, &relief)
        } else {
            // There is no time to decode what is to be dropped; nor to drop what is next to nothing.
            let all = nodes.unasked + nodes.asked
            let historyBytes = all.reduce(0) { $0 + $1.statistics.historyBytes }
            guard historyBytes >= limit.byteCount / 1_000 * Self.worthDropping else { return 0 }
            for node in all where !relief.isDone {
                let freed = node.dropHistory()
                if freed > 0 { status.droppedHistories &+= 1 }
                note(freed, &relief)
            }
        }
        status.freedBytes &+= UInt64(relief.freed)
        return relief.freed
    }

    private struct Relief {
        let needed: Int
        var freed = 0
        var nodes = 0
        var isDone: Bool { freed >= needed }
    }

    /// Nodes may come while this goes on.
    private func note(_ freed: Int, _ relief: inout Relief) {
        relief.freed += freed
        relief.nodes += 1
        guard relief.nodes.isMultiple(of: Self.nodesPerLook) else { return }
        _ = look()
    }

    /// Makes the window of these nodes shorter, node by node, until there is enough or it is the least.
    private func shorten(
        _ nodes: [NodeModel], _ window: WritableKeyPath<Status, Int64>, _ relief: inout Relief
    ) {
        guard !nodes.isEmpty else { return }
        while !relief.isDone {
            for node in nodes where node.historyWindow > status[keyPath: window] {
                let freed = node.shortenHistory(to: status[keyPath: window])
                note(freed, &relief)
                // The next turn drops them whole.
                if relief.isDone || isUrgent { return }
            }
            guard status[keyPath: window] > leastWindow else { return }
            status[keyPath: window] = max(leastWindow, status[keyPath: window] / 4 * 3)
        }
    }

    private func restore(_ nodes: Nodes) {
        let configured = cluster.configuration.window
        // The other way round: those that are asked about get theirs back first.
        if status.askedWindow < configured {
            status.askedWindow = min(configured, status.askedWindow / 4 * 5)
        } else {
            status.unaskedWindow = min(configured, status.unaskedWindow / 4 * 5)
        }
        for node in nodes.asked {
            node.shortenedWindow.store(status.askedWindow, ordering: .relaxed)
        }
        for node in nodes.unasked {
            node.shortenedWindow.store(status.unaskedWindow, ordering: .relaxed)
        }
    }
}
