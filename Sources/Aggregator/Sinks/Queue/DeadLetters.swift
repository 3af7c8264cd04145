import Wire

/// Requests that a backend will never take, for people to look at: a file of entries, each a line of
/// time, reason and length, and the body. Bounded: at its limit the file becomes the older of two.
struct DeadLetters {
    static let name = "refused"
    private let files: (any QueueFiles)?
    private let byteCountMax: Int
    private var byteCount = 0
    private var isOpen = false
    private(set) var count = 0

    init(files: (any QueueFiles)?, byteCountMax: Int = 16 << 20) {
        self.files = files
        self.byteCountMax = byteCountMax
    }

    /// - Throws: when the file cannot be written; the entry is then lost, but counted.
    mutating func add(
        _ request: SinkRequest, reason: String, nowMilliseconds: Int64
    ) throws(QueueFileError) {
        count += 1
        guard let files else { return }
        if !isOpen {
            let exists = try files.list().contains(Self.name)
            byteCount = exists ? try files.read(Self.name, at: 0, count: .max).count : 0
            isOpen = true
        }
        let line = String(reason.map { $0.isNewline ? " " : $0 })
        var entry = Array(
            ("\(RFC3339.string(milliseconds: nowMilliseconds)) \(request.body.count) bytes, "
                + "\(request.pointCount) points: \(line)\n").utf8)
        entry.append(contentsOf: request.body.prefix(byteCountMax / 4))
        entry.append(UInt8(ascii: "\n"))
        if byteCount + entry.count > byteCountMax {
            let previous = try files.read(Self.name, at: 0, count: .max)
            try files.remove("\(Self.name).1")
            try files.append(previous, to: "\(Self.name).1")
            try files.remove(Self.name)
            byteCount = 0
        }
        try files.append(entry, to: Self.name)
        byteCount += entry.count
    }
}
