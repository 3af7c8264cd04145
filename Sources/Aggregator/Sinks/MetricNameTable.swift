import Wire

/// How the metrics are called in one sink, worked out once for the whole catalogue.
struct MetricNameTable: Sendable {
    /// All names, one after the other.
    private var names: [UInt8] = []
    /// Where the name of a metric number begins; its successor's begin is its end.
    private var starts: [Int32]
    private let spelling: @Sendable (MetricKey) -> String

    /// - Parameter spelling: the sink's name of a metric, escaped as the format needs it.
    init(_ spelling: @escaping @Sendable (MetricKey) -> String) {
        self.spelling = spelling
        let last = Catalog.metrics.map { Int($0.id.rawValue) }.max() ?? 0
        starts = []
        for number in 0...last {
            starts.append(Int32(names.count))
            guard let id = MetricID(rawValue: UInt16(number)) else { continue }
            names.append(contentsOf: spelling(.catalogue(id)).utf8)
        }
        starts.append(Int32(names.count))
    }

    /// Bytes of a metric's name.
    @inline(__always)
    func byteCount(_ key: MetricKey) -> Int {
        switch key {
        case .catalogue(let id):
            Int(starts[Int(id.rawValue) &+ 1] &- starts[Int(id.rawValue)])
        case .named: spelling(key).utf8.count
        }
    }

    @inline(__always)
    func append(_ key: MetricKey, to cursor: inout ByteCursor) {
        switch key {
        case .catalogue(let id):
            let number = Int(id.rawValue)
            let range = Int(starts[number])..<Int(starts[number &+ 1])
            names.withUnsafeBytes { cursor.append(UnsafeRawBufferPointer(rebasing: $0[range])) }
        case .named:
            cursor.append(spelling(key))
        }
    }

    @inline(__always)
    func append(_ key: MetricKey, to bytes: inout [UInt8]) {
        switch key {
        case .catalogue(let id):
            let number = Int(id.rawValue)
            bytes.append(contentsOf: names[Int(starts[number])..<Int(starts[number &+ 1])])
        case .named:
            bytes.append(contentsOf: spelling(key).utf8)
        }
    }
}
