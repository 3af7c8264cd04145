import Wire

/// A set of the catalogue's metrics: a bit for each number.
struct MetricIDSet: Sendable {
    /// A bit more than the largest number of the catalogue.
    private static let numberEnd = 512
    private var words = InlineArray<8, UInt64>(repeating: 0)

    init() {}

    init(_ metrics: some Sequence<MetricID>) { for metric in metrics { insert(metric) } }

    mutating func insert(_ metric: MetricID) {
        let (word, bit) = Self.place(of: metric)
        words[word] |= bit
    }

    mutating func remove(_ metric: MetricID) {
        let (word, bit) = Self.place(of: metric)
        words[word] &= ~bit
    }

    func contains(_ metric: MetricID) -> Bool {
        let (word, bit) = Self.place(of: metric)
        return words[word] & bit != 0
    }

    mutating func formUnion(_ other: MetricIDSet) {
        for word in words.indices { words[word] |= other.words[word] }
    }

    mutating func formIntersection(_ other: MetricIDSet) {
        for word in words.indices { words[word] &= other.words[word] }
    }

    var isEmpty: Bool { words.indices.allSatisfy { words[$0] == 0 } }

    /// The metrics' names, sorted.
    var names: [String] {
        var found: [String] = []
        for metric in Self.byName where contains(metric.id) { found.append(metric.name) }
        return found
    }

    /// Gauges: values that add up over the parts of a thing.
    static let gauges = MetricIDSet(Catalog.metrics.filter { $0.kind == .gauge }.map(\.id))

    private static let byName = Catalog.metrics.sorted { $0.name < $1.name }

    private static func place(of metric: MetricID) -> (word: Int, bit: UInt64) {
        let number = Int(metric.rawValue)
        precondition(number < numberEnd, "the catalogue has outgrown MetricIDSet")
        return (number >> 6, 1 << (number & 63))
    }
}
