import Testing
import Wire

@testable import Aggregator

@Suite struct HTTPServerTests {
    @Test func aConnectionIsUsedAgainAndAnswersStayInOrder() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        for _ in 0..<3 { #expect(try client.get("/small").text == "small") }
        // Sent ahead in one packet: quick ones behind slow ones.
        let paths = (0..<200).map { number in
            number % 20 == 3
                ? "/worker/3"
                : number % 20 == 7
                    ? "/later"
                    : number % 20 == 9
                        ? "/slow/100000" : "/text/\(number)"
        }
        client.send(paths.map { "GET \($0) HTTP/1.1\r\nHost: h\r\n\r\n" }.joined())
        for (number, path) in paths.enumerated() {
            let response = try client.response()
            let expected =
                switch path {
                case "/worker/3": Array("worked".utf8)
                case "/later": Array("later".utf8)
                case "/slow/100000": CountingProducer.whole(100_000)
                default: Array("\(number)".utf8)
                }
            #expect(response.status == 200 && response.body == expected, "\(path)")
        }
        #expect(server.counters.snapshot.responses[2] == 203)
        #expect(server.counters.snapshot.acceptedConnections == 1)
    }

    @Test func requestsInPiecesOfOneByteAreAnswered() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        let text =
            "\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
            + "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: v\r\n\r\nGET /small HTTP/1.1\r\nHost: h\r\n\r\n"
        for byte in text.utf8 { client.send([byte]) }
        #expect(try client.response().text == "abcde")
        #expect(try client.response().text == "small")
    }

    @Test func headHasTheFieldsOfGetAndNoBody() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        client.send(
            "HEAD /small HTTP/1.1\r\nHost: h\r\n\r\nHEAD /stream/9 HTTP/1.1\r\nHost: h\r\n\r\n")
        let first = try client.response(hasBody: false)
        #expect(first.status == 200 && first.field("content-length") == "5")
        #expect(try client.response(hasBody: false).status == 200)
        let empty = try client.get("/empty")
        #expect(empty.status == 204 && empty.field("content-length") == nil)
        #expect(try client.get("/small").text == "small")
    }

    @Test func closeAndOldVersionsEndTheConnection() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        for text in [
            "GET /small HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
            "GET /small HTTP/1.0\r\n\r\n",
        ] {
            let client = try TestClient(server.address)
            client.send(text)
            let response = try client.response()
            #expect(response.text == "small" && response.field("connection") == "close")
            #expect(try client.readToEnd().isEmpty)
        }
        let kept = try TestClient(server.address)
        kept.send("GET /small HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        #expect(try kept.response().field("connection") == "keep-alive")
        kept.send("GET /stream/100000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        let all = try kept.readToEnd()
        #expect(all.utf8.suffix(100_000).elementsEqual(CountingProducer.whole(100_000)))
        #expect(!all.contains("Transfer-Encoding"))
    }

    @Test func aHalfClosedClientGetsItsAnswer() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        client.send("GET /stream/1000000 HTTP/1.1\r\nHost: h\r\n\r\n")
        client.finishWriting()
        #expect(try client.response().body == CountingProducer.whole(1_000_000))
        #expect(try client.readToEnd().isEmpty)
    }

    @Test func clientsThatWaitAreToldToContinue() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        let head = "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: "
        client.send(head + "4\r\n\r\n")
        #expect(try client.response().status == 100)
        client.send("body")
        #expect(try client.response().text == "body")
        client.send(head + "5000000\r\n\r\n")
        #expect(try client.response().status == 413)
    }

    @Test func malformedRequestsAreAnsweredAndTheServerStaysHealthy() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        for (text, refusal) in RequestParsingTests.malformed {
            let client = try TestClient(server.address)
            // Sent behind it, this must never be taken for a request.
            client.send(text + "GET /small HTTP/1.1\r\nHost: h\r\n\r\n")
            let response = try client.response()
            #expect(response.status == refusal.status.code, "\(text.prefix(80).debugDescription)")
            #expect(response.text.hasPrefix(refusal.reason.description))
            let isLimit = [413, 414, 431].contains(refusal.status.code)
            #expect(response.text.contains("(--api-max-") == isLimit, "\(response.text)")
            #expect(response.field("connection") == "close")
            client.finishWriting()
            #expect(try client.readToEnd().isEmpty)
        }
        let count = UInt64(RequestParsingTests.malformed.count)
        #expect(server.counters.snapshot.refusedRequests == count)
        #expect(try TestClient(server.address).get("/small").text == "small")
        #expect(eventually { server.counters.snapshot.openConnections == 0 })
    }

    @Test func largeAnswersReachSlowReadersWholeAndAreNotBuffered() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        for kind in ["stream", "slow", "whole"] {
            let client = try TestClient(server.address, receiveBufferByteCount: 4_096)
            #expect(try client.get("/\(kind)/3000000").body == CountingProducer.whole(3_000_000))
            #expect(try client.get("/small").text == "small")
        }
    }

    @Test func aClientThatSendsAheadWithoutReadingIsHeldBackNotCutOff() throws {
        let server = try startServer { $0.loopCount = 1 }
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address, receiveBufferByteCount: 4_096)
        // 60 MB of answers to 12 KB of requests.
        let count = 300
        client.send(
            String(repeating: "GET /whole/200000 HTTP/1.1\r\nHost: h\r\n\r\n", count: count))
        _ = eventuallyNever()
        let held = try TestClient(server.address).get("/small")
        #expect(held.text == "small")
        // What the two sockets' buffers hold, and what waits in the server, but not all of it.
        #expect(server.counters.snapshot.responses[2] < 100)
        let expected = CountingProducer.whole(200_000)
        for _ in 0..<count { #expect(try client.response().body == expected) }
        #expect(try client.get("/small").text == "small")
    }

    @Test func fullWorkersAreSaidToBeFull() throws {
        let server = try startServer {
            $0.workerCount = 1
            $0.workerQueueCountMax = 1
        }
        defer { server.shutdown(grace: .seconds(1)) }
        let clients = try (0..<4).map { _ in try TestClient(server.address) }
        clients[0].send("GET /worker/400 HTTP/1.1\r\nHost: h\r\n\r\n")
        usleepBriefly()
        for client in clients[1...] { client.send("GET /worker/1 HTTP/1.1\r\nHost: h\r\n\r\n") }
        let answers = try clients.map { try $0.response() }
        #expect(answers[0].text == "worked")
        #expect(answers.filter { $0.status == 503 }.count == 2)
        #expect(answers.first { $0.status == 503 }?.field("retry-after") == "1")
        #expect(server.counters.snapshot.overloadedRequests == 2)
    }

    @Test func aRequestThatIsKeptIsNotOverwrittenByTheNext() throws {
        let server = try startServer { $0.loopCount = 1 }
        defer { server.shutdown(grace: .seconds(1)) }
        let slow = try (0..<4).map { _ in try TestClient(server.address) }
        let quick = try TestClient(server.address)
        for (number, client) in slow.enumerated() {
            client.send("GET /kept/mine\(number) HTTP/1.1\r\nHost: h\r\n\r\n")
            for other in 0..<20 { #expect(try quick.get("/text/o\(other)").text == "o\(other)") }
        }
        for (number, client) in slow.enumerated() {
            #expect(try client.response().text == "mine\(number)")
        }
    }

    @Test func anAnswerNobodyMakesIsAnError() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        #expect(try client.get("/never").status == 500)
        #expect(try client.get("/small").text == "small")
    }

    @Test func tooManyConnectionsAreTurnedAway() throws {
        let server = try startServer { $0.connectionCountMax = 2 }
        defer { server.shutdown(grace: .seconds(1)) }
        let kept = try (0..<2).map { _ in try TestClient(server.address) }
        for client in kept { #expect(try client.get("/small").status == 200) }
        let refused = try TestClient(server.address)
        #expect(try refused.response().text == "too many connections\n")
        #expect(try refused.readToEnd().isEmpty)
        #expect(server.counters.snapshot.refusedConnections == 1)
        for client in kept { #expect(try client.get("/small").status == 200) }
    }

    @Test func aClientThatLeavesCancelsItsRequest() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        for reset in [false, true] {
            let client = try TestClient(server.address)
            client.send("GET /worker/60000 HTTP/1.1\r\nHost: h\r\n\r\n")
            usleepBriefly()
            if reset { client.reset() } else { client.finishWriting() }
            if !reset { #expect(try client.response().text == "cancelled") }
            // The worker is free again long before its minute is over.
            #expect(eventually { server.counters.snapshot.openConnections == 0 })
        }
        #expect(server.counters.snapshot.abandonedRequests == 1)
        #expect(try TestClient(server.address).get("/worker/1").text == "worked")
    }

    @Test func shutdownFinishesWhatIsInWorkAndAcceptsNoMore() throws {
        let server = try startServer()
        let idle = try TestClient(server.address)
        #expect(try idle.get("/small").text == "small")
        let busy = try TestClient(server.address)
        busy.send("GET /worker/300 HTTP/1.1\r\nHost: h\r\n\r\n")
        usleepBriefly()
        server.shutdown(grace: .seconds(5))
        let response = try busy.response()
        #expect(response.text == "worked" && response.field("connection") == "close")
        #expect(try idle.readToEnd().isEmpty)
        #expect(server.counters.snapshot.openConnections == 0)
    }

    @Test func shutdownCutsOffWhatOutlivesTheGrace() throws {
        let server = try startServer()
        let busy = try TestClient(server.address)
        busy.send("GET /worker/60000 HTTP/1.1\r\nHost: h\r\n\r\n")
        usleepBriefly()
        let clock = ContinuousClock()
        let time = clock.measure { server.shutdown(grace: .milliseconds(200)) }
        #expect(time < .seconds(5))
        #expect(try busy.readToEnd().isEmpty)
    }

    /// Long enough for a request on loopback to reach its handler.
    private func usleepBriefly() { _ = eventuallyNever() }
    private func eventuallyNever() -> Bool {
        var count = 0
        return eventually {
            count += 1
            return count > 10
        }
    }
}
