import Wire

extension SinkDefinition {
    /// Apache Kafka and what speaks its protocol.
    static let kafka = SinkDefinition(
        "kafka", "Kafka: one message for each value",
        [
            SinkOption("brokers", "HOST:PORT of a broker; may be repeated", repeatable: true),
            SinkOption("timeseriestopic", "topic; default heapster-metrics"),
            SinkOption("eventstopic", "topic of events; default heapster-events"),
            SinkOption("compression", "none (default), gzip, snappy, lz4 or zstd"),
            SinkOption("user", "user name"),
            SinkOption("password", "password", secret: true),
            SinkOption("sasl", "plain (default), scram-sha-256 or scram-sha-512"),
            SinkOption("secure", "true: TLS; also when cacert or cert is given"),
        ] + SinkOption.tls
    ) { (uri, options) throws(SinkConfigurationError) in
        var brokers = options.list("brokers")
        if !uri.host.isEmpty { brokers.append("\(uri.host):\(uri.port ?? 9_092)") }
        if brokers.isEmpty { brokers = ["localhost:9092"] }
        var addresses: [HostAndPort] = []
        for broker in brokers {
            do throws(TransportError) {
                addresses.append(try HostAndPort(parsing: broker, defaultPort: 9_092))
            } catch {
                throw .badValue(sink: uri.kind, option: "brokers", expected: "HOST:PORT")
            }
        }
        let names: [String: KafkaRecordBatch.Compression] = [
            "none": .none, "gzip": .gzip, "snappy": .snappy, "lz4": .lz4, "zstd": .zstd,
        ]
        let compression = try options.choice(
            "compression", default: "none", of: names.keys.sorted())
        var usesTLS = try options.boolean("secure", default: false)
        for name in ["cacert", "cert", "insecuressl"] where options.string(name) != nil {
            usesTLS = true
        }
        var login: KafkaLogin?
        if let user = options.string("user") {
            let mechanism = try options.choice(
                "sasl", default: "plain", of: ["plain", "scram-sha-256", "scram-sha-512"])
            login = KafkaLogin(
                mechanism: mechanism, user: user,
                password: try options.requiredSecret("password"))
        }
        let settings = KafkaDelivery.Settings(
            bootstrap: addresses, tls: usesTLS ? try SinkTLS(options) : nil, login: login,
            topic: options.string("timeseriestopic", default: "heapster-metrics"),
            compression: names[compression] ?? .none)
        return SinkPlan(
            encoder: KafkaEncoder(clusterName: options.string("cluster_name")),
            order: .oldestFirst, overwrites: false
        ) { KafkaDelivery(settings, environment: $0) }
    }
}

/// An idempotent producer with acks=all (<https://kafka.apache.org/protocol.html>): Metadata v1,
/// InitProducerId v0, Produce v3.
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

    /// The state of a request that has not wholly arrived.
    private struct Pending {
        var request: SinkRequest
        /// By partition: the batch's first sequence number; gone when it arrived.
        var sequences: [Int: Int32]
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
        guard let messages = MessageRow.parse(request.body) else {
            return .refused(reason: "Kafka: the request is damaged")
        }
        var byPartition: [Int: [(key: ArraySlice<UInt8>, value: ArraySlice<UInt8>)]] = [:]
        for message in messages {
            let partition = KafkaRecordBatch.partition(of: message.key, count: partitionCount)
            byPartition[partition, default: []].append(message)
        }
        if pending?.request != request {
            var sequences: [Int: Int32] = [:]
            for (partition, messages) in byPartition {
                let sequence = nextSequence[partition] ?? 0
                sequences[partition] = sequence
                nextSequence[partition] = Int32(
                    truncatingIfNeeded: (Int64(sequence) + Int64(messages.count)) & 0x7FFF_FFFF)
            }
            pending = Pending(request: request, sequences: sequences)
        }
        var refused: String?
        for (partition, sequence) in pending?.sequences ?? [:] {
            guard let leader = leaders[partition], let address = brokers[leader] else {
                throw .backend("Kafka: partition \(partition) has no leader")
            }
            let batch = KafkaRecordBatch.encode(
                byPartition[partition] ?? [], timestamp: request.cycle,
                compression: settings.compression,
                producer: KafkaRecordBatch.Producer(
                    id: producer?.id ?? -1, epoch: producer?.epoch ?? -1, sequence: sequence))
            let code = try send(batch, to: partition, at: address, deadline)
            if let reason = try judge(code, partition) { refused = reason }
            pending?.sequences[partition] = nil
        }
        pending = nil
        return refused.map { .refused(reason: $0) } ?? .accepted
    }

    /// The reason if the broker will never take it; throws where it may yet.
    private func judge(_ code: Int16, _ partition: Int) throws(SinkError) -> String? {
        switch code {
        case 0, 46: return nil  // 46: DUPLICATE_SEQUENCE_NUMBER, it is there already
        case 10, 18, 87: return "Kafka: error \(code), the batch is too large or invalid"
        case 45, 47, 59:
            // The broker lost track of us: a new identity and new numbers.
            producer = nil
            nextSequence = [:]
            pending = nil
            throw .backend("Kafka: error \(code), the producer is not known any more")
        default: throw .backend("Kafka: error \(code) at partition \(partition)")
        }
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
            guard code == 0 else { throw .backend("Kafka: topic \(settings.topic): error \(code)") }
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
        var body = KafkaWriter()
        body.string(nil)
        body.int32(60_000)
        let address = brokers.values.first ?? settings.bootstrap[0]
        var answer = try call(address, api: 22, version: 0, body.bytes, deadline)
        _ = try answer.int32()
        let code = try answer.int16()
        guard code == 0 else { throw .backend("Kafka: no producer id: error \(code)") }
        producer = KafkaRecordBatch.Producer(
            id: try answer.int64(), epoch: try answer.int16(), sequence: 0)
    }

    private func call(
        _ address: HostAndPort, api: Int16, version: Int16, _ body: [UInt8], _ deadline: UInt64
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
        let answer = try connection.call(api: api, version: version, body, deadline)
        connections[address] = connection
        return answer
    }
}
