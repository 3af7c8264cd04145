import Wire

/// Heapster's metric families: what stands before the first slash of a name, if it is one of four.
enum MetricFamily: String, CaseIterable, Sendable {
    case cpu, memory, network, filesystem, general

    init(of name: String) {
        self = MetricFamily(rawValue: String(name.prefix { $0 != "/" })) ?? .general
    }

    /// Its place in `allCases`.
    var index: Int {
        switch self {
        case .cpu: 0
        case .memory: 1
        case .network: 2
        case .filesystem: 3
        case .general: 4
        }
    }

    /// The field that Heapster's documents of this family have their time in.
    var timestampField: StaticString {
        switch self {
        case .cpu: "CpuMetricsTimestamp"
        case .memory: "MemoryMetricsTimestamp"
        case .network: "NetworkMetricsTimestamp"
        case .filesystem: "FilesystemMetricsTimestamp"
        case .general: "GeneralMetricsTimestamp"
        }
    }
}

/// The catalogue's metrics, family by family and in the order of their names: their *ranks*. Worked out
/// once, so that nothing is sorted or split for a set.
struct MetricFamilyOrder: Sendable {
    private let names: [String]
    /// All names as JSON strings, one after the other.
    private let quotedNames: [UInt8]
    /// By rank; its successor's is its end.
    private let quotedStarts: [Int]
    /// By the number of a metric; -1 for numbers that no metric has.
    private let rankByNumber: [Int32]
    private let rangeByFamily: [Range<Int>]

    init() {
        let sorted = Catalog.metrics.map { (family: MetricFamily(of: $0.name), metric: $0) }
            .sorted { ($0.family.index, $0.metric.name) < ($1.family.index, $1.metric.name) }
        names = sorted.map(\.metric.name)
        let quoted = names.map { Self.quoted($0) }
        quotedNames = Array(quoted.joined())
        quotedStarts = quoted.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1.count) }
        var ranks = [Int32](
            repeating: -1, count: 1 + (sorted.map { Int($0.metric.id.rawValue) }.max() ?? 0))
        for (rank, entry) in sorted.enumerated() {
            ranks[Int(entry.metric.id.rawValue)] = Int32(rank)
        }
        rankByNumber = ranks
        rangeByFamily = MetricFamily.allCases.map { family in
            let first = sorted.firstIndex { $0.family == family } ?? sorted.count
            return first..<(first + sorted.count { $0.family == family })
        }
    }

    var count: Int { names.count }
    func rank(of metric: MetricID) -> Int { Int(rankByNumber[Int(metric.rawValue)]) }
    func ranks(of family: MetricFamily) -> Range<Int> { rangeByFamily[family.index] }
    func isGeneral(_ rank: Int) -> Bool { rangeByFamily[MetricFamily.general.index].contains(rank) }
    func name(_ rank: Int) -> String { names[rank] }
    /// As a JSON string, in its quotes.
    @inline(__always)
    func appendQuotedName(_ rank: Int, to text: inout ByteCursor) {
        let range = quotedStarts[rank]..<quotedStarts[rank + 1]
        quotedNames.withUnsafeBytes { text.append(UnsafeRawBufferPointer(rebasing: $0[range])) }
    }

    @inline(__always)
    func quotedByteCount(_ rank: Int) -> Int { quotedStarts[rank + 1] - quotedStarts[rank] }

    static func quoted(_ name: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.string(name)
        return writer.bytes
    }
}
