import Foundation
import Testing
import Wire

@testable import Aggregator

@Suite struct HTTPClientTests {
    private func client(_ server: ScriptedServer, _ timeouts: HTTPTimeouts = HTTPTimeouts()) throws
        -> HTTPClient
    {
        HTTPClient(
            HTTPDestination(try HTTPURL(parsing: "http://127.0.0.1:\(server.port)")),
            timeouts: timeouts)
    }

    /// What one answer, in pieces, comes to.
    private func body(_ pieces: [[UInt8]], gzip: Bool = false) throws -> (Int, [UInt8]) {
        let server = try ScriptedServer { _, _ in pieces.map { .send($0) } + [.close] }
        defer { server.stop() }
        var request = HTTPClientRequest(.get, "/x?y=1")
        request.acceptsGzip = gzip
        let answer = try client(server).send(request, bodyLimit: 1 << 22)
        let (head, body) = (answer.head, answer.body)
        return (head.status, body)
    }

    @Test func answersAreReadWhereverThePiecesEnd() throws {
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A:  b \r\n\r\n5;a=b\r\nhello\r\n"
            + "1\r\n \r\n6\r\nworld!\r\n0\r\nTrailer: x\r\n\r\n"
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nhello world!",
            chunked, "HTTP/1.1 200\r\n\r\nhello world!",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nhello world!",
        ] {
            let bytes = Array(text.utf8)
            for cut in stride(from: 1, to: bytes.count, by: 3) {
                do {
                    let (status, body) = try body([Array(bytes[..<cut]), Array(bytes[cut...])])
                    #expect(
                        status == 200 && String(decoding: body, as: UTF8.self) == "hello world!")
                } catch {
                    Issue.record("cut at \(cut) of \(text): \(error)")
                }
            }
        }
    }

    /// Seconds, or a date that counts from the answer's own.
    @Test func whenToTryAgainIsReadInBothForms() throws {
        func seconds(_ fields: String) throws -> Int? {
            let text = Array("HTTP/1.1 503 X\r\n\(fields)\r\n\r\n".utf8)
            let head = try text.withUnsafeBytes { try HTTPClientHead(parsing: $0) }
            return HTTPClientAnswer(head: head).retryAfterSeconds
        }
        let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        let cases: [(String, Int?)] = [
            ("Retry-After: 7", 7), ("retry-after: 0", 0), ("X: 7", nil),
            ("Retry-After: -1", nil), ("Retry-After: 86400", nil), ("Retry-After: soon", nil),
            ("Retry-After: 99999999999999999999", nil),
            (date + "Retry-After: Sun, 06 Nov 1994 08:51:07 GMT", 90),
            (date + "Retry-After: Sat, 05 Nov 1994 08:49:37 GMT", 0),
            (date + "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", nil),
            ("Retry-After: Sun, 06 Nov 1994 08:51:07 GMT", nil),
            (date + "Retry-After: Sun, 31 Feb 1994 08:51:07 GMT", nil),
            (date + "Retry-After: Sunday, 06-Nov-94 08:51:07 GMT", nil),
        ]
        for (fields, expected) in cases { #expect(try seconds(fields) == expected, "\(fields)") }
    }

    /// A chunk's size comes in two halves, the second with all the rest, and the connection stays:
    /// waiting for more than that would never end.
    @Test func aSplitChunkLineDoesNotWaitForMoreThanThereIs() throws {
        let server = try ScriptedServer { _, _ in
            [
                .send(Array("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a".utf8)),
                .pause(milliseconds: 100), .send(Array("=b\r\nhello\r\n0\r\n\r\n".utf8)),
            ]
        }
        defer { server.stop() }
        let quick = try client(server, HTTPTimeouts(idleSeconds: 2))
        #expect(try quick.send(HTTPClientRequest(.get, "/")).body == Array("hello".utf8))
    }

    @Test func answersThatAreCutAreErrorsAtEveryByte() throws {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ] {
            let bytes = Array(text.utf8)
            for count in 0..<bytes.count {
                let error = #expect(throws: HTTPClientError.self, "\(count)") {
                    try body([Array(bytes[..<count])])
                }
                guard case .truncated? = error else {
                    Issue.record("cut at \(count): \(String(describing: error))")
                    continue
                }
            }
        }
    }

    @Test(arguments: [
        "HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 999 X\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
    ]) func answersThatAreNotHTTPAreRefused(text: String) throws {
        let error = #expect(throws: HTTPClientError.self) { try body([Array(text.utf8)]) }
        guard case .malformedResponse? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func gzipIsReadWhereverThePiecesEndAndItsCutIsAnError() throws {
        let plain = (0..<20_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 5) }
        let packed = try Self.gzip(plain)
        let head = Array(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(packed.count)\r\n\r\n"
                .utf8)
        for cut in stride(from: 1, to: packed.count, by: packed.count / 40) {
            let (_, read) = try body([head + packed[..<cut], Array(packed[cut...])], gzip: true)
            #expect(read == plain)
            let short = Array(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: \(cut)\r\n\r\n".utf8)
            #expect(throws: HTTPClientError.self) { try body([short + packed[..<cut]], gzip: true) }
        }
    }

    private static func gzip(_ bytes: [UInt8]) throws -> [UInt8] {
        let compressor = try #require(Compressor(coding: .gzip, level: 6))
        var packed: [UInt8] = []
        bytes.withUnsafeBytes { compressor.compress($0, isLast: true, into: &packed) }
        return packed
    }

    @Test func connectionsAreKeptAndReplacedWhenTheyWentStale() throws {
        let server = try ScriptedServer { request, connection in
            if request.hasPrefix("GET /bye") { return [.send(answer("200 OK", "x")), .close] }
            return [.send(answer("200 OK", "\(connection)"))]
        }
        defer { server.stop() }
        let client = try client(server)
        func number() throws -> String {
            String(decoding: try client.send(HTTPClientRequest(.get, "/")).body, as: UTF8.self)
        }
        #expect(try number() == "1" && number() == "1")
        _ = try client.send(HTTPClientRequest(.get, "/bye"))
        // Without saying so the server closed it.
        #expect(try number() == "2")
        #expect(server.connectionCount == 2)
    }

    @Test func aConnectionThatDiesUnderARepeatableRequestIsReplacedOnce() throws {
        let server = try ScriptedServer { request, connection in
            connection == 1 && request.contains("/second")
                ? [.close] : [.send(answer("200 OK", "\(connection)"))]
        }
        defer { server.stop() }
        let client = try client(server)
        _ = try client.send(HTTPClientRequest(.get, "/first"))
        #expect(try client.send(HTTPClientRequest(.get, "/second")).body == [UInt8(ascii: "2")])
        // A POST might have been acted upon: the caller must decide.
        let other = try ScriptedServer { request, _ in
            request.hasPrefix("POST") ? [.close] : [.send(answer("200 OK", ""))]
        }
        defer { other.stop() }
        let second = try self.client(other)
        _ = try second.send(HTTPClientRequest(.get, "/"))
        #expect(throws: HTTPClientError.self) { try second.send(HTTPClientRequest(.post, "/")) }
        #expect(other.requests.count == 2)
    }

    @Test func requestsAreWrittenAsMeant() throws {
        let server = try ScriptedServer { _, _ in [.send(answer("201 Created", ""))] }
        defer { server.stop() }
        var request = HTTPClientRequest(.post, "/a%20b?c=d")
        request.body = Array("{}".utf8)
        request.fields = [(name: "Authorization", value: "Bearer t")]
        request.acceptsGzip = true
        #expect(try client(server).send(request).head.status == 201)
        #expect(
            server.requests == [
                "POST /a%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:\(server.port)\r\nContent-Length: 2\r\n"
                    + "Accept-Encoding: gzip\r\nAuthorization: Bearer t\r\n\r\n{}"
            ])
        request.fields = [(name: "Authorization", value: "t\r\nEvil: 1")]
        #expect(throws: HTTPClientError.malformedField(name: "Authorization")) {
            try client(server).send(request)
        }
        #expect(throws: HTTPClientError.self) {
            try client(server).send(HTTPClientRequest(.get, "/ x"))
        }
    }

    @Test func silenceEndsInATimeOutAndInterruptionsEndAtOnce() throws {
        let server = try ScriptedServer { request, _ in
            request.contains("/head")
                ? [.pause(milliseconds: 3_000)]
                : [
                    .send(Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab".utf8)),
                    .pause(milliseconds: 3_000),
                ]
        }
        defer { server.stop() }
        let quick = try client(
            server, HTTPTimeouts(connectSeconds: 1, headSeconds: 1, idleSeconds: 1))
        #expect(
            throws: HTTPClientError.timedOut(
                what: .answer, host: "127.0.0.1:\(server.port)", seconds: 1)
        ) { try quick.send(HTTPClientRequest(.get, "/head")) }
        let error = #expect(throws: HTTPClientError.self) {
            try quick.send(HTTPClientRequest(.get, "/body"))
        }
        guard case .timedOut(what: .body, _, _)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }

        let interruption = try Interruption()
        let slow = try client(server)
        Thread.detachNewThread {
            usleep(200_000)
            interruption.interrupt()
        }
        let began = Date()
        #expect(throws: HTTPClientError.interrupted) {
            try slow.send(HTTPClientRequest(.get, "/head"), interruption: interruption)
        }
        #expect(Date().timeIntervalSince(began) < 1.5)
        #expect(!interruption.sleep(milliseconds: 60_000))
    }

    @Test func bodiesOfAnyLengthStreamAndLimitsHold() throws {
        let piece = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        let server = try ScriptedServer { _, _ in
            [.send(Array("HTTP/1.1 200 OK\r\nContent-Length: \(32 << 20)\r\n\r\n".utf8))]
                + (0..<32).map { _ in .send(piece) }
        }
        defer { server.stop() }
        let client = try client(server)
        let response = try client.open(HTTPClientRequest(.get, "/"))
        var byteCount = 0
        try response.readBody { piece in
            byteCount += piece.count
            return true
        }
        #expect(byteCount == 32 << 20)
        #expect(throws: HTTPClientError.bodyTooLarge(limit: 1_000)) {
            try client.send(HTTPClientRequest(.get, "/"), bodyLimit: 1_000)
        }
    }

    @Test func refusedConnectionsNameTheAddress() throws {
        let server = try ScriptedServer { _, _ in [] }
        server.stop()
        let error = #expect(throws: HTTPClientError.self) {
            try client(server).send(HTTPClientRequest(.get, "/"))
        }
        #expect(
            error?.description == "cannot connect to 127.0.0.1:\(server.port): connection refused")
    }

    @Test func proxiesGetTheWholeURLOrATunnel() throws {
        let proxy = try ScriptedServer { request, _ in
            request.hasPrefix("CONNECT")
                ? [.send(answer("403 Forbidden", ""))] : [.send(answer("200 OK", "via"))]
        }
        defer { proxy.stop() }
        let through = try HTTPProxy(parsing: "http://user:p%40ss@127.0.0.1:\(proxy.port)")
        let plain = HTTPClient(
            HTTPDestination(try HTTPURL(parsing: "http://example.test:81"), proxy: through))
        #expect(try plain.send(HTTPClientRequest(.get, "/a")).body == Array("via".utf8))
        #expect(
            proxy.requests[0].hasPrefix(
                "GET http://example.test:81/a HTTP/1.1\r\nHost: example.test:81\r\n"))
        #expect(proxy.requests[0].contains("Proxy-Authorization: Basic dXNlcjpwQHNz\r\n"))
        let tunnel = HTTPClient(
            HTTPDestination(try HTTPURL(parsing: "https://example.test"), proxy: through))
        #expect(
            throws: HTTPClientError.proxyRefused(proxy: "127.0.0.1:\(proxy.port)", status: 403)
        ) { try tunnel.send(HTTPClientRequest(.get, "/a")) }
        #expect(proxy.requests[1].hasPrefix("CONNECT example.test:443 HTTP/1.1\r\n"))
    }
}

@Suite struct HTTPAddressTests {
    @Test func urlsAreTakenApart() throws {
        let url = try HTTPURL(parsing: "https://u:p%20w@host.example:6443/k8s/clusters/c-1/?a=b")
        #expect(url.scheme == .https && url.host == "host.example" && url.port == 6_443)
        #expect(url.path == "/k8s/clusters/c-1" && url.query == "a=b" && url.userInfo == "u:p w")
        #expect(url.description == "https://host.example:6443/k8s/clusters/c-1")
        let address = try HTTPURL(parsing: "http://[::1]")
        #expect(address.host == "::1" && address.port == 80 && address.hostField == "[::1]")
        #expect(try HTTPURL(parsing: "https://a").hostField == "a")
    }

    @Test(arguments: [
        "", "a.b", "ftp://a", "https://", "http://a:0", "http://a:x", "http://a/b c", "http://a#f",
        "http://[::1", "http://é",
    ])
    func unusableURLs(text: String) {
        #expect(throws: HTTPClientError.self) { try HTTPURL(parsing: text) }
    }

    @Test func errorsDoNotShowPasswords() {
        let error = #expect(throws: HTTPClientError.self) {
            try HTTPURL(parsing: "http://me:secret@h:x")
        }
        #expect(error.map { !"\($0)".contains("secret") && "\($0)".contains("@h:x") } == true)
    }

    @Test func theEnvironmentsProxyRulesAreGos() throws {
        func proxy(_ url: String, _ environment: [String: String]) throws -> String? {
            try HTTPProxy.fromEnvironment(for: HTTPURL(parsing: url), environment)?.url.hostField
        }
        let both = ["HTTPS_PROXY": "http://p:3128", "http_proxy": "q:8080"]
        #expect(try proxy("https://a.example", both) == "p:3128")
        #expect(try proxy("http://a.example", both) == "q:8080")
        #expect(try proxy("https://127.0.0.1:1", both) == nil)
        #expect(try proxy("https://localhost", both) == nil)
        #expect(try proxy("https://a.example", [:]) == nil)
        func excluded(_ rules: String, _ url: String) throws -> Bool {
            try proxy(url, both.merging(["NO_PROXY": rules]) { $1 }) == nil
        }
        #expect(try excluded("*", "https://a.example"))
        #expect(
            try excluded("x, example", "https://a.example")
                && excluded("a.example", "https://a.example"))
        #expect(try !excluded("b.example", "https://ab.example"))
        #expect(
            try excluded(".example", "https://a.example")
                && !excluded(".example", "https://example"))
        #expect(
            try excluded("10.0.0.0/8", "https://10.9.8.7")
                && !excluded("10.0.0.0/8", "https://11.0.0.1"))
        #expect(
            try excluded("10.1.2.3", "https://10.1.2.3")
                && !excluded("10.1.2.3", "https://10.1.2.4"))
        #expect(
            try excluded("fd00::/8", "https://[fd00::1]")
                && !excluded("fd00::/8", "https://[fe00::1]"))
        #expect(
            try excluded("a.example:443", "https://a.example")
                && !excluded("a.example:80", "https://a.example"))
        #expect(throws: HTTPClientError.self) {
            try proxy("https://a", ["HTTPS_PROXY": "socks5://p:1"])
        }
    }

    @Test func base64RoundTripsAndAgreesWithFoundation() {
        for count in 0..<200 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
            #expect(Base64.encode(bytes) == Data(bytes).base64EncodedString())
            #expect(Base64.decode(Base64.encode(bytes).utf8) == bytes)
        }
        for text in ["A", "AA", "AAA", "A===", "AA=A", "AB==", "A*==", "====", "AAAA="] {
            #expect(Base64.decode(text.utf8) == nil, "\(text)")
        }
        #expect(Base64.decode("aGVs\n bG8=\n".utf8) == Array("hello".utf8))
    }
}
