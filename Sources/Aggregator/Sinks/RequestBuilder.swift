/// Collects encoded items and cuts them into requests.
struct RequestBuilder {
    /// The request under construction; encoders append between `beginItem` and `endItem`.
    var bytes: [UInt8] = []
    let cycle: Int64
    private let limits: RequestLimits
    private let envelope: RequestEnvelope
    private(set) var pointCount = 0
    private var finished: [SinkRequest] = []

    init(cycle: Int64, limits: RequestLimits, envelope: RequestEnvelope) {
        self.cycle = cycle
        self.limits = limits
        self.envelope = envelope
    }

    /// Writes what goes before an item.
    @inline(__always)
    mutating func beginItem() {
        if pointCount == 0 && bytes.isEmpty {
            // Room for a whole request at once, so that growing does not copy it.
            bytes.reserveCapacity(min(limits.byteCountMax + limits.byteCountMax / 8, 4 << 20))
            bytes.append(contentsOf: envelope.open)
        } else if !envelope.separator.isEmpty {
            bytes.append(contentsOf: envelope.separator)
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
        bytes = []
        pointCount = 0
    }

    mutating func drain(_ emit: (SinkRequest) -> Void) {
        guard !finished.isEmpty else { return }
        for request in finished { emit(request) }
        finished.removeAll(keepingCapacity: true)
    }
}
