import Testing
import Wire

@testable import Aggregator

@Suite struct RequestAdmissionTests {
    private final class OnePiece: HTTPBodyProducer {
        func produce(into piece: inout [UInt8]) -> Bool {
            piece.append(0x61)
            return false
        }
    }

    private static let large = HTTPResponse(.ok, body: .slowStream(OnePiece()))

    private func request(_ user: String?) throws -> HTTPRequest {
        let request = try get("/")
        if let user { request.setUser(user) }
        return request
    }

    /// The response, as far as the admission lets it be made; the work is kept by the caller.
    private func status(_ answer: HTTPAnswer) -> Int? {
        guard case .now(let response) = answer else { return nil }
        return response.status.code
    }

    @Test func aClientHasItsShareAndOthersHaveTheirs() throws {
        let admission = RequestAdmission(clientCountMax: 2, streamCountMax: 10)
        var held: [HTTPAnswer] = []
        for _ in 0..<2 {
            held.append(admission.admit(try request(nil), .onWorker { _ in .text(.ok, "a") }))
            #expect(status(held[held.count - 1]) == nil)
        }
        let refused = admission.admit(try request(nil), .onWorker { _ in .text(.ok, "a") })
        guard case .now(let response) = refused, case .bytes(let body) = response.body else {
            Issue.record("let in beyond the share")
            return
        }
        #expect(response.status == .tooManyRequests)
        #expect(response.fields.contains(HTTPField("Retry-After", "1")))
        let words = String(decoding: body, as: UTF8.self)
        #expect(
            words.contains("of this address") && words.contains("--api-max-requests-per-client"))
        #expect(admission.refusals == 1)
        // A user behind the same address, and what needs no work.
        #expect(
            status(admission.admit(try request("u"), .onWorker { _ in .text(.ok, "a") })) == nil)
        #expect(status(admission.admit(try request(nil), .now(.text(.ok, "a")))) == 200)
        // An answer that is dropped unmade, as a full queue does, gives its place back.
        held.removeLast()
        #expect(
            status(admission.admit(try request(nil), .onWorker { _ in .text(.ok, "a") })) == nil)
    }

    @Test func streamsHoldTheirPlaceUntilTheyEnd() throws {
        let admission = RequestAdmission(clientCountMax: 5, streamCountMax: 2)
        var first: HTTPAnswer? = admission.admit(try request("a"), .now(Self.large))
        let work = admission.admit(try request("b"), .onWorker { _ in Self.large })
        guard case .onWorker(let make) = work else {
            Issue.record("not let in")
            return
        }
        let second = make(try request("b"))
        #expect(second.status == .ok)
        #expect(status(admission.admit(try request("c"), .now(Self.large))) == 503)
        #expect(first.flatMap { status($0) } == 200)
        first = nil
        #expect(status(admission.admit(try request("c"), .now(Self.large))) == 200)
        withExtendedLifetime(second) {}
    }

    @Test func anAnswerThatIsTooLargeIsRefusedOrCutOff() throws {
        let limit = 500_000
        let admission = RequestAdmission(
            clientCountMax: 9, streamCountMax: 9, byteCountMax: limit)
        let server = try HTTPServer(listeningOn: .loopback(port: 0), remedy: "--port") { request in
            let size = Int(request.queryValue("size") ?? "") ?? 0
            let producer = CountingProducer(byteCount: size)
            let response: HTTPResponse =
                switch request.queryValue("form") {
                case "whole": .json([UInt8](repeating: 0x61, count: size))
                case "quick": HTTPResponse(.ok, body: .stream(producer))
                default: HTTPResponse(.ok, body: .slowStream(producer))
                }
            return request.queryValue("worker") == nil
                ? admission.admit(request, .now(response))
                : admission.admit(request, .onWorker { _ in response })
        }
        defer { server.shutdown(grace: .seconds(1)) }
        for suffix in ["", "&worker"] {
            for form in ["quick", "slow", "whole"] {
                let whole = try TestClient(server.address).get(
                    "/?form=\(form)&size=\(limit)\(suffix)")
                #expect(whole.status == 200 && whole.body.count == limit)
            }
            let refused = try TestClient(server.address).get(
                "/?form=whole&size=\(limit + 1)\(suffix)")
            #expect(refused.status == 400)
            #expect(
                String(decoding: refused.body, as: UTF8.self).contains("--api-max-response-bytes"))
            for form in ["quick", "slow"] {
                let before = server.counters.snapshot.failedAnswers
                // The end of the chunks is missing: no client takes that for a whole answer.
                let client = try TestClient(server.address)
                #expect(throws: (any Error).self) {
                    try client.get("/?form=\(form)&size=\(limit + 1)\(suffix)")
                }
                #expect(eventually { server.counters.snapshot.failedAnswers == before + 1 })
            }
        }
        #expect(try TestClient(server.address).get("/?size=5").status == 200)
    }

    @Test func overHTTPARefusedClientIsToldAndServedLater() throws {
        let admission = RequestAdmission(clientCountMax: 1, streamCountMax: 1)
        let server = try HTTPServer(listeningOn: .loopback(port: 0), remedy: "--port") { request in
            admission.admit(
                request,
                .now(HTTPResponse(.ok, body: .slowStream(CountingProducer(byteCount: 3_000_000)))))
        }
        defer { server.shutdown(grace: .seconds(1)) }
        let slow = try TestClient(server.address, receiveBufferByteCount: 4_096)
        slow.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        let other = try TestClient(server.address)
        #expect(eventually { server.counters.snapshot.responses[2] == 1 })
        let refused = try other.get("/")
        #expect(refused.status == 429 && refused.field("retry-after") == "1")
        #expect(try slow.response().body == CountingProducer.whole(3_000_000))
        var last = 429
        #expect(
            try eventually {
                last = try other.get("/").status
                return last == 200
            })
    }
}

/// Waits for a condition that may throw.
private func eventually(_ condition: () throws -> Bool) throws -> Bool {
    var failure: (any Error)?
    let isMet = eventually {
        do { return try condition() } catch {
            failure = error
            return true
        }
    }
    if let failure { throw failure }
    return isMet
}

@Suite struct APILimitFlagsTests {
    private func read(_ arguments: [String]) -> (flags: APILimitFlags, problems: [String]) {
        var line = CommandLine(arguments, flags: APILimitFlags.flags)
        let flags = APILimitFlags(&line)
        return (flags, line.problems)
    }

    @Test func theDefaultsAreTheStructures() {
        let (flags, problems) = read([])
        #expect(problems.isEmpty)
        let own = HTTPServerConfiguration()
        #expect(flags.server.limits.requestLineByteCountMax == own.limits.requestLineByteCountMax)
        #expect(flags.server.limits.headByteCountMax == own.limits.headByteCountMax)
        #expect(flags.server.limits.bodyByteCountMax == own.limits.bodyByteCountMax)
        #expect(flags.server.connectionCountMax == own.connectionCountMax)
        #expect(flags.server.handlerTimeout == own.handlerTimeout)
        let limits = APILimits()
        #expect(flags.limits.requestCountMax == limits.requestCountMax)
        #expect(flags.limits.streamCountMax == limits.streamCountMax)
        #expect(flags.limits.responseByteCountMax == limits.responseByteCountMax)
        #expect(flags.limits.pointCountMax == limits.pointCountMax)
        #expect(flags.limits.push.requestsPerSecond == limits.push.requestsPerSecond)
        #expect(flags.limits.push.samplesPerSecond == limits.push.samplesPerSecond)
        #expect(flags.limits.series.seriesCount == limits.series.seriesCount)
        #expect(flags.limits.series.seriesCountPerPod == limits.series.seriesCountPerPod)
    }

    @Test func eachFlagSetsItsOwnLimit() {
        let (flags, problems) = read([
            "--api-max-uri-bytes=1Ki", "--api-max-header-bytes=2Ki", "--api-max-body-bytes=3Ki",
            "--api-max-connections=4", "--api-request-timeout=5s",
            "--api-max-requests-per-client=6", "--api-max-streams=7", "--api-max-points=8",
            "--push-requests-per-second=9", "--push-samples-per-second=10",
            "--push-max-series=11", "--push-max-series-per-pod=12", "--api-max-response-bytes=1Mi",
        ])
        #expect(problems.isEmpty)
        let server = flags.server
        #expect(server.limits.requestLineByteCountMax == 1_024)
        #expect(server.limits.headByteCountMax == 2_048 && server.limits.bodyByteCountMax == 3_072)
        #expect(server.connectionCountMax == 4 && server.handlerTimeout == .seconds(5))
        #expect(flags.limits.requestCountMax == 6 && flags.limits.streamCountMax == 7)
        #expect(flags.limits.pointCountMax == 8 && flags.limits.responseByteCountMax == 1 << 20)
        #expect(flags.limits.push.requestsPerSecond == 9)
        #expect(flags.limits.push.samplesPerSecond == 10)
        #expect(flags.limits.series.seriesCount == 11)
        #expect(flags.limits.series.seriesCountPerPod == 12)
        server.validate()
    }

    @Test(arguments: [
        "--api-max-uri-bytes=1", "--api-max-header-bytes=65536", "--api-max-body-bytes=0",
        "--api-max-connections=0", "--api-request-timeout=0s", "--api-max-points=-1",
        "--push-max-series=x",
    ])
    func whatIsOutOfRangeIsReported(argument: String) {
        let (flags, problems) = read([argument])
        #expect(problems.count == 1, "\(problems)")
        flags.server.validate()
    }

    @Test func aURIIsPartOfTheHead() {
        let (flags, problems) = read(["--api-max-uri-bytes=32Ki", "--api-max-header-bytes=1Ki"])
        #expect(problems.count == 1 && problems[0].contains("--api-max-header-bytes"))
        flags.server.validate()
    }
}
