import Wire

@testable import NodeAgent

/// An outbox with one subject, and the answers of an aggregator written by hand.
final class TestOutbox {
    static let second: UInt64 = 1_000_000_000
    let outbox: Outbox
    var now: UInt64 = 100 * second
    private var isDefined = false

    init(
        aggregators: Int = 1, ringBytes: Int = 1 << 20, keys: Outbox.KeySpacing = .init(),
        catchUpByteCount: Int = 100
    ) {
        var settings = DeliverySettings()
        settings.setStep(nanoseconds: Self.second)
        settings.catchUpByteCount = catchUpByteCount
        let now = now
        let deliveries = (0..<aggregators).map {
            DeliveryState(settings: settings, seed: UInt64($0), now: now)
        }
        outbox = Outbox(ring: ResendRing(capacity: ringBytes), deliveries: deliveries, keys: keys)
    }

    /// Takes frames a second apart, each with one changed value.
    func take(_ count: Int = 1) throws {
        for _ in 0..<count {
            now += Self.second
            var changes: [SubjectChange] = []
            if !isDefined {
                isDefined = true
                changes = [
                    .schema(0, Schema([SchemaField(.cpuUsage)])), .add(0, 0, Subject(kind: .node)),
                ]
                for change in changes { try outbox.encoder.apply(change) }
            }
            outbox.encoder.row(of: 0)[0] &+= 1_000_003
            outbox.append(
                step: Int64(now / 1_000_000), readDelay: 0, changes: changes)
        }
    }

    func state(_ index: Int = 0) -> DeliveryState { outbox.deliveries[index] }

    func tick(_ index: Int = 0) -> DeliveryState.Command {
        let now = now
        return outbox.withDelivery(index) { state, _ in state.tick(now: now) }
    }

    /// Connects and hands the welcome over; returns what the agent said until then.
    @discardableResult
    func connect(_ index: Int = 0, _ welcome: Welcome = Welcome()) -> [Record] {
        if case .waiting(let until) = state(index).phase { now = max(now, until) }
        precondition(tick(index) == .connect)
        var output: [UInt8] = []
        let now = now
        let hello = Hello(nodeName: "n", runID: [UInt8](repeating: 1, count: 16))
        outbox.withDelivery(index) { state, _ in
            state.connected(hello, now: now, output: &output)
        }
        answer(.welcome, welcome.encode(), index)
        return Self.records(Array(output.dropFirst(Hello.preface.count)))
    }

    func answer(_ type: RecordType, _ payload: [UInt8], _ index: Int = 0) {
        var bytes: [UInt8] = []
        Record(type: type, payload: payload).encode(into: &bytes)
        let now = now
        let consumed = bytes.withUnsafeBytes { raw in
            outbox.withDelivery(index) { state, ring in
                state.receive(raw, ring: ring, now: now, clockMilliseconds: 0)
            }
        }
        precondition(consumed == bytes.count)
    }

    func acknowledge(_ first: UInt64, _ last: UInt64, _ index: Int = 0) {
        answer(.ack, SequenceRange(first, last).encode(), index)
    }

    func disconnect(_ index: Int = 0) {
        let now = now
        outbox.withDelivery(index) { state, _ in state.disconnected("cut", now: now) }
    }

    /// What is sent now, in short: `begin 3`, `chain 1`, `subjects`, `frame 7`, `gap 1-4`.
    func sent(_ index: Int = 0, byteCountMax: Int = 1 << 20) throws -> [String] {
        var output: [UInt8] = []
        let now = now
        outbox.withDelivery(index) { state, ring in
            state.fill(&output, byteCountMax: byteCountMax, ring: ring, now: now)
        }
        var chains: [ChainID: FrameHeader.Context] = contexts[index] ?? [:]
        var selected: ChainID = selections[index] ?? 0
        defer {
            contexts[index] = chains
            selections[index] = selected
        }
        return try Self.records(output).map { record in
            try record.payload.withUnsafeBytes { payload in
                switch record.type {
                case .chain:
                    let chain = try ChainSelection(decoding: payload, flags: record.flags)
                    selected = chain.id
                    if chain.begins { chains[chain.id] = nil }
                    return "\(chain.begins ? "begin" : "chain") \(chain.id)"
                case .frame:
                    let (header, context) = try FrameHeader.peek(payload, after: chains[selected])
                    chains[selected] = context
                    return "frame \(header.sequence)"
                case .gap:
                    let range = try SequenceRange(decoding: payload)
                    return "gap \(range.first)-\(range.last)"
                default: return "\(record.type)"
                }
            }
        }
    }

    private var contexts: [Int: [ChainID: FrameHeader.Context]] = [:]
    private var selections: [Int: ChainID] = [:]

    static func records(_ bytes: [UInt8]) -> [Record] {
        var stream = RecordStream(payloadLimit: 1 << 20)
        bytes.withUnsafeBytes { stream.append($0) }
        var records: [Record] = []
        do {
            while try stream.next({ type, flags, payload in
                records.append(Record(type: type, flags: flags, payload: Array(payload)))
            }) {}
        } catch {
            preconditionFailure("the agent's own records: \(error)")
        }
        return records
    }
}
