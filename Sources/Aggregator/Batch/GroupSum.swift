import Wire

/// Sums over pods of every additive metric, and of requests that the catalogue does not name.
struct GroupSum: Sendable {
    /// By the index in `AdditiveMetrics.all`: whether there is a value.
    private var present: UInt64 = 0
    private var values = [Double](repeating: 0, count: AdditiveMetrics.all.count)
    /// `nvidia.com/gpu/request`.
    private var named: [String: Int64] = [:]

    /// Adds a pod.
    mutating func add(_ samples: [MetricSample]) {
        for sample in samples {
            switch sample.metric {
            case .catalogue(let metric):
                guard let index = AdditiveMetrics.index(of: metric) else { continue }
                present |= 1 << UInt64(index)
                values[index] += sample.value.double
            case .named(let name, .gauge) where name.hasSuffix("/request"):
                guard case .integer(let value) = sample.value else { continue }
                named[name, default: 0] &+= value
            case .named: continue
            }
        }
    }

    mutating func add(_ other: GroupSum) {
        present |= other.present
        for index in values.indices { values[index] += other.values[index] }
        for (name, value) in other.named { named[name, default: 0] &+= value }
    }

    /// Puts a sum that is known otherwise into the place of what was added up.
    mutating func replace(_ metric: MetricID, _ value: Double) {
        guard let index = AdditiveMetrics.index(of: metric), present >> UInt64(index) & 1 != 0
        else { return }
        values[index] = value
    }

    /// In the order of the catalogue, names that are not in it behind.
    var samples: [MetricSample] {
        var found: [MetricSample] = []
        for (index, metric) in AdditiveMetrics.all.enumerated()
        where present >> UInt64(index) & 1 != 0 {
            found.append(MetricSample(metric, MetricValue(values[index], of: metric)))
        }
        for (name, value) in named.sorted(by: { $0.key < $1.key }) {
            found.append(MetricSample(.named(name, .gauge), .integer(value)))
        }
        return found
    }
}
