import Synchronization
import Wire

/// Sorts the records of batches by what they are about: nodes, names, sums.
final class LogCollector {
    /// By name of the node.
    private(set) var restorers: [String: NodeRestorer] = [:]
    var cycles = RestoredCycles()
    private(set) var names = RestoredNames()
    /// Records that make no sense.
    private(set) var lossCount = 0
    /// When the last batch was closed, milliseconds since the epoch; 0 without one.
    private(set) var newestTime: Int64 = 0
    private let make: (String) -> NodeRestorer?

    /// - Parameter make: who takes a node's records; `nil` for a node that is not wanted.
    init(_ make: @escaping (String) -> NodeRestorer?) { self.make = make }

    func take(_ batch: borrowing LogBatches.Contents) {
        newestTime = max(newestTime, batch.time)
        let names = batch.names
        var byNumber: [UInt32: NodeRestorer] = [:]
        batch.visit { record in
            switch record.kind {
            case .metadata: self.names.take(record)
            case .cycle, .cyclePart: takeCycle(record)
            case .node, .batchBegin, .batchEnd, .continuation, .departure: break
            case .chain, .subjects, .frame, .gap, .nodeState, .chainState, .facts:
                if let known = byNumber[record.node] { return known.hold(record) }
                guard let name = names[record.node] else {
                    lossCount += 1
                    return
                }
                guard let restorer = restorers[name] ?? make(name) else { return }
                restorers[name] = restorer
                byNumber[record.node] = restorer
                restorer.hold(record)
            }
        }
    }

    private func takeCycle(_ record: LogRecord.View) {
        do throws(WireError) {
            try cycles.take(record)
        } catch {
            lossCount += 1
        }
    }

    /// Runs `body` for each node on a few threads.
    func parallel(
        _ threadCount: Int, _ body: @escaping @Sendable (NodeRestorer) -> Void
    ) {
        let restorers = Array(restorers.values)
        let work = RestoreWork(restorers, body)
        var threads: [SystemThread] = []
        for number in 1..<max(1, min(threadCount, restorers.count)) {
            do throws(TransportError) {
                threads.append(
                    try SystemThread.start(name: "restore-\(number)", stackByteCount: 8 << 20) {
                        work.run()
                    })
            } catch {
                Diagnostics.warning("\(error); the log is read by fewer threads")
            }
        }
        work.run()
        for thread in threads { thread.join() }
    }
}

/// The sums of cycles as the log has them: the last whole one, and what each process put on top of it
/// since.
struct RestoredCycles {
    private var whole: [Int64: CycleEntry] = [:]
    /// By cycle and writer; a writer's last has all that it added.
    private var parts: [Int64: [UInt64: CycleEntry]] = [:]

    /// - Parameter record: a `cycle` or a `cyclePart`, in the order of the log.
    mutating func take(_ record: LogRecord.View) throws(WireError) {
        take(try CycleEntry(decoding: record.payload, isPart: record.kind == .cyclePart))
    }

    mutating func take(_ entry: CycleEntry) {
        if let writer = entry.writer {
            parts[entry.index, default: [:]][writer] = entry
        } else {
            whole[entry.index] = entry
            parts[entry.index] = nil
        }
    }

    /// Takes what a later piece of the log has of cycles that are whole here only.
    mutating func take(_ later: RestoredCycles) {
        for (index, byWriter) in later.parts {
            parts[index, default: [:]].merge(byWriter) { $1 }
        }
    }

    /// Numbers of the cycles that need nothing from before.
    var wholeIndices: Set<Int64> { Set(whole.keys) }

    /// Takes out the cycles that need something from before.
    mutating func removeUnfounded() -> RestoredCycles {
        var unfounded = RestoredCycles()
        unfounded.parts = parts.filter { whole[$0.key] == nil }
        for index in unfounded.parts.keys { parts[index] = nil }
        return unfounded
    }

    private func entries(_ index: Int64) -> [CycleEntry] {
        let own = (parts[index] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
        return (whole[index].map { [$0] } ?? []) + own
    }

    private var indices: [Int64] { Set(whole.keys).union(parts.keys).sorted() }

    /// Puts them in the place of what is there.
    ///
    /// - Parameter present: later cycles are of nodes whose clocks are ahead.
    func restore(_ rollUps: RollUps, present: Int64 = .max) {
        for index in indices {
            for (number, entry) in entries(index).enumerated() {
                rollUps.restore(entry, isAdded: number > 0, present: present)
            }
        }
    }

    /// What is to be put under what is there.
    ///
    /// - Parameter known: numbers of the cycles that are whole there.
    func entries(except known: Set<Int64>) -> [CycleEntry] {
        indices.filter { !known.contains($0) }.flatMap { entries($0) }
    }
}

/// Nodes that several threads take from, each node by one.
private final class RestoreWork: @unchecked Sendable {
    private let restorers: [NodeRestorer]
    private let body: @Sendable (NodeRestorer) -> Void
    private let next = Atomic<Int>(0)

    init(_ restorers: [NodeRestorer], _ body: @escaping @Sendable (NodeRestorer) -> Void) {
        self.restorers = restorers
        self.body = body
    }

    func run() {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            guard index < restorers.count else { return }
            body(restorers[index])
        }
    }
}
