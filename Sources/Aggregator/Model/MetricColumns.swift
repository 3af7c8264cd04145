import Wire

/// Where a schema's metrics are: columns of a row, and places among its rates. Shared by all subjects
/// of a schema.
final class MetricColumns: Sendable {
    let schema: Schema
    /// Metrics of the catalogue that a row has, without the read time's offset, in the order of the
    /// catalogue, with their columns.
    let columns: [(metric: MetricID, column: Int)]
    /// Rates in the order of the catalogue, with their places for `LiveRows.rate`.
    let rates: [(metric: MetricID, index: Int)]
    let readOffsetColumn: Int?
    /// By metric number: the column plus one.
    private let columnOf: [UInt8]

    init(schema: Schema, rates: [MetricID]) {
        self.schema = schema
        var columns: [(metric: MetricID, column: Int)] = []
        var columnOf = [UInt8](repeating: 0, count: Self.numberEnd)
        for (column, field) in schema.fields.enumerated() {
            guard let metric = MetricID(rawValue: field.metric), metric != .readOffset else {
                continue
            }
            columns.append((metric, column))
            if column < 255 { columnOf[Int(field.metric)] = UInt8(column + 1) }
        }
        self.columns = columns.sorted { $0.metric.rawValue < $1.metric.rawValue }
        self.columnOf = columnOf
        self.rates = rates.enumerated().map { ($0.element, $0.offset) }
            .sorted { $0.metric.rawValue < $1.metric.rawValue }
        readOffsetColumn = schema.column(of: .readOffset)
    }

    private static let numberEnd = Int(MetricID.allCases.map(\.rawValue).max() ?? 0) + 1

    func column(of metric: MetricID) -> Int? {
        let place = columnOf[Int(metric.rawValue)]
        return place > 0 ? Int(place) - 1 : nil
    }

    func rateIndex(of metric: MetricID) -> Int? { rates.first { $0.metric == metric }?.index }
}
