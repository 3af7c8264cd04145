import Wire

/// What batches ask of the catalogue for every value, as tables by metric number: a row of the catalogue
/// is a struct with strings, too much to copy millions of times a cycle.
enum MetricTraits {
    static let count = Int(MetricID.allCases.map(\.rawValue).max() ?? 0) + 1

    /// Per-second rates and ratios are fractions, everything else is whole.
    private static let fractions: [Bool] = table { metric in
        metric.unit == .perSecond || metric.unit == .ratio
    }
    private static let gauges: [Bool] = table { $0.kind == .gauge }

    private static func table(_ trait: (Metric) -> Bool) -> [Bool] {
        var table = [Bool](repeating: false, count: count)
        for metric in Catalog.metrics { table[Int(metric.id.rawValue)] = trait(metric) }
        return table
    }

    static func isFraction(_ metric: MetricID) -> Bool { fractions[Int(metric.rawValue)] }
    static func isGauge(_ metric: MetricID) -> Bool { gauges[Int(metric.rawValue)] }
}

/// Places of a list's values by metric number, to be used again for the next list.
struct MetricPlaces {
    private var places = [Int32](repeating: -1, count: MetricTraits.count)
    private var used: [Int] = []

    subscript(metric: MetricID) -> Int? {
        get {
            let place = places[Int(metric.rawValue)]
            return place < 0 ? nil : Int(place)
        }
        set {
            if places[Int(metric.rawValue)] < 0 { used.append(Int(metric.rawValue)) }
            places[Int(metric.rawValue)] = newValue.map { Int32($0) } ?? -1
        }
    }

    mutating func removeAll() {
        for number in used { places[number] = -1 }
        used.removeAll(keepingCapacity: true)
    }
}
