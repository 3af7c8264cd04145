import Synchronization
import Wire

/// Sums over the pods of a namespace and of the cluster, cycle by cycle, for the history window.
///
/// There is no moment of summing up: each node's frame adds that node's part to its cycle, at once
/// when it is in time and later when an outage delayed it, so late data amends a cycle by itself.
final class RollUps: Sendable {
    /// What is summed: Heapster's two and the other additive figures of a pod.
    static let metrics: [MetricID] = [
        .cpuUsageRate, .memoryUsage, .memoryWorkingSet, .memoryRSS, .memoryCache, .memorySwap,
        .memoryPageFaultsRate, .memoryMajorPageFaultsRate, .networkReceiveRate,
        .networkReceiveErrorsRate, .networkTransmitRate, .networkTransmitErrorsRate,
    ]

    private let configuration: ModelConfiguration
    private let state = Mutex(State())

    private struct State {
        var cluster = CycleSeries()
        var namespaces: [String: CycleSeries] = [:]
        var reportingNodes = CycleSeries()
        var newestCycle: Int64 = .min
    }

    init(configuration: ModelConfiguration) { self.configuration = configuration }

    private var cycleCount: Int {
        Int(configuration.window / configuration.resolution) + 2
    }

    /// Adds one node's sums of one cycle. `nan` stands for a metric that no pod had.
    func add(cycle: Int64, sums: [String: [Double]]) {
        let index = cycle / configuration.resolution
        let (count, width) = (cycleCount, Self.metrics.count)
        state.withLock { state in
            state.newestCycle = max(state.newestCycle, cycle)
            state.reportingNodes.add([1], at: index, cycles: count, width: 1)
            for (namespace, values) in sums {
                state.namespaces[namespace, default: CycleSeries()]
                    .add(values, at: index, cycles: count, width: width)
                state.cluster.add(values, at: index, cycles: count, width: width)
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
            return series?.points(column: column, width: Self.metrics.count)
                .map { ($0.index * resolution, $0.value) } ?? []
        }
    }

    /// How many nodes brought a frame for a cycle, oldest first.
    var reportingNodes: [(cycle: Int64, count: Int)] {
        let resolution = configuration.resolution
        return state.withLock {
            $0.reportingNodes.points(column: 0, width: 1)
                .map { ($0.index * resolution, Int($0.value)) }
        }
    }

    /// Namespaces with a pod in the window.
    var namespaces: [String] { state.withLock { Array($0.namespaces.keys) } }

    /// Forgets namespaces whose last cycle is older than the window.
    func trim(now: Int64) {
        let oldest = (now &- configuration.window) / configuration.resolution
        state.withLock { state in
            state.namespaces = state.namespaces.filter { $0.value.newestIndex >= oldest }
        }
    }
}

/// A ring of rows by cycle number; rows of older cycles are overwritten.
private struct CycleSeries {
    private var stamps: [Int64] = []
    private var values: [Double] = []
    private(set) var newestIndex: Int64 = .min

    mutating func add(_ row: [Double], at index: Int64, cycles: Int, width: Int) {
        if stamps.isEmpty {
            stamps = [Int64](repeating: .min, count: cycles)
            values = [Double](repeating: .nan, count: cycles * width)
        }
        guard newestIndex == .min || index > newestIndex - Int64(cycles) else { return }
        newestIndex = max(newestIndex, index)
        let place = Int(((index % Int64(cycles)) + Int64(cycles)) % Int64(cycles))
        let start = place * width
        if stamps[place] != index {
            stamps[place] = index
            for column in 0..<width { values[start + column] = .nan }
        }
        for column in 0..<width where !row[column].isNaN {
            let old = values[start + column]
            values[start + column] = (old.isNaN ? 0 : old) + row[column]
        }
    }

    func points(column: Int, width: Int) -> [(index: Int64, value: Double)] {
        var found: [(index: Int64, value: Double)] = []
        for place in stamps.indices {
            let (index, value) = (stamps[place], values[place * width + column])
            guard index != .min, index > newestIndex - Int64(stamps.count), !value.isNaN else {
                continue
            }
            found.append((index, value))
        }
        return found.sorted { $0.index < $1.index }
    }
}
