import Wire

/// How the keys of one flat keyed file become metrics: the file's table, and its reader.
///
/// A key that this kernel's file does not have has no column, so one table serves every release.
struct KeyedMetrics {
    /// One metric, a multiple of one key.
    struct Row {
        let metric: MetricID
        let key: StaticString
        /// Catalogue units per unit of the file.
        let scale: Int64
        /// Every value of the metric is a multiple of it.
        let granularity: UInt32

        /// `granularity` defaults to the scale: bytes from kB are multiples of 1,024.
        init(_ metric: MetricID, _ key: StaticString, scale: Int64 = 1, granularity: UInt32? = nil)
        {
            self.metric = metric
            self.key = key
            self.scale = scale
            self.granularity = granularity ?? UInt32(clamping: scale)
        }
    }

    let rows: [Row]
    private var file: FlatKeyedFile

    /// - Parameter otherKeys: keys whose values are wanted, but are no metric by themselves. They
    ///   come after the rows' in `values`.
    init(_ rows: [Row], otherKeys: [StaticString] = []) {
        self.rows = rows
        file = FlatKeyedFile(keys: rows.map(\.key) + otherKeys)
    }

    /// The number of values that `parse` writes to.
    var valueCount: Int { file.keys.count }

    /// Raw values by row, then by other key; see `FlatKeyedFile.parse`.
    @inline(__always)
    mutating func parse(
        _ text: KernelText, into values: UnsafeMutablePointer<Int64>
    ) throws(KernelTextError) -> FlatKeyedFile.Found {
        try file.parse(text, into: values)
    }

    /// The columns of a file in which these keys were found, in the order of `write`.
    func fields(of found: FlatKeyedFile.Found) -> [SchemaField] {
        rows.indices.filter { found & 1 << FlatKeyedFile.Found($0) != 0 }.map {
            SchemaField(rows[$0].metric, granularity: rows[$0].granularity)
        }
    }

    /// Writes the found rows in catalogue units, and returns how many there were.
    @inline(__always)
    func write(
        _ values: UnsafePointer<Int64>, found: FlatKeyedFile.Found,
        to columns: UnsafeMutablePointer<Int64>
    ) -> Int {
        var column = 0
        for row in 0..<rows.count where found & 1 << FlatKeyedFile.Found(row) != 0 {
            columns[column] = values[row] &* rows[row].scale
            column += 1
        }
        return column
    }
}
