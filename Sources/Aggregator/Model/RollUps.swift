import Synchronization
import Wire

/// Sums over the pods of a namespace and of the cluster, cycle by cycle, for the history window.
///
/// There is no moment of summing up: each node's frame adds that node's part to its cycle, at once
/// when it is in time and later when an outage delayed it, so late data amends a cycle by itself.
final class RollUps: Sendable {
    /// What is summed: Heapster's two and the other additive figures of a pod, and the four that the
    /// specifications of the pods say.
    static let metrics: [MetricID] = [
        .cpuUsageRate, .memoryUsage, .memoryWorkingSet, .memoryRSS, .memoryCache, .memorySwap,
        .memoryPageFaultsRate, .memoryMajorPageFaultsRate, .networkReceiveRate,
        .networkReceiveErrorsRate, .networkTransmitRate, .networkTransmitErrorsRate,
        .cpuRequest, .cpuLimit, .memoryRequest, .memoryLimit,
    ]

    /// Where the specifications' figures begin.
    static let firstOfFacts = metrics.count - 4

    private let configuration: ModelConfiguration
    private let state: Mutex<State>

    private struct State {
        let cluster: RollUpSeries
        var namespaces: [String: RollUpSeries] = [:]
        var reportingNodes = CycleCounts()
        var newestCycle: Int64 = .min
        /// Cycles that the log does not have as they are.
        var changed: Set<Int64> = []
        var isLogged = false
        /// Numbers of the cycles that are whole although the log was not read to its beginning yet, and
        /// who writes parts of the others; `nil` when all are whole.
        var parts: (whole: Set<Int64>, writer: UInt64)?
    }

    init(configuration: ModelConfiguration) {
        precondition(Self.metrics.count == RollUpRow.width)
        self.configuration = configuration
        state = Mutex(State(cluster: RollUpSeries(namespace: "")))
    }

    /// Cycles that are kept.
    var cycleCount: Int { Int(configuration.window / configuration.resolution) + 2 }

    /// The namespace's series, to be added to; whoever adds keeps it.
    func series(of namespace: String) -> RollUpSeries {
        state.withLock { state in
            if let series = state.namespaces[namespace] { return series }
            let series = RollUpSeries(namespace: namespace)
            state.namespaces[namespace] = series
            return series
        }
    }

    /// Adds one node's sums of one cycle: a row for each of these namespaces, empty for one that has
    /// no pod there any more.
    ///
    /// - Parameter isPresent: the cycle may be the newest of all.
    func add(
        cycle: Int64, _ namespaces: [RollUpSeries], _ rows: UnsafeBufferPointer<RollUpRow>,
        isPresent: Bool = true
    ) {
        let index = cycle / configuration.resolution
        let count = cycleCount
        state.withLock { state in
            if isPresent { state.newestCycle = max(state.newestCycle, cycle) }
            if state.isLogged { state.changed.insert(index) }
            state.reportingNodes.add(at: index, cycles: count)
            for (series, row) in zip(namespaces, rows) where row.present != 0 {
                if series.isForgotten {
                    series.isForgotten = false
                    state.namespaces[series.namespace] = series
                }
                series.add(row, at: index, cycles: count)
                state.cluster.add(row, at: index, cycles: count)
            }
        }
    }

    /// Notes from now on what `takeChanged` is asked for.
    func beginLogging() { state.withLock { $0.isLogged = true } }

    /// From now on only these cycles are what the log has of them, until `becomeWhole`.
    ///
    /// - Parameter writer: the number of the first segment that is written from now on.
    func beginInParts(whole: Set<Int64>, writer: UInt64) {
        state.withLock { $0.parts = (whole, writer) }
    }

    /// Puts what the log has under everything, at one moment: a commit in between would write it once more,
    /// as this process's part.
    func becomeWhole(with entries: [CycleEntry]) {
        state.withLock { state in
            for entry in entries { restore(entry, isAdded: true, present: .min, &state) }
            state.parts = nil
        }
    }

    /// The sums of the cycles that something was added to since the last question.
    func takeChanged() -> [CycleEntry] {
        let resolution = configuration.resolution
        return state.withLock { state in
            let changed = state.changed.sorted()
            state.changed.removeAll(keepingCapacity: true)
            return changed.map { index in
                let all = [state.cluster] + state.namespaces.values
                let sums = all.compactMap { series in
                    series.row(at: index).map {
                        CycleEntry.Sums(namespace: series.namespace, row: $0)
                    }
                }
                return CycleEntry(
                    index: index, resolution: resolution,
                    nodeCount: state.reportingNodes.count(at: index), sums: sums,
                    writer: state.parts.flatMap { $0.whole.contains(index) ? nil : $0.writer })
            }
        }
    }

    /// Puts the sums of a cycle in the place of what is there.
    ///
    /// - Parameters:
    ///   - isAdded: to what is there, instead.
    ///   - present: later cycles are not taken for the newest, milliseconds since the epoch.
    func restore(_ entry: CycleEntry, isAdded: Bool = false, present: Int64 = .max) {
        state.withLock { restore(entry, isAdded: isAdded, present: present, &$0) }
    }

    private func restore(
        _ entry: CycleEntry, isAdded: Bool, present: Int64, _ state: inout State
    ) {
        // A log of another resolution counts other cycles.
        guard entry.resolution == configuration.resolution else { return }
        let count = cycleCount
        let cycle = entry.index &* entry.resolution
        if cycle <= present { state.newestCycle = max(state.newestCycle, cycle) }
        let before = isAdded ? state.reportingNodes.count(at: entry.index) : 0
        state.reportingNodes.set(before + entry.nodeCount, at: entry.index, cycles: count)
        for sums in entry.sums {
            let series: RollUpSeries
            if sums.namespace.isEmpty {
                series = state.cluster
            } else if let known = state.namespaces[sums.namespace] {
                series = known
            } else {
                series = RollUpSeries(namespace: sums.namespace)
                state.namespaces[sums.namespace] = series
            }
            if isAdded {
                series.add(sums.row, at: entry.index, cycles: count)
            } else {
                series.set(sums.row, at: entry.index, cycles: count)
            }
        }
    }

    /// Changes what a node has added to a cycle, which it has added before.
    ///
    /// - Parameter differences: a row for each of these namespaces, values where they differ.
    func amend(
        cycle: Int64, _ namespaces: [RollUpSeries], _ differences: [RollUpRow]
    ) {
        let index = cycle / configuration.resolution
        let count = cycleCount
        state.withLock { state in
            if state.isLogged { state.changed.insert(index) }
            for (series, row) in zip(namespaces, differences)
            where row.present != 0 && !series.isForgotten {
                series.add(row, at: index, cycles: count)
                state.cluster.add(row, at: index, cycles: count)
            }
        }
    }

    /// The newest cycle that any node has brought; `nil` before the first.
    var newestCycle: Int64? {
        state.withLock { $0.newestCycle == .min ? nil : $0.newestCycle }
    }

    /// Cycles and sums of a metric, oldest first. `namespace` nil is the whole cluster.
    func points(_ metric: MetricID, namespace: String?) -> [(cycle: Int64, value: Double)] {
        guard let column = Self.metrics.firstIndex(of: metric) else { return [] }
        let resolution = configuration.resolution
        return state.withLock { state in
            let series = namespace.map { state.namespaces[$0] } ?? state.cluster
            return series?.points(column: column).map { ($0.index * resolution, $0.value) } ?? []
        }
    }

    /// The sums of one cycle: of the namespaces in the order of their names, and of the cluster.
    func rows(
        at cycle: Int64
    ) -> (namespaces: [(name: String, row: RollUpRow)], cluster: RollUpRow?) {
        let index = cycle / configuration.resolution
        return state.withLock { state in
            let found = state.namespaces.compactMap { name, series in
                series.row(at: index).map { (name: name, row: $0) }
            }
            return (found.sorted { $0.name < $1.name }, state.cluster.row(at: index))
        }
    }

    /// How many nodes brought a frame for a cycle, oldest first.
    var reportingNodes: [(cycle: Int64, count: Int)] {
        let resolution = configuration.resolution
        return state.withLock {
            $0.reportingNodes.counts.map { ($0.index * resolution, $0.count) }
        }
    }

    /// Namespaces with a pod in the window.
    var namespaces: [String] {
        state.withLock { $0.namespaces.filter { $0.value.newestIndex != .min }.map(\.key) }
    }

    /// Forgets namespaces whose last cycle is older than the window.
    func trim(now: Int64) {
        let oldest = (now &- configuration.window) / configuration.resolution
        state.withLock { state in
            for (name, series) in state.namespaces where series.newestIndex < oldest {
                series.isForgotten = true
                series.removeAll()
                state.namespaces[name] = nil
            }
        }
    }
}

/// The sums of a namespace: a ring of rows by cycle number; rows of older cycles are overwritten.
///
/// A reference, so that each node keeps those of its own pods. Used under the lock of `RollUps`.
final class RollUpSeries: @unchecked Sendable {
    let namespace: String
    fileprivate var isForgotten = false
    private var stamps: [Int64] = []
    private var rows: [RollUpRow] = []
    fileprivate private(set) var newestIndex: Int64 = .min

    fileprivate init(namespace: String) { self.namespace = namespace }

    fileprivate func removeAll() {
        stamps = []
        rows = []
        newestIndex = .min
    }

    fileprivate func add(_ row: RollUpRow, at index: Int64, cycles: Int) {
        if stamps.isEmpty {
            stamps = [Int64](repeating: .min, count: cycles)
            rows = [RollUpRow](repeating: RollUpRow(), count: cycles)
        }
        guard newestIndex == .min || index > newestIndex - Int64(cycles) else { return }
        newestIndex = max(newestIndex, index)
        let place = ringPlace(index, cycles)
        if stamps[place] != index {
            stamps[place] = index
            rows[place] = RollUpRow()
        }
        rows[place].add(row, else: RollUpRow())
    }

    fileprivate func row(at index: Int64) -> RollUpRow? {
        guard !stamps.isEmpty else { return nil }
        let place = ringPlace(index, stamps.count)
        return stamps[place] == index && rows[place].present != 0 ? rows[place] : nil
    }

    fileprivate func set(_ row: RollUpRow, at index: Int64, cycles: Int) {
        if let place = stamps.isEmpty ? nil : ringPlace(index, cycles), stamps[place] == index {
            rows[place] = RollUpRow()
        }
        add(row, at: index, cycles: cycles)
    }

    fileprivate func points(column: Int) -> [(index: Int64, value: Double)] {
        var found: [(index: Int64, value: Double)] = []
        for place in stamps.indices {
            let index = stamps[place]
            guard index != .min, index > newestIndex - Int64(stamps.count),
                rows[place].present & 1 << UInt32(column) != 0
            else { continue }
            found.append((index, rows[place][column]))
        }
        return found.sorted { $0.index < $1.index }
    }
}

/// A count for each of the last cycles.
private struct CycleCounts {
    private var stamps: [Int64] = []
    private var values: [Int] = []
    private var newestIndex: Int64 = .min

    mutating func add(at index: Int64, cycles: Int) {
        if stamps.isEmpty {
            stamps = [Int64](repeating: .min, count: cycles)
            values = [Int](repeating: 0, count: cycles)
        }
        guard newestIndex == .min || index > newestIndex - Int64(cycles) else { return }
        newestIndex = max(newestIndex, index)
        let place = ringPlace(index, cycles)
        if stamps[place] != index {
            stamps[place] = index
            values[place] = 0
        }
        values[place] += 1
    }

    func count(at index: Int64) -> Int {
        guard !stamps.isEmpty else { return 0 }
        let place = ringPlace(index, stamps.count)
        return stamps[place] == index ? values[place] : 0
    }

    mutating func set(_ value: Int, at index: Int64, cycles: Int) {
        add(at: index, cycles: cycles)
        let place = ringPlace(index, cycles)
        if stamps[place] == index { values[place] = value }
    }

    var counts: [(index: Int64, count: Int)] {
        zip(stamps, values).filter {
            $0.0 != .min && $0.0 > newestIndex - Int64(stamps.count)
        }.map { ($0.0, $0.1) }.sorted { $0.0 < $1.0 }
    }
}

/// Where a cycle is in a ring of so many.
private func ringPlace(_ index: Int64, _ cycles: Int) -> Int {
    let count = Int64(cycles)
    return Int(((index % count) + count) % count)
}
