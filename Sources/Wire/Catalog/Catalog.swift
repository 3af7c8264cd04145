/// The metric catalogue: the one table from which every list of metrics in the project is derived
/// (API names, Prometheus names, sink names, documentation).
public enum Catalog {
    /// The row of a metric.
    public static func metric(_ id: MetricID) -> Metric { metrics[Int(rowOfID[Int(id.rawValue)])] }

    /// The metric of that name (`cpu/usage`), `nil` where there is none.
    public static func metric(named name: String) -> Metric? { metricOfName[name] }

    /// Row numbers by metric number; `UInt16.max` where a number is not in use.
    private static let rowOfID: [UInt16] = {
        var rows = [UInt16](repeating: .max, count: Int(metrics.map(\.id.rawValue).max() ?? 0) + 1)
        for (row, metric) in metrics.enumerated() { rows[Int(metric.id.rawValue)] = UInt16(row) }
        return rows
    }()

    private static let metricOfName: [String: Metric] = Dictionary(
        metrics.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
}
