import Testing
import Wire

@testable import Aggregator

/// Time limits, shortened.
@Suite struct SlowClientTests {
    private func server() throws -> HTTPServer {
        try startServer {
            $0.headTimeout = .milliseconds(300)
            $0.bodyTimeout = .milliseconds(300)
            $0.idleTimeout = .milliseconds(300)
            $0.writeTimeout = .milliseconds(300)
            $0.handlerTimeout = .milliseconds(300)
            $0.lingerTimeout = .milliseconds(300)
        }
    }

    private func timeouts(_ server: HTTPServer, _ kind: HTTPCounters.Timeout) -> UInt64 {
        server.counters.snapshot.timeouts[kind.rawValue]
    }

    @Test func slowHeadsAreCutOffHoweverSteadilyTheyDrip() throws {
        let server = try server()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        let clock = ContinuousClock()
        let start = clock.now
        client.send("GET /small HTTP/1.1\r\n")
        var sent = 0
        while timeouts(server, .head) == 0, sent < 500 {
            client.send("A: b\r\n")
            _ = eventuallyOnce()
            sent += 1
        }
        #expect(sent < 90)
        #expect(clock.now - start < .seconds(3))
        #expect(try client.response().status == 408)
    }

    @Test func silentNewConnectionsAreClosed() throws {
        let server = try server()
        defer { server.shutdown(grace: .seconds(1)) }
        #expect(try TestClient(server.address).readToEnd().isEmpty)
        #expect(timeouts(server, .head) == 1)
    }

    @Test func slowBodiesAreCutOff() throws {
        let server = try server()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        client.send("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        #expect(try client.response().status == 408)
        #expect(timeouts(server, .body) == 1)
    }

    @Test func idleConnectionsAreClosedSilently() throws {
        let server = try server()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        #expect(try client.get("/small").status == 200)
        #expect(try client.readToEnd().isEmpty)
        #expect(timeouts(server, .idle) == 1)
    }

    @Test func clientsThatDoNotReadAreCutOff() throws {
        let server = try server()
        defer { server.shutdown(grace: .seconds(1)) }
        for path in ["/stream/50000000", "/slow/50000000"] {
            let before = timeouts(server, .write)
            let client = try TestClient(server.address, receiveBufferByteCount: 4_096)
            client.send("GET \(path) HTTP/1.1\r\nHost: h\r\n\r\n")
            #expect(eventually { timeouts(server, .write) == before + 1 })
            #expect(eventually { server.counters.snapshot.openConnections == 0 })
        }
    }

    @Test func slowHandlersAreAnsweredForAndTheirAnswerIsDropped() throws {
        let server = try server()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        let response = try client.get("/worker/60000")
        #expect(response.status == 503 && response.field("connection") == "close")
        #expect(try client.readToEnd().isEmpty)
        #expect(timeouts(server, .handler) == 1)
        // Cancelled, so the worker is free.
        #expect(try TestClient(server.address).get("/worker/1").text == "worked")
    }

    @Test func clientsThatDoNotCloseAfterARefusalAreCutOff() throws {
        let server = try server()
        defer { server.shutdown(grace: .seconds(1)) }
        let client = try TestClient(server.address)
        client.send("nonsense\r\n\r\n")
        #expect(try client.response().status == 400)
        #expect(eventually { timeouts(server, .linger) == 1 })
        #expect(eventually { server.counters.snapshot.openConnections == 0 })
        withExtendedLifetime(client) {}
    }

    /// About 10 ms.
    private func eventuallyOnce() -> Bool {
        var isSecond = false
        return eventually {
            defer { isSecond = true }
            return isSecond
        }
    }
}
