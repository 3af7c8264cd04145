import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Which requests are sent when: after an outage, several at a time, amended and late cycles, and what
/// is left when a backend takes a part.
@Suite(.serialized)
struct SinkOrderTests {
    // MARK: After an outage

    /// The backend refuses until six cycles wait; then everything is there in the order that it can take.
    @Test(arguments: [
        ("opentsdb:SERVER", true), ("otlp:SERVER", true), ("remotewrite:SERVER", true),
        ("remotewrite:SERVER?order=oldest", false),
    ])
    func whatWaitedComesInTheOrderThatTheBackendTakes(flag: String, isFreshest: Bool) throws {
        let server = try SinkBackendServer([.status(503)])
        defer { server.stop() }
        let flag = flag.replacing("SERVER", with: "http://127.0.0.1:\(server.port)")
        let set = try SinkRun.make(flag)
        let cycles = SinkRun.cycles(6)
        for cycle in cycles { set.offer(SinkRun.batch(cycle), waitingUntil: .max) }
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].queuedRequests == 6 })
        // What is tried from now on is chosen of all six.
        let failures = set.statuses[0].retriedRequests
        #expect(SinkRun.wait(seconds: 60) { set.statuses[0].retriedRequests > failures })
        server.become([.status(204)])
        set.stop(timeoutMilliseconds: 60_000)
        #expect(set.statuses[0].deliveredRequests == 6, "\(set.statuses)")

        var encoder = try #require(try ConfiguredSink.make(flag)).plan.encoder
        var cycleByBody: [[UInt8]: Int64] = [:]
        for cycle in cycles {
            encoder.encode(SinkRun.batch(cycle)) { cycleByBody[$0.body] = cycle }
        }
        var taken: [Int64] = []
        for request in server.requests {
            let cycle = try #require(cycleByBody[request.body])
            // The last time was when it was taken.
            taken.removeAll { $0 == cycle }
            taken.append(cycle)
        }
        #expect(taken == (isFreshest ? cycles.reversed() : cycles))
    }

    // MARK: Several at a time

    /// Holds every request until so many are there at the same time.
    private final class Gate: @unchecked Sendable {
        private let condition = NSCondition()
        private let wanted: Int
        private var count = 0
        private var isOpen = false
        private(set) var countMax = 0

        init(_ wanted: Int) { self.wanted = wanted }

        func pass() {
            condition.lock()
            defer { condition.unlock() }
            count += 1
            countMax = max(countMax, count)
            if count >= wanted { isOpen = true }
            condition.broadcast()
            let deadline = Date(timeIntervalSinceNow: 60)
            while !isOpen, condition.wait(until: deadline) {}
            count -= 1
        }
    }

    @Test(arguments: [
        ("opensearch:SERVER", "bulkWorkers"), ("hawkular:SERVER", "concurrencyLimit"),
        ("influxdb:SERVER", "concurrency"), ("remotewrite:SERVER", "concurrency"),
    ])
    func asManyRequestsAreInFlightAsAllowed(flag: String, option: String) throws {
        for allowed in [1, 3] {
            let gate = Gate(allowed)
            let server = try ScriptedServer { request, _ in
                let line = request.prefix { $0 != "\r\n" }
                if ["_bulk", "/raw", "/write"].contains(where: { line.contains($0) }) {
                    gate.pass()
                }
                var body = "{}"
                if line.hasPrefix("GET / ") { body = "{\"version\":{\"number\":\"8.1.0\"}}" }
                if line.contains("_bulk") { body = "{\"items\":[]}" }
                return [
                    .send(
                        Array(
                            "HTTP/1.1 200 X\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
                                .utf8))
                ]
            }
            defer { server.stop() }
            let query = allowed == 1 ? "" : "?\(option)=\(allowed)"
            let set = try SinkRun.make(
                flag.replacing("SERVER", with: "http://127.0.0.1:\(server.port)") + query)
            for cycle in SinkRun.cycles(8) {
                set.offer(SinkRun.batch(cycle), waitingUntil: .max)
            }
            set.stop(timeoutMilliseconds: 100_000)
            #expect(set.statuses[0].deliveredRequests == 8, "\(set.statuses)")
            #expect(gate.countMax == allowed, "\(option)")
        }
    }

    // MARK: Late and amended cycles

    /// What the page says of each kind: whether repeated points replace, and which late ones are taken.
    @Test func everyKindTakesWhatItsBackendCan() throws {
        let table: [(flag: String, overwrites: Bool, late: LatePoints, order: DeliveryOrder)] = [
            ("influxdb:http://h", true, .taken, .freshestFirst),
            ("elasticsearch:http://h", true, .taken, .freshestFirst),
            ("elasticsearch:http://h?data_stream=true", false, .taken, .freshestFirst),
            ("opensearch:http://h", true, .taken, .freshestFirst),
            ("kafka:?brokers=h:1", false, .taken, .oldestFirst),
            ("remotewrite:http://h", true, .taken, .freshestFirst),
            ("remotewrite:http://h?order=oldest", false, .onlyInOrder, .oldestFirst),
            ("otlp:http://h", true, .taken, .freshestFirst),
            ("graphite:tcp://h:1", true, .taken, .freshestFirst),
            ("opentsdb:http://h", true, .taken, .freshestFirst),
            ("statsd:udp://h:1", false, .never, .oldestFirst),
            ("riemann:h", false, .taken, .oldestFirst),
            ("wavefront:h:1", true, .taken, .freshestFirst),
            ("hawkular:http://h", true, .taken, .freshestFirst),
            ("librato:?username=u&token=t", true, .taken, .freshestFirst),
            ("honeycomb:?writekey=k", false, .taken, .freshestFirst),
            ("stackdriver:?project=p", false, .onlyInOrder, .oldestFirst),
            ("gcm:?project=p", false, .onlyInOrder, .oldestFirst),
            ("bigquery:?project=p", false, .taken, .freshestFirst),
            ("redis:h", false, .taken, .oldestFirst), ("stdout:", true, .taken, .oldestFirst),
            ("log", true, .taken, .oldestFirst),
        ]
        let kinds = Set(table.map { String($0.flag.prefix { $0 != ":" }) })
        let all = Set(SinkRegistry.definitions.map(\.kind)).subtracting(["metric"])
        #expect(kinds == all)
        for row in table {
            let plan = try #require(try ConfiguredSink.make(row.flag)).plan
            #expect(plan.overwrites == row.overwrites, "\(row.flag)")
            #expect(plan.latePoints == row.late, "\(row.flag)")
            #expect(plan.order == row.order, "\(row.flag)")
        }
    }

    /// A cycle, the same amended, and one that comes after later ones.
    @Test(arguments: [
        ("opentsdb:SERVER", 3, 0, 0), ("honeycomb:?writekey=k&apihost=SERVER", 2, 1, 0),
        ("remotewrite:SERVER?order=oldest", 1, 1, 1),
    ])
    func amendedAndLateCyclesGoWhereTheyCan(
        flag: String, delivered: Int, amendments: Int, late: Int
    ) throws {
        let answer = "[\(Array(repeating: "{\"status\":202}", count: 5).joined(separator: ","))]"
        let server = try SinkBackendServer([.status(200, body: answer)])
        defer { server.stop() }
        let set = try SinkRun.make(
            flag.replacing("SERVER", with: "http://127.0.0.1:\(server.port)"))
        let cycles = SinkRun.cycles(2)
        var amended = SinkRun.batch(cycles[1])
        (amended.isAmendment, amended.lateness) = (true, .outOfOrder)
        for index in amended.sets.indices {
            amended.sets[index].values[2].value = .integer(77)
        }
        var behind = SinkRun.batch(cycles[0])
        behind.lateness = .outOfOrder
        for batch in [SinkRun.batch(cycles[1]), amended, behind] { set.offer(batch) }
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.deliveredRequests == delivered, "\(status)")
        #expect(status.skippedAmendments == amendments && status.skippedLate == late, "\(status)")
        let amendedCount = server.requests.count {
            String(decoding: $0.body, as: UTF8.self).contains("\"value\":77,")
        }
        #expect(amendedCount == (flag.hasPrefix("opentsdb") ? 1 : 0))
    }

    // MARK: A part of a request

    /// A success of OTLP that names points which were not taken.
    @Test func otlpsRejectedPointsAreCountedAndNotSentAgain() throws {
        // partial_success { rejected_data_points: 2, error_message: "old" }
        let answer: [UInt8] = [0x0A, 7, 0x08, 2, 0x12, 3] + Array("old".utf8)
        let server = try SinkBackendServer([
            .status(200, body: String(decoding: answer, as: UTF8.self))
        ])
        defer { server.stop() }
        let set = try SinkRun.make("otlp:http://127.0.0.1:\(server.port)")
        set.offer(SinkRun.batch(SinkRun.cycles(1)[0]))
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.deliveredPoints == 23 && status.refusedPoints == 2, "\(status)")
        #expect(status.lastError == "2 points rejected: old" && server.requests.count == 1)
        #expect(server.requests[0].head.contains("User-Agent: heapwire-aggregator/"))
        // Cut or damaged it is no partial success, or one of fewer points; never a trap.
        for count in answer.indices {
            let cut = OTLPAnswer.partialSuccess(Array(answer[..<count]))
            #expect(cut == nil, "\(count)")
        }
        for index in answer.indices {
            for bit in 0..<8 {
                var damaged = answer
                damaged[index] ^= 1 << bit
                _ = OTLPAnswer.partialSuccess(damaged)
            }
        }
        #expect(OTLPAnswer.partialSuccess([]) == nil)
    }

    /// Hawkular gets gauges and counters apart: what it refuses of one must not take the other along.
    @Test func hawkularsOtherPointsAreSentThoughSomeAreRefused() throws {
        let server = try ScriptedServer { request, _ in
            let line = request.prefix { $0 != "\r\n" }
            let status = line.contains("counters/raw") ? 400 : 200
            return [.send(Array("HTTP/1.1 \(status) X\r\nContent-Length: 2\r\n\r\nno".utf8))]
        }
        defer { server.stop() }
        let set = try SinkRun.make("hawkular:http://127.0.0.1:\(server.port)")
        set.offer(SinkRun.batch(SinkRun.cycles(1)[0]))
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.deliveredPoints == 20 && status.refusedPoints == 5, "\(status)")
        #expect(status.queuedRequests == 0 && status.lastError == "counters: HTTP 400 no")
        let posts = server.requests.filter { $0.hasPrefix("POST ") }
        #expect(posts.count == 2, "\(posts)")
    }
}
