/// An aggregation of the historical API over the points of a bucket.
enum Aggregation: String, CaseIterable, Sendable {
    case average, max, min, median, count
    case percentile50 = "50-perc"
    case percentile95 = "95-perc"
    case percentile99 = "99-perc"

    /// A comma-separated list, as it stands in a path.
    static func list(_ text: String) throws(SeriesQuery.Invalid) -> [Aggregation] {
        var found: [Aggregation] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let one = Aggregation(rawValue: String(part)) else {
                throw SeriesQuery.Invalid(message: "Unknown aggregation \"\(part)\"")
            }
            found.append(one)
        }
        return found
    }

    /// - Parameter sorted: the values in rising order, at least one.
    /// - Returns: `nil` where there are too few for a percentile.
    func value(of sorted: [Double]) -> Double? {
        switch self {
        case .average: return sorted.reduce(0, +) / Double(sorted.count)
        case .max: return sorted.last
        case .min: return sorted.first
        case .count: return Double(sorted.count)
        case .median:
            let middle = sorted.count / 2
            return sorted.count % 2 == 1
                ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
        case .percentile50: return Self.percentile(50, sorted)
        case .percentile95: return Self.percentile(95, sorted)
        case .percentile99: return Self.percentile(99, sorted)
        }
    }

    /// The nearest rank, as InfluxDB's PERCENTILE.
    private static func percentile(_ percent: Int, _ sorted: [Double]) -> Double? {
        let rank = (sorted.count * percent + 50) / 100 - 1
        return sorted.indices.contains(rank) ? sorted[rank] : nil
    }
}

/// The length of a bucket: digits and `ms`, `s`, `m`, `h` or `d`.
enum BucketSize {
    /// Milliseconds; the words of errors are Heapster's.
    static func parse(_ text: String) throws(SeriesQuery.Invalid) -> Int64 {
        guard text.utf8.count >= 2 else {
            throw SeriesQuery.Invalid(
                message: "unable to parse bucket size: \"\(text)\" is too short to be a duration")
        }
        let units: [(suffix: String, milliseconds: Int64)] = [
            ("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
        ]
        guard let unit = units.first(where: { text.hasSuffix($0.suffix) }) else {
            throw SeriesQuery.Invalid(
                message: "unable to parse bucket size: \"\(text)\" has no known duration suffix")
        }
        let digits = text.dropLast(unit.suffix.count)
        guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 &- 0x30 < 10 }) else {
            throw SeriesQuery.Invalid(
                message: "strconv.ParseUint: parsing \"\(digits)\": invalid syntax")
        }
        guard let count = Int64(digits) else {
            throw SeriesQuery.Invalid(
                message: "strconv.ParseUint: parsing \"\(digits)\": value out of range")
        }
        let (size, overflow) = count.multipliedReportingOverflow(by: unit.milliseconds)
        guard !overflow, size > 0, size <= Int64.max / 1_000_000 else {
            throw SeriesQuery.Invalid(
                message: "unable to parse bucket size: \"\(text)\" is not a usable duration")
        }
        return size
    }
}

/// Points by bucket, aggregated.
struct BucketTable {
    struct Row {
        /// Milliseconds since the epoch.
        let start: Int64
        /// In the order of the aggregations.
        let values: [Double?]
    }

    let aggregations: [Aggregation]
    /// Milliseconds; 0 for one bucket over everything.
    let size: Int64
    let rows: [Row]

    /// - Parameter start: of the question; where the only bucket begins when there is no size.
    init(
        _ points: [SeriesPoint], aggregations: [Aggregation], size: Int64, start: Int64
    ) {
        self.aggregations = aggregations
        self.size = size
        var buckets: [(start: Int64, values: [Double])] = []
        for point in points {
            var bucket = start
            if size > 0 {
                let rest = point.cycle % size
                bucket = point.cycle - (rest < 0 ? rest + size : rest)
            }
            if buckets.last?.start != bucket { buckets.append((bucket, [])) }
            buckets[buckets.count - 1].values.append(point.value.double)
        }
        rows = buckets.map { bucket in
            let sorted = bucket.values.sorted()
            return Row(start: bucket.start, values: aggregations.map { $0.value(of: sorted) })
        }
    }

    /// As a store has worked them out.
    init(_ rows: [Row], aggregations: [Aggregation], size: Int64) {
        self.aggregations = aggregations
        self.size = size
        self.rows = rows
    }

    func write(into writer: inout JSONWriter) {
        // A column is whole if all of it is, as in Heapster.
        let isWhole = aggregations.indices.map { column in
            rows.allSatisfy { row in row.values[column].map { $0 == $0.rounded() } ?? true }
        }
        writer.beginObject()
        writer.key("buckets")
        writer.beginArray()
        for row in rows {
            writer.beginObject()
            writer.key("timestamp")
            writer.time(milliseconds: row.start)
            write(row, isWhole, into: &writer)
            writer.endObject()
        }
        writer.endArray()
        writer.key("bucketSize")
        writer.integer(size &* 1_000_000)
        writer.endObject()
    }

    private func write(_ row: Row, _ isWhole: [Bool], into writer: inout JSONWriter) {
        func place(_ aggregation: Aggregation) -> Int? {
            aggregations.firstIndex(of: aggregation).flatMap {
                row.values[$0] == nil ? nil : $0
            }
        }
        if let column = place(.count) {
            writer.key("count")
            writer.integer(Int64(row.values[column] ?? 0))
        }
        let plain: [(Aggregation, StaticString)] = [
            (.average, "average"), (.max, "maximum"), (.min, "minimum"), (.median, "median"),
        ]
        for (aggregation, key) in plain {
            guard let column = place(aggregation) else { continue }
            writer.key(key)
            write(row.values[column] ?? 0, isWhole: isWhole[column], into: &writer)
        }
        let percentiles: [(Aggregation, StaticString)] = [
            (.percentile50, "50"), (.percentile95, "95"), (.percentile99, "99"),
        ]
        guard percentiles.contains(where: { place($0.0) != nil }) else { return }
        writer.key("percentiles")
        writer.beginObject()
        for (aggregation, key) in percentiles {
            guard let column = place(aggregation) else { continue }
            writer.key(key)
            write(row.values[column] ?? 0, isWhole: isWhole[column], into: &writer)
        }
        writer.endObject()
    }

    private func write(_ value: Double, isWhole: Bool, into writer: inout JSONWriter) {
        writer.beginObject()
        if isWhole, let whole = Int64(exactly: value) {
            writer.key("intValue")
            writer.integer(whole)
        } else {
            writer.key("floatValue")
            writer.double(value)
        }
        writer.endObject()
    }
}
