import Foundation
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// Lines that InfluxDB dropped, found among those that it stored.
struct InfluxPartialWriteTests {
    /// InfluxDB as far as dropping goes: fields that have another type, and lines that a limit keeps out.
    private struct Server {
        /// `measurement field` to the type that is there.
        var types: [String: String] = [:]
        var unwanted: Set<String> = []
        var stored: Set<String> = []
        var requestCount = 0

        private func conflict(_ line: String) -> String? {
            let words = line.split(separator: " ")
            let measurement = words[0].prefix { $0 != "," }
            for field in words[1].split(separator: ",") {
                let parts = field.split(separator: "=")
                let type = parts[1].hasSuffix("i") ? "integer" : "float"
                if let known = types["\(measurement) \(parts[0])"], known != type {
                    return "field type conflict: input field \"\(parts[0])\" on measurement "
                        + "\"\(measurement)\" is type \(type), already exists as type \(known)"
                }
            }
            return nil
        }

        mutating func write(_ body: [UInt8]) -> HTTPClientAnswer {
            requestCount += 1
            var (dropped, reason) = (0, "")
            let lines = String(decoding: body, as: UTF8.self).split(separator: "\n").map(
                String.init)
            for line in lines {
                let words = unwanted.contains(line) ? "a limit (9/8): x" : conflict(line)
                guard let words else {
                    stored.insert(line)
                    continue
                }
                if reason.isEmpty { reason = words }
                dropped += 1
            }
            guard dropped > 0 else { return HTTPClientAnswer(head: HTTPClientHead(status: 204)) }
            let text = reason.replacing("\"", with: "\\\"")
            return HTTPClientAnswer(
                head: HTTPClientHead(status: 400),
                body: Array("{\"error\":\"partial write: \(text) dropped=\(dropped)\"}\n".utf8))
        }
    }

    private static func body(_ lines: [String]) -> [UInt8] {
        Array(lines.map { $0 + "\n" }.joined().utf8)
    }

    /// Sends all lines and sorts what was dropped.
    private func sort(_ lines: [String], _ server: inout Server) throws -> DeliveryOutcome {
        let first = server.write(Self.body(lines))
        guard let write = InfluxPartialWrite(first) else { return .accepted }
        let parsed = try #require(InfluxLine.lines(of: Self.body(lines)))
        var sieve = InfluxLineSieve(parsed, write)
        while let part = sieve.next() {
            let answer = server.write(part)
            sieve.take(InfluxPartialWrite(answer).map { .partial($0) } ?? .accepted)
        }
        return sieve.outcome(cycle: 1, packing: .none)
    }

    private func refused(_ outcome: DeliveryOutcome) -> (lines: Set<String>, points: Int)? {
        guard case .partly(nil, let request?, _) = outcome else { return nil }
        let text = String(decoding: request.body, as: UTF8.self)
        return (Set(text.split(separator: "\n").map(String.init)), request.pointCount)
    }

    @Test func conflictsOfAnyNumberAreTakenOut() throws {
        for seed in 0..<200 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var server = Server()
            var lines: [String] = []
            for pod in 0..<Int.random(in: 1...40, using: &random) {
                for family in ["cpu", "memory", "network"] {
                    let fields = ["a", "b", "c"].map { field in
                        "\(field)=\(pod)" + (field == "c" ? ".5" : "i")
                    }
                    let count = Int.random(in: 1...3, using: &random)
                    lines.append(
                        "\(family),pod=p\(pod) \(fields.prefix(count).joined(separator: ",")) 10")
                }
            }
            for family in ["cpu", "memory", "network"] {
                for field in ["a", "b", "c"] where Bool.random(using: &random) {
                    server.types["\(family) \(field)"] =
                        Bool.random(using: &random) ? "string" : "integer"
                }
            }
            // What the server holds in the end, worked out field by field.
            var (kept, dropped): (Set<String>, Set<String>) = ([], [])
            for line in lines {
                let words = line.split(separator: " ")
                for field in words[1].split(separator: ",") {
                    let measurement = words[0].prefix { $0 != "," }
                    let known = server.types["\(measurement) \(field.prefix(1))"]
                    let isRefused =
                        known == "string" || known == "integer" && !field.hasSuffix("i")
                    if isRefused {
                        dropped.insert("\(words[0]) \(field) 10")
                    } else {
                        kept.insert("\(words[0]) \(field) 10")
                    }
                }
            }
            let outcome = try sort(lines, &server)
            let stored = Set(
                server.stored.flatMap { line -> [String] in
                    let words = line.split(separator: " ")
                    return words[1].split(separator: ",").map { "\(words[0]) \($0) 10" }
                })
            #expect(stored == kept, "seed \(seed)")
            if dropped.isEmpty {
                #expect(outcome == .accepted)
            } else {
                let found = try #require(refused(outcome), "seed \(seed): \(outcome)")
                #expect(found.lines == dropped && found.points == dropped.count, "seed \(seed)")
            }
            // One for each field in conflict, beside the first.
            #expect(server.requestCount <= 1 + 9, "seed \(seed): \(server.requestCount)")
        }
    }

    @Test func aFewLinesThatNothingNamesAreFound() throws {
        for seed in 0..<100 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            let lines = (0..<Int.random(in: 2...5_000, using: &random)).map { "m,n=\($0) v=1i 10" }
            var server = Server()
            server.unwanted = [try #require(lines.randomElement(using: &random))]
            if lines.count < 1_000 { server.unwanted.insert(lines[lines.count - 1]) }
            let wanted = Set(lines).subtracting(server.unwanted)
            let found = try #require(refused(try sort(lines, &server)), "seed \(seed)")
            #expect(found.lines == server.unwanted && found.points == found.lines.count)
            #expect(server.stored == wanted)
            #expect(server.requestCount <= 1 + InfluxLineSieve.exchangeCountMax)
        }
    }

    /// A limit that keeps out very many lines: not searched for, set aside together, counted right.
    @Test func manyLinesThatNothingNamesCostNoRequests() throws {
        let lines = (0..<1_000).map { "m,n=\($0) v=1i 10" }
        var server = Server()
        server.unwanted = Set(lines[300..<700])
        let found = try #require(refused(try sort(lines, &server)))
        #expect(found.lines == Set(lines) && found.points == 400)
        #expect(server.requestCount == 1 && server.stored.count == 600)
    }

    /// A server that fails in the middle: what is not known yet is sent again, what is known is set aside.
    @Test func whatIsUnknownWhenTheServerFailsIsSentAgain() throws {
        let lines = (0..<64).map { "m,n=\($0) v=1i 10" }
        var server = Server()
        server.unwanted = [lines[10], lines[50]]
        for failing in 1...20 {
            let write = try #require(InfluxPartialWrite(server.write(Self.body(lines))))
            var sieve = InfluxLineSieve(try #require(InfluxLine.lines(of: Self.body(lines))), write)
            var count = 0
            while let part = sieve.next() {
                count += 1
                if count == failing {
                    sieve.take(.failed(reason: "HTTP 503"))
                } else {
                    let answer = server.write(part)
                    sieve.take(InfluxPartialWrite(answer).map { .partial($0) } ?? .accepted)
                }
            }
            let outcome = sieve.outcome(cycle: 1, packing: .none)
            guard case .partly(let remaining, let refused, let reason) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            #expect((remaining != nil) == (count == failing))
            #expect(remaining == nil || reason.contains("HTTP 503"))
            let texts = [remaining, refused].compactMap(\.self).map {
                String(decoding: $0.body, as: UTF8.self).split(separator: "\n").map(String.init)
            }
            // Nothing is lost, nothing is in both.
            let left = texts.flatMap(\.self)
            #expect(Set(left).count == left.count && server.unwanted.isSubset(of: left))
            #expect(refused.map { $0.pointCount <= 2 } ?? true)
        }
    }

    @Test func namesWithEscapesAreFound() throws {
        let text = #"a\ b\,c,tag=x\=y f\ 1=1i,g\,2=2.5,h=3i 10"#
        let line = try #require(InfluxLine(Array(text.utf8)[...]))
        #expect(line.pointCount == 3)
        let split = try #require(line.removing("g,2", of: "a b,c", type: "float"))
        #expect(
            String(decoding: split.removed.bytes, as: UTF8.self) == #"a\ b\,c,tag=x\=y g\,2=2.5 10"#
        )
        let rest = try #require(split.rest)
        #expect(String(decoding: rest.bytes, as: UTF8.self) == #"a\ b\,c,tag=x\=y f\ 1=1i,h=3i 10"#)
        #expect(line.removing("g,2", of: "a b,c", type: "integer") == nil)
        #expect(line.removing("g,2", of: "a b", type: "float") == nil)
        #expect(line.removing("f 1", of: "a b,c", type: "integer")?.rest?.pointCount == 2)
        #expect(line.removing("h", of: "a b,c", type: "unsigned")?.rest?.pointCount == 2)
        for cut in 0..<text.utf8.count {
            // No trap, whatever is missing.
            _ = InfluxLine(Array(text.utf8.prefix(cut))[...])?.removing("h", of: "a b,c", type: "")
        }
    }

    /// Answers as versions 1 and 2 give them.
    @Test(arguments: [
        (400, #"{"error":"partial write: points beyond retention policy dropped=24"}"#, 24),
        (
            422,
            #"{"code":"unprocessable entity","message":"failure writing points to database: partial write: dropped 5 points outside retention policy of duration 24h0m0s dropped=5 for database: 91 for retention policy: autogen"}"#,
            5
        ),
        (
            500,
            #"{"code":"internal error","message":"unexpected error writing points to database: partial write: points beyond retention policy dropped=1"}"#,
            1
        ),
    ])
    func answersOfBothVersionsAreRead(status: Int, body: String, count: Int) throws {
        let answer = HTTPClientAnswer(head: HTTPClientHead(status: status), body: Array(body.utf8))
        let write = try #require(InfluxPartialWrite(answer))
        #expect(write.droppedLineCount == count && write.conflict == nil)
        #expect(write.reason.hasPrefix("HTTP \(status) partial write: "))
    }

    @Test func aConflictIsReadAndDamageIsHarmless() throws {
        let body =
            #"{"error":"partial write: field type conflict: input field \"value\" on measurement \"memory/usage\" is type integer, already exists as type string dropped=5"}"#
        func read(_ body: [UInt8]) -> InfluxPartialWrite? {
            InfluxPartialWrite(HTTPClientAnswer(head: HTTPClientHead(status: 400), body: body))
        }
        #expect(
            read(Array(body.utf8))?.conflict
                == .init(measurement: "memory/usage", field: "value", type: "integer"))
        let lines = try #require(
            InfluxLine.lines(of: Array("memory/usage,a=b value=1i 10\nx v=1i 10\n".utf8)))
        for seed in 0..<2_000 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var damaged = Array(body.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: damaged.indices, using: &random)
                damaged[index] = UInt8.random(in: 0...255, using: &random)
            }
            guard let write = read(damaged) else { continue }
            var sieve = InfluxLineSieve(lines, write)
            var count = 0
            // A server that always says the same.
            while sieve.next() != nil, count < 200 {
                count += 1
                sieve.take(.partial(write))
            }
            #expect(count <= InfluxLineSieve.exchangeCountMax, "seed \(seed)")
        }
    }
}
