/// The series of one `Family.Source`.
struct SourceSeries {
    /// When the thing started, milliseconds since the epoch.
    let start: Int64
    /// In the order of the cycles.
    let points: [(cycle: Int64, value: Double)]

    /// One series of all: where several have a cycle, the value of the one that started last.
    static func combine(_ all: [SourceSeries]) -> [(cycle: Int64, value: Double)] {
        if all.count == 1 { return all[0].points }
        var byCycle: [Int64: Double] = [:]
        for series in all.sorted(by: { $0.start < $1.start }) {
            for point in series.points { byCycle[point.cycle] = point.value }
        }
        return byCycle.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    /// Adds up, cycle by cycle.
    static func sum(
        _ all: [[(cycle: Int64, value: Double)]]
    ) -> [(cycle: Int64, value: Double)] {
        if all.count == 1 { return all[0] }
        var byCycle: [Int64: Double] = [:]
        for points in all {
            for point in points { byCycle[point.cycle, default: 0] += point.value }
        }
        return byCycle.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }
}
