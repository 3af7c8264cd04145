/// One request as it will be sent: bytes that the sink's backend understands, without addresses and
/// credentials, so that it may lie on disk.
struct SinkRequest: Sendable, Equatable {
    /// The cycle of its points, milliseconds since the epoch.
    var cycle: Int64
    var pointCount: Int
    var body: [UInt8]
}

/// How large a sink's requests may become.
struct RequestLimits: Sendable, Equatable {
    /// A request is cut after the item with which it reaches this; it may be longer by one item.
    var byteCountMax = 1 << 20
    var pointCountMax = 10_000
}

/// What stands around and between the items of a request, and how the whole is packed.
struct RequestEnvelope: Sendable, Equatable {
    var open: [UInt8] = []
    var separator: [UInt8] = []
    var close: [UInt8] = []
    var packing: BodyPacking = .none
}

/// Turns metric sets into the bytes of one backend's protocol. Pure: no clock, no file, no network.
///
/// One value belongs to one thread; it keeps scratch memory between sets so that nothing is
/// allocated in the steady state but the requests themselves.
protocol SinkEncoder: Sendable {
    var limits: RequestLimits { get }
    var envelope: RequestEnvelope { get }
    /// Called before the first set of a cycle.
    mutating func begin(cycle: Int64)
    /// Appends one set's points, each between `beginItem` and `endItem`.
    mutating func encode(_ set: borrowing MetricSet, into requests: inout RequestBuilder)
    /// Called after the last set, for formats that hold something back.
    mutating func end(into requests: inout RequestBuilder)
}

extension SinkEncoder {
    var limits: RequestLimits { RequestLimits() }
    var envelope: RequestEnvelope { RequestEnvelope() }
    mutating func end(into requests: inout RequestBuilder) {}

    /// Encodes a whole batch and hands over each request as soon as it is full.
    ///
    /// - Parameters:
    ///   - filter: leaves out metrics and labels; `nil` passes all.
    ///   - cluster: added to the labels of each set.
    mutating func encode(
        _ batch: some Batch, filter: SinkFilter? = nil, cluster: Label? = nil,
        _ emit: (SinkRequest) -> Void
    ) {
        var requests = RequestBuilder(cycle: batch.timestamp, limits: limits, envelope: envelope)
        begin(cycle: batch.timestamp)
        batch.forEachSet { (set: borrowing MetricSet) in
            if let cluster {
                var named = copy set
                named.setLabel(cluster)
                encode(named, filter, &requests)
            } else {
                encode(set, filter, &requests)
            }
            requests.drain(emit)
        }
        end(into: &requests)
        requests.cut()
        requests.drain(emit)
    }

    private mutating func encode(
        _ set: borrowing MetricSet, _ filter: SinkFilter?, _ requests: inout RequestBuilder
    ) {
        guard let filter else { return encode(set, into: &requests) }
        filter.withFiltered(set) { encode($0, into: &requests) }
    }
}

/// What became of a request.
enum DeliveryOutcome: Sendable, Equatable {
    case accepted
    /// The backend will never take it: set aside with the reason.
    case refused(reason: String)
    /// Try again, after the back-off or when the backend said.
    case failed(reason: String, retryAfterSeconds: Int? = nil)
    /// Some of it arrived. `remaining` is tried again, `refused` set aside.
    case partly(remaining: SinkRequest?, refused: SinkRequest?, reason: String)
}

/// Carries requests to one backend. Lives on its sink's thread and may block until the deadline.
protocol SinkDelivery: AnyObject {
    /// - Parameter deadline: monotonic nanoseconds.
    func deliver(_ request: SinkRequest, deadline: UInt64) -> DeliveryOutcome
    /// Gives up connections. The next delivery makes new ones.
    func disconnect()
    /// Where it connects to; empty for what needs no network.
    var endpoints: [SinkEndpoint] { get }
    /// Asks the backend something harmless that needs the same rights as a delivery.
    ///
    /// - Parameter deadline: monotonic nanoseconds.
    func probe(deadline: UInt64) -> SinkProbe
}

/// What a backend said to a harmless question.
enum SinkProbe: Sendable, Equatable {
    case passed
    case failed(problem: String, remedy: String)
    /// The protocol has no harmless question.
    case untested(reason: String)
}

/// In which order requests that had to wait are sent.
enum DeliveryOrder: Sendable, Equatable {
    /// For backends that refuse or misplace points older than what they have.
    case oldestFirst
    /// For backends that take late points: what is new is seen at once, the backlog follows.
    case freshestFirst
}

/// What a backend does with points that are older than others it has.
enum LatePoints: Sendable, Equatable {
    case taken
    /// They are refused, unless no later ones of their series came before them.
    case onlyInOrder
    /// The protocol has no timestamps: what is sent counts as now.
    case never

    func admits(_ lateness: BatchLateness) -> Bool {
        switch lateness {
        case .onTime: true
        case .inOrder: self != .never
        case .outOfOrder: self == .taken
        }
    }
}

/// A sink as configured: what the machinery needs to run it.
struct SinkPlan: Sendable {
    var encoder: any SinkEncoder
    var order: DeliveryOrder
    /// Whether a point that is sent again replaces the old one; else amendments are left out.
    var overwrites: Bool
    var latePoints = LatePoints.taken
    /// Requests in flight at the same time, each on its own connection.
    var concurrency = 1
    /// Whether the cluster's name travels as a label of the sets; else the encoder has a place for it.
    var clusterIsLabel = false
    var makeDelivery: @Sendable (SinkEnvironment) -> any SinkDelivery
}
