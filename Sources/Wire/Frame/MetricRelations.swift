/// Sums that hold between metrics of one subject, exactly or nearly, on some kernel at least.
///
/// Only the agent uses them, to write predictions into its schemas; a decoder takes the schema as it
/// was sent. So this table may change from version to version.
enum MetricRelations {
    /// `total` is about the sum of `parts` less the sum of `less`.
    private struct Sum {
        let total: MetricID
        let parts: [MetricID]
        var less: [MetricID] = []
    }

    /// In order of preference: the first that fits a column is taken.
    private static let sums: [Sum] = [
        // cgroup v2 cpu.stat: exact in microseconds.
        Sum(total: .cpuUsage, parts: [.cpuUser, .cpuSystem]),
        // /proc/meminfo, exact.
        Sum(
            total: .memoryAvailable,
            parts: [
                .memoryFree, .memoryActiveFile, .memoryInactiveFile, .memorySlabReclaimable,
            ]),
        // memory.stat: lists of pages against their charges.
        Sum(
            total: .memoryRSS, parts: [.memoryActiveAnon, .memoryInactiveAnon],
            less: [.memoryShmem]),
        Sum(total: .memoryRSS, parts: [.memoryActiveAnon, .memoryInactiveAnon]),
        Sum(
            total: .memoryCache, parts: [.memoryActiveFile, .memoryInactiveFile, .memoryShmem]),
        Sum(total: .memoryCache, parts: [.memoryActiveFile, .memoryInactiveFile]),
        Sum(total: .memoryUsage, parts: [.memoryRSS, .memoryCache, .memoryKernel]),
        Sum(total: .memoryUsage, parts: [.memoryRSS, .memoryCache]),
        Sum(total: .memoryUsage, parts: [.memoryWorkingSet, .memoryInactiveFile]),
        // Nearly every new anonymous page is a fault.
        Sum(total: .memoryPageFaults, parts: [.memoryRSS]),
    ]

    static func predictions(for fields: [SchemaField]) -> [Prediction] {
        var columns: [UInt16: Int] = [:]
        for (column, field) in fields.enumerated() where columns[field.metric] == nil {
            columns[field.metric] = column
        }
        var predictions: [Int: Prediction] = [:]
        for sum in sums {
            let all = [(sum.total, -1)] + sum.parts.map { ($0, 1) } + sum.less.map { ($0, -1) }
            let members = all.compactMap { id, sign in
                columns[id.rawValue].map { (column: $0, sign: sign) }
            }
            guard members.count == all.count, let last = members.max(by: { $0.column < $1.column }),
                predictions[last.column] == nil,
                let terms = terms(members, predicting: last, fields)
            else { continue }
            predictions[last.column] = Prediction(column: last.column, .sum(terms))
        }
        return predictions.values.sorted { $0.column < $1.column }
    }

    /// The sum solved for its last column; `nil` where granularities do not allow whole weights.
    private static func terms(
        _ members: [(column: Int, sign: Int)], predicting last: (column: Int, sign: Int),
        _ fields: [SchemaField]
    ) -> [Prediction.Term]? {
        var terms: [Prediction.Term] = []
        for member in members where member.column != last.column {
            var unit = fields[member.column].granularity
            // Page faults count pages, RSS has bytes of pages.
            if fields[last.column].metric == MetricID.memoryPageFaults.rawValue { unit = 1 }
            let (weight, rest) = unit.quotientAndRemainder(
                dividingBy: fields[last.column].granularity)
            guard rest == 0, weight <= 1_000_000 else { return nil }
            let sign = member.sign * last.sign < 0 ? 1 : -1
            terms.append(
                Prediction.Term(column: member.column, weight: Int32(sign) * Int32(weight)))
        }
        return terms
    }
}
