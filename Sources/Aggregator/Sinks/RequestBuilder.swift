/// Collects encoded items and cuts them into requests.
struct RequestBuilder {
    /// The request under construction; encoders append between `beginItem` and `endItem`.
    var bytes: [UInt8] = []
    let cycle: Int64
    private let limits: RequestLimits
    private let envelope: RequestEnvelope
    private(set) var pointCount = 0
    private var finished: [SinkRequest] = []
    /// Room that a request gets at once, so that growing does not copy it: what the last one took.
    private var byteCountExpected = 1 << 16

    init(cycle: Int64, limits: RequestLimits, envelope: RequestEnvelope) {
        self.cycle = cycle
        self.limits = limits
        self.envelope = envelope
    }

    /// Writes what goes before an item.
    @inline(__always)
    mutating func beginItem() {
        if pointCount == 0 && bytes.isEmpty {
            bytes.reserveCapacity(byteCountExpected)
            bytes.append(contentsOf: envelope.open)
        } else if !envelope.separator.isEmpty {
            bytes.append(contentsOf: envelope.separator)
        }
    }

    /// Writes at most `byteCount` bytes of an item straight into the request's memory.
    @inline(__always)
    mutating func write(atMost byteCount: Int, _ body: (inout ByteCursor) -> Void) {
        if bytes.capacity &- bytes.count < byteCount {
            bytes.reserveCapacity(max(bytes.capacity * 2, bytes.count + byteCount))
        }
        bytes.append(addingCapacity: byteCount) { span in
            span.withUnsafeMutableBufferPointer { room, count in
                var cursor = ByteCursor(UnsafeMutableRawBufferPointer(room))
                body(&cursor)
                count = cursor.count
            }
        }
    }

    /// Ends an item, and the request with it when that is full.
    @inline(__always)
    mutating func endItem(points: Int = 1) {
        pointCount &+= points
        if bytes.count >= limits.byteCountMax || pointCount >= limits.pointCountMax { cut() }
    }

    /// Ends the request, if it has an item.
    mutating func cut() {
        guard pointCount > 0 else { return }
        bytes.append(contentsOf: envelope.close)
        let body = envelope.packing.pack(bytes)
        finished.append(SinkRequest(cycle: cycle, pointCount: pointCount, body: body))
        byteCountExpected = min(bytes.count + bytes.count / 8, 8 << 20)
        bytes = []
        pointCount = 0
    }

    mutating func drain(_ emit: (SinkRequest) -> Void) {
        guard !finished.isEmpty else { return }
        for request in finished { emit(request) }
        finished.removeAll(keepingCapacity: true)
    }
}
