import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Answers of backends, damaged in every way that a seed makes: no trap, no endless loop, and never a
/// yes that nobody said.
struct SinksRobustnessTests {
    private static let deadline = Clock.system.monotonicNanoseconds + 600_000_000_000
    private static let roundCount = 500

    /// One to three changes: bits, cuts, insertions, lengths that are too much or negative.
    private static func damage(_ bytes: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: bytes.indices, using: &random)
            switch Int.random(in: 0..<7, using: &random) {
            case 0: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            case 1: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 2: bytes.removeSubrange(index...)
            case 3:
                bytes.remove(at: index)
            case 4: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
            case 5:
                let extremes: [UInt32] = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x00FF_FFFF]
                let value = extremes[Int.random(in: extremes.indices, using: &random)]
                for place in 0..<4 where index + place < bytes.count {
                    bytes[index + place] = UInt8(
                        truncatingIfNeeded: value >> UInt32(24 - 8 * place))
                }
            default:
                let end = min(bytes.count, index + Int.random(in: 1...16, using: &random))
                bytes.insert(contentsOf: bytes[index..<end], at: index)
            }
        }
        return bytes
    }

    /// Runs deliveries whose answers are damaged, each by a seed of its own.
    ///
    /// - Parameters:
    ///   - isPlausible: whether a damaged answer may be given; false to pass over what would ask a
    ///     name server.
    ///   - verdict: judges the outcome for the answers that were given.
    private func run(
        _ answers: [[UInt8]], isPlausible: ([UInt8]) -> Bool = { _ in true },
        deliver: (SinkEnvironment) -> DeliveryOutcome
    ) {
        let whole = CannedBackend(answers)
        #expect(deliver(whole.environment) == .accepted)
        var failureCount = 0
        for seed in 0..<UInt64(Self.roundCount) {
            var random = SeededRandom(seed: seed)
            var damaged = answers
            let number = Int.random(in: answers.indices, using: &random)
            damaged[number] = Self.damage(answers[number], &random)
            guard isPlausible(damaged[number]) else { continue }
            let outcome = deliver(CannedBackend(damaged).environment)
            if outcome != .accepted { failureCount += 1 }
        }
        // Most damage is seen; where it is in a text or in what nobody reads it does not matter.
        #expect(failureCount > Self.roundCount / 10, "\(failureCount)")
        for cut in 0..<(answers.last?.count ?? 0) {
            let short = answers.dropLast() + [Array(answers[answers.count - 1][..<cut])]
            let outcome = deliver(CannedBackend(Array(short)).environment)
            #expect(outcome != .accepted, "cut at \(cut)")
        }
    }

    // MARK: Kafka

    private static func kafkaAnswer(_ correlation: Int32, _ write: (inout KafkaWriter) -> Void)
        -> [UInt8]
    {
        var body = KafkaWriter()
        body.int32(correlation)
        write(&body)
        var framed = KafkaWriter()
        framed.blob(body.bytes)
        return framed.bytes
    }

    /// Metadata v1, ApiVersions v0, InitProducerId v3 and Produce v3, by the protocol's tables.
    private static let kafkaAnswers: [[UInt8]] = [
        kafkaAnswer(1) { body in
            body.int32(1)
            body.int32(7)
            body.string("127.0.0.1")
            body.int32(9_092)
            body.string(nil)
            body.int32(7)
            body.int32(1)
            body.int16(0)
            body.string("t")
            body.bytes.append(0)
            body.int32(1)
            body.int16(0)
            for number: Int32 in [0, 7, 1, 7, 1, 7] { body.int32(number) }
        },
        kafkaAnswer(2) { body in
            body.int16(0)
            body.int32(2)
            for number: Int16 in [0, 3, 9, 22, 0, 4] { body.int16(number) }
        },
        kafkaAnswer(3) { body in
            body.bytes.append(0)
            body.int32(0)
            body.int16(0)
            body.int64(4_711)
            body.int16(0)
            body.bytes.append(0)
        },
        kafkaAnswer(4) { body in
            body.int32(1)
            body.string("t")
            body.int32(1)
            body.int32(0)
            body.int16(0)
            body.int64(0)
            body.int64(-1)
            body.int32(0)
        },
    ]

    @Test func kafkasAnswersDamaged() {
        var row: [UInt8] = []
        MessageRow.append(key: [1], value: [2, 3], to: &row)
        let request = SinkRequest(cycle: 10_000, pointCount: 1, body: row)
        let settings = KafkaDelivery.Settings(
            bootstrap: [HostAndPort(host: "127.0.0.1", port: 9_092)], tls: nil, login: nil,
            topic: "t", compression: .none)
        let host = Array("\u{0}\u{9}127.0.0.1\u{0}\u{0}".utf8)
        // A broker's name that the damage made must not be looked up.
        run(Self.kafkaAnswers) { answer in
            answer.firstRange(of: Array("127".utf8)) == nil || answer.firstRange(of: host) != nil
        } deliver: {
            KafkaDelivery(settings, environment: $0).deliver(request, deadline: Self.deadline)
        }
    }

    @Test func kafkasLengthsAreLimitedBeforeTheyAreBelieved() throws {
        var reader = KafkaReader([0x7F, 0xFF, 0xFF, 0xFF, 1, 2])
        #expect(throws: SinkError.self) { try reader.count() }
        reader = KafkaReader([0x7F, 0xFF, 0xFF, 0xFF, 1, 2])
        #expect(throws: SinkError.self) { try reader.blob() }
        reader = KafkaReader([0x7F, 0xFF, 1])
        #expect(throws: SinkError.self) { try reader.string() }
        reader = KafkaReader([0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
        #expect(throws: SinkError.self) { try reader.skipTaggedFields() }
        reader = KafkaReader([2, 0, 1, 9, 1, 0])
        try reader.skipTaggedFields()
        #expect(throws: SinkError.self) { try reader.int8() }
        // A length of 2 GiB is not waited for.
        let answer: [UInt8] = [0x7F, 0xFF, 0xFF, 0xFF]
        let settings = KafkaDelivery.Settings(
            bootstrap: [HostAndPort(host: "127.0.0.1", port: 1)], tls: nil, login: nil, topic: "t",
            compression: .none)
        let delivery = KafkaDelivery(
            settings, environment: CannedBackend([answer, answer, answer]).environment)
        let outcome = delivery.deliver(
            SinkRequest(cycle: 0, pointCount: 0, body: []), deadline: Self.deadline)
        #expect(
            outcome == .failed(reason: "malformed answer: Kafka: an answer of 2147483647 bytes"))
    }

    @Test func scramsChallengesDamaged() throws {
        let nonce = "rOprNGfwEbeRWgbNEkqO"
        let challenge = "r=\(nonce)%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=16"
        func client() -> ScramClient {
            ScramClient(user: "user", password: Array("pencil".utf8), nonce: nonce, hash: .sha256)
        }
        var whole = client()
        let proof = try whole.answer(challenge)
        for seed in 0..<UInt64(Self.roundCount) {
            var random = SeededRandom(seed: seed)
            let damaged = Self.damage(Array(challenge.utf8), &random)
            var victim = client()
            do throws(SinkError) {
                let answer = try victim.answer(String(decoding: damaged, as: UTF8.self))
                // Another challenge has another proof.
                #expect(answer != proof || damaged == Array(challenge.utf8), "seed \(seed)")
            } catch {
                continue
            }
        }
        var victim = client()
        #expect(throws: SinkError.self) {
            try victim.answer("r=\(nonce)x,s=AA==,i=99999999999")
        }
    }

    // MARK: Others

    private let request = SinkRequest(cycle: 10_000, pointCount: 1, body: Array("{}\n".utf8))
    private let endpoint = SinkEndpoint(address: HostAndPort(host: "127.0.0.1", port: 1))

    @Test func redissAnswersDamaged() {
        // One write, four replies: MULTI, two QUEUED, EXEC.
        let text = "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n+OK\r\n"
        run([Array(text.utf8)]) { environment in
            StreamDelivery(
                RedisConversation(key: "k", length: 10, user: nil, password: nil, database: 0),
                endpoint, environment: environment
            ).deliver(request, deadline: Self.deadline)
        }
    }

    @Test func redissArraysInArraysEnd() {
        let text = String(repeating: "*1\r\n", count: 200_000)
        let outcome = StreamDelivery(
            RedisConversation(key: "k", length: 10, user: nil, password: nil, database: 0),
            endpoint, environment: CannedBackend([Array(text.utf8)]).environment
        ).deliver(request, deadline: Self.deadline)
        #expect(outcome == .failed(reason: "malformed answer: Redis: *1"))
    }

    @Test func riemannsAnswersDamaged() {
        // Length, then field 2 (ok) = true and field 3 (error) = "".
        run([[0, 0, 0, 4, 0x10, 1, 0x1A, 0]]) { environment in
            StreamDelivery(RiemannConversation(), endpoint, environment: environment)
                .deliver(request, deadline: Self.deadline)
        }
    }

    /// Plain and chunked answers with bodies that their backends look into.
    @Test(arguments: [false, true])
    func answersOverHTTPDamaged(isChunked: Bool) throws {
        let body =
            "{\"took\":1,\"errors\":true,\"items\":[{\"index\":{\"_id\":\"a\",\"status\":201,"
            + "\"_shards\":{\"total\":2}}}]}"
        let framed =
            isChunked
            ? "Transfer-Encoding: chunked\r\n\r\n\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n0\r\n\r\n"
            : "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
        func answer(_ text: String) -> [UInt8] {
            Array("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\(text)".utf8)
        }
        let root = "{\"version\":{\"number\":\"8.1.0\"}}"
        let first = answer("Content-Length: \(root.utf8.count)\r\n\r\n\(root)")
        let second = answer("Content-Length: 2\r\n\r\n{}")
        let uri = try SinkURI(parsing: "elasticsearch:http://127.0.0.1:1")
        let options = try SinkOptions(uri, known: SinkDefinition.elasticsearch.allOptions)
        let backend = try ElasticsearchBackend(options, basePath: "", tls: nil, isSigned: false)
        let request = SinkRequest(
            cycle: 10_000, pointCount: 1, body: Array("{\"index\":{}}\n{}\n".utf8))
        run([first, second, answer(framed)]) { environment in
            HTTPDelivery(backend, [endpoint], environment: environment)
                .deliver(request, deadline: Self.deadline)
        }
    }

    /// Answers that say of single items what became of them.
    @Test func itemVerdictsDamaged() throws {
        let honeycomb = "[{\"status\":202},{\"status\":429,\"error\":\"wait\"},{\"status\":400}]"
        let bigQuery =
            "{\"insertErrors\":[{\"index\":1,\"errors\":[{\"reason\":\"timeout\",\"message\":\"m\"}]},"
            + "{\"index\":2,\"errors\":[{\"reason\":\"invalid\"}]}]}"
        let monitoring =
            "{\"error\":{\"code\":400,\"message\":\"No: wait: timeSeries[1]; bad: timeSeries[2]\",\"details\":["
            + "{\"@type\":\"x/google.monitoring.v3.CreateTimeSeriesSummary\",\"totalPointCount\":3,"
            + "\"successPointCount\":1,\"errors\":[{\"status\":{\"code\":14,\"message\":\"wait\"},\"pointCount\":1},"
            + "{\"status\":{\"code\":3,\"message\":\"bad\"},\"pointCount\":1}]}]}}"
        let envelope = RequestEnvelope(
            open: Array("{\"rows\":[".utf8), separator: Array(",".utf8), close: Array("]}".utf8))
        let request = SinkRequest(
            cycle: 1, pointCount: 3,
            body: Array("{\"rows\":[{\"a\":\"]\"},{\"b\":[1]},{\"c\":{}}]}".utf8))
        for (text, read) in [
            (honeycomb, { ItemVerdicts(honeycomb: $0) }),
            (bigQuery, { ItemVerdicts(bigQuery: $0) }),
            (monitoring, { ItemVerdicts(monitoring: $0, itemCount: 3) }),
        ] as [(String, ([UInt8]) -> ItemVerdicts?)] {
            let whole = try #require(read(Array(text.utf8)))
            guard
                case .partly(let remaining, let refused, _) = whole.outcome(
                    of: request, in: envelope)
            else {
                Issue.record("\(text)")
                continue
            }
            #expect(remaining?.body == Array("{\"rows\":[{\"b\":[1]}]}".utf8))
            #expect(refused?.body == Array("{\"rows\":[{\"c\":{}}]}".utf8))
            #expect(remaining?.pointCount == 1 && refused?.pointCount == 1)
            for cut in 0..<text.utf8.count { #expect(read(Array(text.utf8.prefix(cut))) == nil) }
            for seed in 0..<UInt64(Self.roundCount) {
                var random = SeededRandom(seed: seed)
                let verdicts = read(Self.damage(Array(text.utf8), &random))
                guard
                    case .partly(let remaining, let refused, _)? = verdicts?.outcome(
                        of: request, in: envelope)
                else { continue }
                // However wrong the answer, items come from the request and keep its frame.
                for part in [remaining, refused].compactMap(\.self) {
                    let object = try JSONSerialization.jsonObject(with: Data(part.body))
                    #expect(
                        ((object as? [String: Any])?["rows"] as? [Any])?.count == part.pointCount)
                }
            }
        }
        // A request that is damaged itself is set aside as a whole.
        let damaged = SinkRequest(cycle: 1, pointCount: 3, body: Array("{\"rows\":[{\"a\":".utf8))
        let verdicts = try #require(ItemVerdicts(honeycomb: Array(honeycomb.utf8)))
        guard case .refused = verdicts.outcome(of: damaged, in: envelope) else {
            Issue.record("not refused")
            return
        }
    }

    /// OpenTSDB repeats the points that failed.
    @Test func openTSDBsAnswersDamaged() throws {
        let envelope = RequestEnvelope(
            open: Array("[".utf8), separator: Array(",".utf8), close: Array("]".utf8))
        let items = ["a", "b", "c"].map {
            "{\"metric\":\"m\",\"timestamp\":1,\"value\":2,\"tags\":{\"x\":\"\($0)\",\"y\":\"z\"}}"
        }
        let request = SinkRequest(
            cycle: 1, pointCount: 3, body: Array("[\(items.joined(separator: ","))]".utf8))
        let answer =
            "{\"success\":1,\"failed\":1,\"timeouts\":1,\"errors\":[{\"datapoint\":{\"metric\":\"m\",\"timestamp\":1,"
            + "\"value\":\"2\",\"tags\":{\"y\":\"z\",\"x\":\"b\"}},\"error\":\"Write timedout\"},"
            + "{\"datapoint\":{\"tags\":{\"y\":\"z\",\"x\":\"c\"},\"metric\":\"m\"},\"error\":\"Unknown metric\"}]}"
        func read(_ body: some Collection<UInt8>) -> ItemVerdicts? {
            ItemVerdicts(openTSDB: Array(body), of: request, in: envelope)
        }
        let whole = try #require(read(answer.utf8)).outcome(of: request, in: envelope)
        guard case .partly(let remaining, let refused, _) = whole else {
            Issue.record("\(whole)")
            return
        }
        #expect(remaining?.body == Array("[\(items[1])]".utf8))
        #expect(refused?.body == Array("[\(items[2])]".utf8))
        for cut in 0..<answer.utf8.count { #expect(read(answer.utf8.prefix(cut)) == nil) }
        for seed in 0..<UInt64(Self.roundCount) {
            var random = SeededRandom(seed: seed)
            guard let verdicts = read(Self.damage(Array(answer.utf8), &random)),
                case .partly(let remaining, let refused, _) = verdicts.outcome(
                    of: request, in: envelope)
            else { continue }
            for part in [remaining, refused].compactMap(\.self) {
                let rows = try JSONSerialization.jsonObject(with: Data(part.body)) as? [Any]
                #expect((1...3).contains(rows?.count ?? 0) && part.pointCount <= 3)
            }
        }
    }
}
