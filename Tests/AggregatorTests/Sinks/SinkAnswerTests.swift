import Foundation
import Testing
import Wire

@testable import Aggregator

/// Every kind of answer a backend can give, through queue, retries, dead letters and status, with the
/// queue on disk.
@Suite(.serialized)
struct SinkAnswerTests {
    private struct Case {
        var answers: [SinkBackendServer.Answer]
        var delivered = 1
        var retried = 0
        var refused = 0
        /// In the dead-letter file and in the status.
        var words = ""
        /// Long enough for a busy machine, where nothing is to time out.
        var timeout = "30s"
    }

    private static let cases: [String: Case] = [
        "204": Case(answers: [.status(204)]),
        "200 with a body": Case(answers: [.status(200, body: "{}")]),
        "500": Case(answers: [.status(500, body: "oh")], retried: 1, words: "HTTP 500 oh"),
        "503 without words": Case(answers: [.status(503)], retried: 1, words: "HTTP 503"),
        "401": Case(answers: [.status(401)], retried: 1, words: "HTTP 401"),
        "403": Case(answers: [.status(403)], retried: 1, words: "HTTP 403"),
        "404": Case(answers: [.status(404)], retried: 1, words: "HTTP 404"),
        "408": Case(answers: [.status(408)], retried: 1, words: "HTTP 408"),
        "429": Case(
            answers: [.status(429, fields: "Retry-After: 1\r\n")], retried: 1, words: "HTTP 429"),
        "429 for ever, it says": Case(
            answers: [.status(429, fields: "Retry-After: 99999999999999999999\r\n")], retried: 1,
            words: "HTTP 429"),
        "400": Case(
            answers: [.status(400, body: "no\nsuch field")], delivered: 0, refused: 1,
            words: "HTTP 400 no such field"),
        "413": Case(answers: [.status(413)], delivered: 0, refused: 1, words: "HTTP 413"),
        "422": Case(answers: [.status(422)], delivered: 0, refused: 1, words: "HTTP 422"),
        "half a head": Case(
            answers: [.cut("HTTP/1.1 20")], retried: 1, words: "closed the connection"),
        "half a body": Case(
            answers: [.cut("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")], retried: 1,
            words: "closed the connection"),
        "half a chunk": Case(
            answers: [.cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")],
            retried: 1, words: "closed the connection"),
        "no HTTP": Case(
            answers: [.cut("220 mail.example ESMTP\r\n\r\n")], retried: 1,
            words: "malformed answer"),
        "an end at once": Case(answers: [.cut("")], retried: 1, words: "connection"),
        "nothing": Case(
            answers: [.silence(milliseconds: 900)], retried: 1, words: "timed out",
            timeout: "500ms"),
        "two that fail": Case(
            answers: [.status(500), .status(400, body: "never")], delivered: 0, retried: 1,
            refused: 1, words: "HTTP 400 never"),
    ]

    @Test(arguments: cases.keys.sorted())
    func everyAnswerEndsWhereItShould(name: String) throws {
        let one = try #require(Self.cases[name])
        let server = try SinkBackendServer(one.answers + [.status(204)])
        defer { server.stop() }
        let folder = try BackendServer.makeFolder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let set = try SinkRun.make(
            "opentsdb:http://127.0.0.1:\(server.port)?name=s&timeout=\(one.timeout)",
            dataDirectory: folder.path)
        let cycles = SinkRun.cycles(2)
        set.offer(SinkRun.batch(cycles[0]))
        #expect(
            SinkRun.wait(seconds: 60) {
                let status = set.statuses[0]
                return status.deliveredRequests + status.refusedRequests + status.retriedRequests
                    >= 1
            })
        // The rest is not stopped by it.
        set.offer(SinkRun.batch(cycles[1]))
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        #expect(status.queuedRequests == 0 && status.droppedRequests == 0, "\(status)")
        #expect(status.deliveredRequests == one.delivered + 1, "\(status)")
        if one.timeout == "30s" {
            #expect(status.retriedRequests == one.retried, "\(status)")
        } else {
            #expect(status.retriedRequests >= one.retried, "\(status)")
        }
        #expect(status.refusedRequests == one.refused, "\(status)")
        #expect(status.refusedPoints == one.refused * 25 && !status.isFailing, "\(status)")
        #expect(status.fileErrors == 0 && status.damagedRecords == 0, "\(status)")
        #expect(status.lastError?.contains(one.words) ?? one.words.isEmpty, "\(status)")
        let bodies = server.requests.map(\.body)
        // Each answer's own, what was tried again, the second.
        let again = one.delivered > 0 && one.retried > 0 ? 1 : 0
        #expect(bodies.count >= one.answers.count + again + 1)

        let file = folder.appendingPathComponent("sinks/s/refused")
        guard one.refused > 0 else {
            #expect(!FileManager.default.fileExists(atPath: file.path))
            return
        }
        let letter = try String(contentsOf: file, encoding: .utf8)
        let first = try #require(letter.split(separator: "\n").first)
        #expect(first.contains("25 points: \(one.words)"), "\(first)")
        #expect(letter.contains(String(decoding: bodies[one.answers.count - 1], as: UTF8.self)))
    }

    private static func value(_ name: String, in lines: [Substring]) -> Double? {
        lines.first { $0.hasPrefix("heapwire_sink_\(name){sink=\"x\"} ") }
            .flatMap { Double($0.split(separator: " ").last ?? "") }
    }

    /// What waits is shown with its size and age, and that the sink fails.
    @Test func whatWaitsIsShown() throws {
        let server = try SinkBackendServer([.status(503)])
        defer { server.stop() }
        let set = try SinkRun.make("opentsdb:http://127.0.0.1:\(server.port)?name=x")
        let cycles = SinkRun.cycles(2)
        for cycle in cycles { set.offer(SinkRun.batch(cycle)) }
        #expect(
            SinkRun.wait {
                set.statuses[0].retriedRequests > 0 && set.statuses[0].queuedRequests == 2
            })
        var text = PrometheusText()
        set.write(to: &text, now: cycles[0] + 7_000)
        let lines = String(decoding: text.bytes, as: UTF8.self).split(separator: "\n")
        #expect(Self.value("queue_requests", in: lines) == 2)
        #expect(Self.value("queue_bytes", in: lines) ?? 0 > 1_000)
        #expect(Self.value("queue_age_seconds", in: lines) == 7)
        #expect(Self.value("failing", in: lines) == 1)
        set.stop(timeoutMilliseconds: 1)
    }

    /// `/metrics` and `/api/v1/sinks` say the same, and all of it.
    @Test func everythingThatIsCountedIsShown() throws {
        let server = try SinkBackendServer([
            .status(500, body: "a \"quoted\" word"), .status(400, body: "no"), .status(204),
        ])
        defer { server.stop() }
        let set = try SinkRun.make("opentsdb:http://127.0.0.1:\(server.port)?timeout=1s&name=x")
        for cycle in SinkRun.cycles(3) { set.offer(SinkRun.batch(cycle)) }
        set.stop(timeoutMilliseconds: 60_000)
        let status = set.statuses[0]
        var text = PrometheusText()
        set.write(to: &text, now: (status.newestDeliveredCycle ?? 0) + 5_000)
        let lines = String(decoding: text.bytes, as: UTF8.self).split(separator: "\n")
        func value(_ name: String) -> Double? { Self.value(name, in: lines) }
        let numbers: [(String, Int)] = [
            ("delivered_requests_total", status.deliveredRequests),
            ("delivered_points_total", status.deliveredPoints),
            ("delivered_bytes_total", status.deliveredBytes),
            ("retried_requests_total", status.retriedRequests),
            ("refused_requests_total", status.refusedRequests),
            ("refused_points_total", status.refusedPoints),
            ("dropped_requests_total", 0), ("dropped_points_total", 0),
            ("skipped_cycles_total", 0), ("skipped_late_total", 0),
            ("skipped_amendments_total", 0), ("damaged_records_total", 0),
            ("file_errors_total", 0), ("missing_cycles", 0), ("standby", 0), ("failing", 0),
            ("queue_requests", 0), ("queue_bytes", 0), ("queue_age_seconds", 0),
        ]
        for (name, number) in numbers { #expect(value(name) == Double(number), "\(name)") }
        #expect(status.deliveredRequests == 2 && status.refusedRequests == 1)
        #expect(value("delivered_cycle_age_seconds") == 5)
        #expect(lines.contains { $0.hasPrefix("heapwire_sink_last_error_timestamp_seconds{") })
        var json = JSONWriter()
        status.write(to: &json, leaseHolder: "me")
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(json.bytes)) as? [String: Any])
        for (key, number) in status.numbers { #expect(object[key] as? Int == number, "\(key)") }
        #expect(object["leaseHolder"] as? String == "me" && object["standby"] as? Bool == false)
        #expect(object["lastError"] as? String == "HTTP 400 no")
    }
}
