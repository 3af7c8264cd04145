import Wire

/// Riemann's TCP protocol (<https://riemann.io/howto.html#write-a-client>): a protobuf `Msg` of events
/// behind its length in four bytes, big endian; the server answers each with a `Msg` of its own.
///
/// Events are Heapster's: service = metric, host, state, tags, time to live, labels as attributes.
struct RiemannEncoder: PointEncoder {
    struct Options: Sendable, Equatable {
        var ttlSeconds: Float = 60
        var state = ""
        var tags: [String] = ["heapster"]
        var batchSize = 1_000
    }

    let limits: RequestLimits
    private let options: Options
    private var merger = LabelMerger(dropsEmpty: false)
    private var time: [UInt8] = []
    private var tagsAndTTL: [UInt8] = []
    /// The host and the labels of what is at hand.
    private var host: [UInt8] = []
    private var attributes: [UInt8] = []
    private var event: [UInt8] = []

    init(_ options: Options) {
        self.options = options
        limits = RequestLimits(byteCountMax: 1 << 20, pointCountMax: max(1, options.batchSize))
        for tag in options.tags { Protobuf.append(7, string: tag, to: &tagsAndTTL) }
        Protobuf.append(8, float: options.ttlSeconds, to: &tagsAndTTL)
    }

    mutating func begin(cycle: Int64) {
        time.removeAll(keepingCapacity: true)
        Protobuf.append(1, varint: UInt64(bitPattern: cycle / 1_000), to: &time)
        if !options.state.isEmpty { Protobuf.append(2, string: options.state, to: &time) }
    }

    mutating func setLabels(_ set: borrowing MetricSet, _ child: [Label]) {
        host.removeAll(keepingCapacity: true)
        let name = set.label("hostname") ?? set.label("nodename") ?? ""
        if !name.isEmpty { Protobuf.append(4, string: name, to: &host) }
        merger.merge(set.labels, child)
        attributes.removeAll(keepingCapacity: true)
        for label in merger.labels {
            Protobuf.append(9, to: &attributes) { attribute in
                Protobuf.append(1, string: label.key, to: &attribute)
                Protobuf.append(2, string: label.value, to: &attribute)
            }
        }
    }

    mutating func point(
        _ metric: MetricKey, _ value: MetricValue, of kind: EntityKind,
        _ requests: inout RequestBuilder
    ) {
        event.removeAll(keepingCapacity: true)
        event.append(contentsOf: time)
        Protobuf.append(3, string: metric.name, to: &event)
        event.append(contentsOf: host)
        event.append(contentsOf: tagsAndTTL)
        event.append(contentsOf: attributes)
        switch value {
        case .integer(let whole): Protobuf.append(13, zigzag: whole, to: &event)
        case .float(let number): Protobuf.append(14, double: number, to: &event)
        }
        requests.beginItem()
        Protobuf.append(6, bytes: event, to: &requests.bytes)
        requests.endItem()
    }
}
