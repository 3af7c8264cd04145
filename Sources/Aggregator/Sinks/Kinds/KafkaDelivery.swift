import Wire

/// An idempotent producer with acks=all (<https://kafka.apache.org/protocol.html>): Metadata v1,
/// ApiVersions v0,
/// InitProducerId v0 or v3, Produce v3.
///
/// A request's messages go to the leaders of their partitions, a batch each. What one leader took is
/// remembered until the whole request arrived, and a repeated batch has its old sequence number, so
/// that the broker drops what it has already.
final class KafkaDelivery: SinkDelivery {
    struct Settings: Sendable {
        var bootstrap: [HostAndPort]
        var tls: SinkTLS?
        var login: KafkaLogin?
        var topic: String
        var compression: KafkaRecordBatch.Compression
    }

    private typealias Message = (key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)

    /// The state of a request that has not wholly arrived.
    private struct Pending {
        var request: SinkRequest
        /// By partition: what its leader has not taken yet, and the batch's first sequence number.
        var waiting: [Int: (sequence: Int32, messages: [Message])]
        /// What a leader will never take.
        var refused: SinkRequest
        var refusal: String?
    }

    private let settings: Settings
    private let environment: SinkEnvironment
    private var connections: [HostAndPort: KafkaConnection] = [:]
    private var brokers: [Int32: HostAndPort] = [:]
    private var leaders: [Int: Int32] = [:]
    private var partitionCount = 0
    private var producer: KafkaRecordBatch.Producer?
    private var nextSequence: [Int: Int32] = [:]
    private var pending: Pending?

    private static let attemptsMax = 3

    init(_ settings: Settings, environment: SinkEnvironment) {
        self.settings = settings
        self.environment = environment
    }

    func disconnect() {
        connections = [:]
        leaders = [:]
    }

    var endpoints: [SinkEndpoint] {
        settings.bootstrap.map { SinkEndpoint(address: $0, tls: settings.tls) }
    }

    /// Leaders of the topic, and an identity to write with.
    func probe(deadline: UInt64) -> SinkProbe {
        do throws(SinkError) {
            try learnLeaders(deadline)
            try becomeProducer(deadline)
            return .passed
        } catch {
            return .failed(
                problem: error.description,
                remedy: "check user, password and sasl, that the topic \(settings.topic) exists or "
                    + "may be made, and that the user may write to it")
        }
    }

    func deliver(_ request: SinkRequest, deadline: UInt64) -> DeliveryOutcome {
        var failure = SinkError.backend("Kafka: no leader")
        for _ in 0..<Self.attemptsMax {
            do throws(SinkError) {
                if leaders.isEmpty { try learnLeaders(deadline) }
                if producer == nil { try becomeProducer(deadline) }
                return try produce(request, deadline)
            } catch {
                failure = error
                disconnect()
                if environment.clock.monotonicNanoseconds >= deadline { break }
            }
        }
        return .failed(reason: failure.description)
    }

    private func produce(
        _ request: SinkRequest, _ deadline: UInt64
    ) throws(SinkError) -> DeliveryOutcome {
        if pending?.request != request {
            guard let messages = MessageRow.parse(request.body) else {
                return .refused(reason: "Kafka: the request is damaged")
            }
            let refused = SinkRequest(cycle: request.cycle, pointCount: 0, body: [])
            pending = Pending(request: request, waiting: [:], refused: refused)
            spread(messages)
        } else if let waiting = pending?.waiting,
            waiting.keys.contains(where: { $0 >= partitionCount })
        {
            // The topic was made again, with fewer partitions.
            producer = nil
            nextSequence = [:]
            spread(waiting.values.flatMap(\.messages))
            throw .backend("Kafka: topic \(settings.topic) has fewer partitions than before")
        }
        for (partition, batch) in pending?.waiting ?? [:] {
            guard let leader = leaders[partition], let address = brokers[leader] else {
                throw .backend("Kafka: partition \(partition) has no leader")
            }
            let bytes = KafkaRecordBatch.encode(
                batch.messages, timestamp: request.cycle, compression: settings.compression,
                producer: KafkaRecordBatch.Producer(
                    id: producer?.id ?? -1, epoch: producer?.epoch ?? -1, sequence: batch.sequence))
            let code = try send(bytes, to: partition, at: address, deadline)
            if try isTaken(code, partition) {
                pending?.waiting[partition] = nil
            } else {
                setAside(partition, batch, reason: KafkaCode(code).description)
            }
        }
        defer { pending = nil }
        guard let pending, let reason = pending.refusal else { return .accepted }
        return .partly(remaining: nil, refused: pending.refused, reason: reason)
    }

    /// Assigns messages to partitions and numbers.
    private func spread(_ messages: [Message]) {
        var byPartition: [Int: [Message]] = [:]
        for message in messages {
            let partition = KafkaRecordBatch.partition(of: message.key, count: partitionCount)
            byPartition[partition, default: []].append(message)
        }
        pending?.waiting = byPartition.mapValues { (0, $0) }
        number()
    }

    /// Gives what waits its sequence numbers, behind those that are used.
    private func number() {
        for (partition, batch) in pending?.waiting ?? [:] {
            let sequence = nextSequence[partition] ?? 0
            pending?.waiting[partition]?.sequence = sequence
            nextSequence[partition] = Int32(
                truncatingIfNeeded: (Int64(sequence) + Int64(batch.messages.count)) & 0x7FFF_FFFF)
        }
    }

    private func setAside(
        _ partition: Int, _ batch: (sequence: Int32, messages: [Message]), reason: String
    ) {
        pending?.waiting[partition] = nil
        // The broker has not counted it.
        nextSequence[partition] = batch.sequence
        var row: [UInt8] = []
        for message in batch.messages {
            MessageRow.append(key: Array(message.key), value: Array(message.value), to: &row)
        }
        pending?.refused.body += row
        pending?.refused.pointCount += batch.messages.count
        pending?.refusal = "Kafka: \(reason) at partition \(partition)"
    }

    /// Whether the leader has the batch; false if it will never take it; throws where it may yet.
    private func isTaken(_ code: Int16, _ partition: Int) throws(SinkError) -> Bool {
        switch KafkaCode(code) {
        case .none, .duplicateSequenceNumber: return true
        case .messageTooLarge, .recordListTooLarge, .invalidRecord: return false
        case .outOfOrderSequenceNumber, .invalidProducerEpoch, .unknownProducerID, .producerFenced:
            // The broker lost track of us: a new identity, and new numbers for what waits.
            producer = nil
        default: break
        }
        throw .backend("Kafka: \(KafkaCode(code)) at partition \(partition)")
    }

    private func send(
        _ batch: [UInt8], to partition: Int, at address: HostAndPort, _ deadline: UInt64
    ) throws(SinkError) -> Int16 {
        var body = KafkaWriter()
        body.string(nil)
        body.int16(-1)
        let left = deadline - min(deadline, environment.clock.monotonicNanoseconds)
        body.int32(Int32(clamping: max(1, left / 1_000_000)))
        body.int32(1)
        body.string(settings.topic)
        body.int32(1)
        body.int32(Int32(partition))
        body.blob(batch)
        var answer = try call(address, api: 0, version: 3, body.bytes, deadline)
        for _ in 0..<(try answer.count()) {
            let topic = try answer.string()
            for _ in 0..<(try answer.count()) {
                let index = try answer.int32()
                let code = try answer.int16()
                _ = try answer.int64()
                _ = try answer.int64()
                if topic == settings.topic, index == Int32(partition) { return code }
            }
        }
        throw .malformedAnswer("Kafka: no answer for partition \(partition)")
    }

    private func learnLeaders(_ deadline: UInt64) throws(SinkError) {
        var failure = SinkError.backend("Kafka: no broker")
        let known = settings.bootstrap + brokers.values.filter { !settings.bootstrap.contains($0) }
        for address in known {
            do throws(SinkError) {
                return try learnLeaders(from: address, deadline)
            } catch {
                failure = error
                connections[address] = nil
            }
        }
        throw failure
    }

    private func learnLeaders(from address: HostAndPort, _ deadline: UInt64) throws(SinkError) {
        var body = KafkaWriter()
        body.int32(1)
        body.string(settings.topic)
        var answer = try call(address, api: 3, version: 1, body.bytes, deadline)
        var found: [Int32: HostAndPort] = [:]
        for _ in 0..<(try answer.count()) {
            let id = try answer.int32()
            let host = try answer.string() ?? ""
            let port = try answer.int32()
            _ = try answer.string()
            guard let port = UInt16(exactly: port) else {
                throw .malformedAnswer("Kafka: port \(port)")
            }
            found[id] = HostAndPort(host: host, port: port)
        }
        _ = try answer.int32()
        var newLeaders: [Int: Int32] = [:]
        var count = 0
        for _ in 0..<(try answer.count()) {
            let code = try answer.int16()
            _ = try answer.string()
            _ = try answer.int8()
            guard code == 0 else {
                throw .backend("Kafka: topic \(settings.topic): \(KafkaCode(code))")
            }
            for _ in 0..<(try answer.count()) {
                _ = try answer.int16()
                let partition = try answer.int32()
                let leader = try answer.int32()
                for _ in 0..<2 { for _ in 0..<(try answer.count()) { _ = try answer.int32() } }
                count += 1
                if leader >= 0 { newLeaders[Int(partition)] = leader }
            }
        }
        guard count > 0 else { throw .backend("Kafka: topic \(settings.topic) has no partition") }
        (brokers, leaders, partitionCount) = (found, newLeaders, count)
    }

    private func becomeProducer(_ deadline: UInt64) throws(SinkError) {
        let address = brokers.values.first ?? settings.bootstrap[0]
        // Version 3 where the broker has it: some that are not Apache's answer nothing older.
        let isFlexible = try latestVersion(of: 22, at: address, deadline) >= 3
        var body = KafkaWriter()
        if isFlexible {
            body.bytes.append(0)
            body.int32(60_000)
            body.int64(-1)
            body.int16(-1)
            body.bytes.append(0)
        } else {
            body.string(nil)
            body.int32(60_000)
        }
        var answer = try call(
            address, api: 22, version: isFlexible ? 3 : 0, isFlexible: isFlexible, body.bytes,
            deadline)
        _ = try answer.int32()
        let code = try answer.int16()
        guard code == 0 else { throw .backend("Kafka: no producer id: \(KafkaCode(code))") }
        producer = KafkaRecordBatch.Producer(
            id: try answer.int64(), epoch: try answer.int16(), sequence: 0)
        // Numbers begin anew with each identity.
        nextSequence = [:]
        number()
    }

    /// By ApiVersions v0; -1 for what the broker does not know at all.
    private func latestVersion(
        of api: Int16, at address: HostAndPort, _ deadline: UInt64
    ) throws(SinkError) -> Int16 {
        var answer = try call(address, api: 18, version: 0, [], deadline)
        let code = try answer.int16()
        guard code == 0 else { throw .backend("Kafka: no list of versions: \(KafkaCode(code))") }
        var latest: Int16 = -1
        for _ in 0..<(try answer.count()) {
            let key = try answer.int16()
            _ = try answer.int16()
            let version = try answer.int16()
            if key == api { latest = version }
        }
        return latest
    }

    private func call(
        _ address: HostAndPort, api: Int16, version: Int16, isFlexible: Bool = false,
        _ body: [UInt8], _ deadline: UInt64
    ) throws(SinkError) -> KafkaReader {
        let connection: KafkaConnection
        if let known = connections[address], !known.isStale {
            connection = known
        } else {
            connection = try KafkaConnection(
                SinkEndpoint(address: address, tls: settings.tls), settings.login, environment,
                deadline)
        }
        connections[address] = nil
        let answer = try connection.call(
            api: api, version: version, isFlexible: isFlexible, body, deadline)
        connections[address] = connection
        return answer
    }
}
