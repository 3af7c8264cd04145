import TestSupport
import Testing
import Wire

@testable import Aggregator

@Suite struct RequestParsingTests {
    static let valid: [String] = [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /a%2Fb/c?x=1&y=%20 HTTP/1.1\r\nhOsT:h:80\r\nX: \t a b \t\r\nEmpty:\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "HEAD http://h:1/p?q HTTP/1.1\r\nHost: other\r\nConnection: Close, x\r\n\r\n",
        "GET http://h HTTP/1.1\r\nHost: h\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
        "POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
        "POST /e HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
        "POST /e HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
            + "3\r\nabc\r\n00A;x=\"y\"\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
        "BREW /pot HTTP/1.1\r\nHost: [::1]:8082\r\n\r\n",
    ]

    /// The shapes of the smuggling literature, RFC 9112's own refusals, and plain nonsense.
    static let malformed: [(String, HTTPRefusal)] = {
        let h = "Host: h\r\n"
        func get(_ fields: String) -> String { "GET / HTTP/1.1\r\n\(fields)\r\n" }
        func post(_ fields: String, _ body: String) -> String {
            "POST / HTTP/1.1\r\n\(h)\(fields)\r\n\(body)"
        }
        let chunked = "Transfer-Encoding: chunked\r\n"
        let badChunk = HTTPRefusal(.badRequest, "malformed chunked body")
        let badLine = HTTPRefusal(.badRequest, "malformed request line")
        let badTarget = HTTPRefusal(.badRequest, "malformed request target")
        let badVersion = HTTPRefusal(.badRequest, "malformed HTTP version")
        let badName = HTTPRefusal(.badRequest, "malformed header field name")
        let badLength = HTTPRefusal(.badRequest, "malformed content length")
        let control = HTTPRefusal(.badRequest, "control byte in header field")
        let bareLF = HTTPRefusal(.badRequest, "line ends without CR")
        let badHost = HTTPRefusal(.badRequest, "malformed host")
        let coding = HTTPRefusal(.notImplemented, "unknown transfer coding")
        return [
            ("GET /\r\n\r\n", badTarget), ("GET  / HTTP/1.1\r\n\r\n", badTarget),
            (" GET / HTTP/1.1\r\n\r\n", badLine), ("G@T / HTTP/1.1\r\n\r\n", badLine),
            ("GET / HTTP/1.1 \r\n\r\n", badVersion), ("GET /  HTTP/1.1\r\n\r\n", badVersion),
            ("GET / http/1.1\r\n\r\n", badVersion), ("GET / HTTP/1.10\r\n\r\n", badVersion),
            ("GET / HTTP/11\r\n\r\n", badVersion),
            (
                "PRI * HTTP/2.0\r\n\r\n",
                HTTPRefusal(.versionNotSupported, "only HTTP/1.0 and HTTP/1.1 are spoken here")
            ),
            ("GET x HTTP/1.1\r\n\r\n", badTarget), ("GET * HTTP/1.1\r\n\r\n", badTarget),
            ("CONNECT h:1 HTTP/1.1\r\n\r\n", badTarget),
            ("GET http:/// HTTP/1.1\r\n\r\n", badTarget),
            ("GET http://u@h/ HTTP/1.1\r\n\r\n", badTarget),
            ("GET ftp://h/ HTTP/1.1\r\n\r\n", badTarget),
            ("GET /\u{7F} HTTP/1.1\r\n\r\n", badTarget), ("GET /ä HTTP/1.1\r\n\r\n", badTarget),
            ("GET /\0 HTTP/1.1\r\n\r\n", badTarget), ("GET /\t HTTP/1.1\r\n\r\n", badTarget),
            ("GET\t/ HTTP/1.1\r\n\r\n", badLine), ("GET / HTTP/1.1\0\r\n\r\n", badVersion),
            ("GET /\r HTTP/1.1\r\n\r\n", badTarget), ("GET http:/x HTTP/1.1\r\n\r\n", badTarget),
            ("\0GET / HTTP/1.1\r\n\r\n", badLine),
            (
                "GET / HTTP/0.9\r\n\r\n",
                HTTPRefusal(.versionNotSupported, "only HTTP/1.0 and HTTP/1.1 are spoken here")
            ),
            ("GET /a#b HTTP/1.1\r\n\r\n", HTTPRefusal(.badRequest, "fragment in request target")),
            (get("") + "", HTTPRefusal(.badRequest, "no host")),
            (get(h + h), HTTPRefusal(.badRequest, "more than one host")),
            (get("Host: a b\r\n"), badHost), (get("Host: a/b\r\n"), badHost),
            (get("Host: a@b\r\n"), badHost), (get("Host: a,b\r\n"), badHost),
            (get("Host : h\r\n"), badName), (get("Host\t: h\r\n"), badName),
            (get(h + ": x\r\n"), badName), (get(h + "nocolon\r\n"), badName),
            (get(h + "a\0b: x\r\n"), badName), (get(h + "a(b): x\r\n"), badName),
            (post("Content-Length : 3\r\n", "abc"), badName),
            (post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), badName),
            (post("Transfer-Encoding\0: chunked\r\n", "0\r\n\r\n"), badName),
            (post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), coding),
            (post("Content-Length:\r\n 3\r\n", "abc"), badLength),
            (get(h + "\u{E4}: x\r\n"), badName), (get(h + "\r: x\r\n"), badName),
            (get(h + "A: b\r\n c\r\n"), HTTPRefusal(.badRequest, "folded header field")),
            (get(" x: y\r\n" + h), HTTPRefusal(.badRequest, "folded header field")),
            (get(h + "A: b\0c\r\n"), control), (get(h + "A: b\rc\r\n"), control),
            (get(h + "A: b\u{7F}\r\n"), control), (get(h + "A: b\u{1B}[0m\r\n"), control),
            (get(h + "A: b\r\r\n"), control),
            ("GET / HTTP/1.1\nHost: h\n\n", bareLF), (get(h + "A: b\nC: d\r\n"), bareLF),
            ("GET / HTTP/1.1\r\nHost: h\r\n\n", bareLF),
            (
                post("Content-Length: 3\r\n" + chunked, "0\r\n\r\n"),
                HTTPRefusal(.badRequest, "both content length and transfer coding")
            ),
            (
                post(chunked + "Content-Length: 3\r\n", "0\r\n\r\n"),
                HTTPRefusal(.badRequest, "both content length and transfer coding")
            ),
            (
                post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
                HTTPRefusal(.badRequest, "more than one content length")
            ),
            (post("Content-Length: 3, 3\r\n", "abc"), badLength),
            (post("Content-Length: +3\r\n", "abc"), badLength),
            (post("Content-Length: -3\r\n", "abc"), badLength),
            (post("Content-Length: 0x3\r\n", "abc"), badLength),
            (post("Content-Length: 3 4\r\n", "abc"), badLength),
            (post("Content-Length: 3;\r\n", "abc"), badLength),
            (post("Content-Length: 3.0\r\n", "abc"), badLength),
            (post("Content-Length: 1e1\r\n", "abc"), badLength),
            (post("Content-Length: \u{0661}\r\n", "a"), badLength),
            (
                post("Content-Length: 3\r\ncontent-LENGTH: 4\r\n", "abc"),
                HTTPRefusal(.badRequest, "more than one content length")
            ),
            (post("Content-Length:\r\n", "abc"), badLength),
            (post("Content-Length: 99999999999999999999\r\n", "abc"), badLength),
            (post("Transfer-Encoding: gzip, chunked\r\n", ""), coding),
            (post("Transfer-Encoding: chunked, identity\r\n", ""), coding),
            (post("Transfer-Encoding: xchunked\r\n", ""), coding),
            (post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), coding),
            (post("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"), coding),
            (post("Transfer-Encoding: identity\r\n", ""), coding),
            (post("Transfer-Encoding: \"chunked\"\r\n", ""), coding),
            (post("Transfer-Encoding: \u{0B}chunked\r\n", ""), control),
            (post("Transfer-Encoding:\r\n", ""), coding),
            (
                post(chunked + chunked, "0\r\n\r\n"),
                HTTPRefusal(.badRequest, "more than one transfer coding")
            ),
            (
                "POST / HTTP/1.0\r\n\(h)\(chunked)\r\n0\r\n\r\n",
                HTTPRefusal(.badRequest, "transfer coding in HTTP/1.0")
            ),
            (
                post("Expect: 200-ok\r\n", ""),
                HTTPRefusal(.expectationFailed, "unknown expectation")
            ),
            (post(chunked, "x\r\n"), badChunk), (post(chunked, "\r\n"), badChunk),
            (post(chunked, "-1\r\n"), badChunk), (post(chunked, "0x3\r\nabc\r\n"), badChunk),
            (post(chunked, "3 \r\nabc\r\n"), badChunk), (post(chunked, "3\nabc\r\n"), badChunk),
            (post(chunked, "3\r\nabcd\r\n"), badChunk), (post(chunked, "3\r\nabc\n"), badChunk),
            (post(chunked, "3;a\u{01}\r\nabc\r\n"), badChunk),
            (post(chunked, "3;a\nabc\r\n"), badChunk), (post(chunked, " 3\r\nabc\r\n"), badChunk),
            (post(chunked, "+3\r\nabc\r\n"), badChunk), (post(chunked, "3_0\r\nabc\r\n"), badChunk),
            (post(chunked, "3\rabc\r\n"), badChunk),
            (post(chunked, "\u{0663}\r\nabc\r\n"), badChunk),
            (post(chunked, "3\r\nabc\r0\r\n\r\n"), badChunk), (post(chunked, "0\r\n\n"), badChunk),
            (post(chunked, "0\r\nA: b\n\r\n"), badChunk),
            (post(chunked, "0\r\nA: b\0\r\n\r\n"), control),
            (post(chunked, "0\r\n A: b\r\n\r\n"), HTTPRefusal(.badRequest, "folded header field")),
            (post(chunked, "FFFFFFFFFFFFFFFF\r\n"), badChunk),
            (post(chunked, "3;" + String(repeating: "x", count: 300) + "\r\n"), badChunk),
            (post(chunked, "FFFFFFFF\r\n"), HTTPRefusal(.contentTooLarge, "body too large")),
            (post(chunked, "0\r\nA : b\r\n\r\n"), badName),
            (
                post(chunked, "0\r\n" + String(repeating: "A: b\r\n", count: 1_000) + "\r\n"),
                HTTPRefusal(.fieldsTooLarge, "too many trailer fields")
            ),
            (
                "GET /" + String(repeating: "a", count: 9_000) + " HTTP/1.1\r\n\(h)\r\n",
                HTTPRefusal(.uriTooLong, "request line too long")
            ),
            (
                String(repeating: "a", count: 9_000),
                HTTPRefusal(.uriTooLong, "request line too long")
            ),
            (
                get(h + "A: " + String(repeating: "a", count: 40_000) + "\r\n"),
                HTTPRefusal(.fieldsTooLarge, "header fields too large")
            ),
            (
                get(h + String(repeating: "A: b\r\n", count: 101)),
                HTTPRefusal(.fieldsTooLarge, "too many header fields")
            ),
        ]
    }()

    @Test func partsOfValidRequestsAreFound() throws {
        #expect(
            parse(Self.valid[1])
                == .complete(
                    ParsedRequest(
                        method: .get, path: "/a%2Fb/c", query: "x=1&y=%20", minorVersion: 1,
                        keepsAlive: true, expectsContinue: false, fieldCount: 3, body: [],
                        byteCount: Self.valid[1].utf8.count)))
        #expect(
            parse(Self.valid[8] + "GET")
                == .complete(
                    ParsedRequest(
                        method: .post, path: "/e", query: "", minorVersion: 1, keepsAlive: true,
                        expectsContinue: false, fieldCount: 2, body: Array("abc0123456789".utf8),
                        byteCount: Self.valid[8].utf8.count)))
        let absolute = try request(Self.valid[3])
        #expect(absolute.rawPath == "/p" && absolute.rawQuery == "q" && !absolute.keepsAlive)
        #expect(try request(Self.valid[4]).rawPath.isEmpty)
        #expect(try request(Self.valid[1]).field("x") == "a b")
        #expect(try request(Self.valid[1]).field("empty")?.isEmpty == true)
        #expect(try get("/", "A: 1\r\nB: 2\r\na: 3\r\n").field("a") == "1, 3")
        #expect(try get("/", "A: 1\r\n").field("c") == nil)
        #expect(try request(Self.valid[9]).method == .other)
    }

    @Test func persistenceFollowsVersionAndConnectionField() throws {
        for (version, field, expected) in [
            ("1.1", "", true), ("1.1", "Connection: close\r\n", false), ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive\r\n", true),
            ("1.0", "Connection: close, keep-alive\r\n", false), ("1.9", "", true),
        ] {
            let head = try request("GET / HTTP/\(version)\r\nHost: h\r\n\(field)\r\n")
            #expect(head.keepsAlive == expected, "\(version) \(field)")
        }
    }

    @Test func everyMalformedRequestIsRefusedForItsOwnReason() {
        for (text, refusal) in Self.malformed {
            #expect(parse(text) == .refused(refusal), "\(text.prefix(120).debugDescription)")
        }
    }

    @Test func theLimitsThemselvesAreAllowed() {
        var limits = HTTPLimits()
        limits.requestLineByteCountMax = 30
        limits.fieldCountMax = 2
        limits.bodyByteCountMax = 4
        // "GET /" + 16 + " HTTP/1.1" is 30 bytes.
        let line = "GET /\(String(repeating: "a", count: 16)) HTTP/1.1\r\n"
        #expect(parse(line + "Host: h\r\nA: b\r\n\r\n", limits: limits).isComplete)
        #expect(!parse(line + "Host: h\r\nA: b\r\nC: d\r\n\r\n", limits: limits).isComplete)
        #expect(!parse("GET /b" + line.dropFirst(5) + "Host: h\r\n\r\n", limits: limits).isComplete)
        let post = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        #expect(
            !parse("POST / HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n", limits: limits).isComplete)
        #expect(parse(post + "4\r\nabcd\r\n0\r\n\r\n", limits: limits).isComplete)
        #expect(
            parse(post + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", limits: limits)
                == .refused(HTTPRefusal(.contentTooLarge, "body too large")))
    }

    @Test func anyChunkingGivesWhatAllAtOnceGives() {
        var random = SeededRandom(seed: 42)
        for text in Self.valid + Self.malformed.map(\.0) where text.utf8.count < 2_000 {
            let bytes = Array(text.utf8)
            let whole = parse(bytes, pieceEnds: [bytes.count])
            #expect(parse(bytes, pieceEnds: Array(1...bytes.count)) == whole, "\(text)")
            for _ in 0..<20 {
                var ends = (0..<5).map { _ in Int(random.next() % UInt64(bytes.count)) + 1 }
                ends.append(bytes.count)
                #expect(parse(bytes, pieceEnds: ends.sorted()) == whole, "\(text) at \(ends)")
            }
        }
    }

    @Test func everyTruncationOfAValidRequestIsIncomplete() {
        for text in Self.valid {
            let bytes = Array(text.utf8)
            #expect(parse(bytes, pieceEnds: [bytes.count]).isComplete)
            for count in 0..<bytes.count {
                #expect(parse(Array(bytes[..<count]), pieceEnds: [count]) == .incomplete)
            }
        }
    }

    /// The oracle: a mutated request that is taken for complete must still obey the rules, as a
    /// slow reading of the same bytes with String's means sees them.
    @Test func mutationsNeverTrapAndNothingIllegalPasses() {
        var random = SeededRandom(seed: 4_711)
        var counts = (complete: 0, refused: 0)
        for text in Self.valid {
            let original = Array(text.utf8)
            var mutants: [[UInt8]] = []
            for bit in 0..<(original.count * 8) {
                var mutant = original
                mutant[bit / 8] ^= 1 << UInt8(bit % 8)
                mutants.append(mutant)
            }
            for _ in 0..<1_000 {
                var mutant = original
                for _ in 0...Int(random.next() % 4) {
                    let index = Int(random.next() % UInt64(mutant.count))
                    switch random.next() % 3 {
                    case 0: mutant[index] = UInt8(truncatingIfNeeded: random.next())
                    case 1: mutant.insert(UInt8(truncatingIfNeeded: random.next()), at: index)
                    default: if mutant.count > 1 { mutant.remove(at: index) }
                    }
                }
                mutants.append(mutant)
            }
            for mutant in mutants {
                let half = mutant.count / 2
                switch parse(mutant, pieceEnds: [half, mutant.count]) {
                case .complete(let parsed):
                    counts.complete += 1
                    #expect(headIsLegal(mutant), "\(String(decoding: mutant, as: UTF8.self))")
                    #expect(parsed.byteCount <= mutant.count)
                case .refused: counts.refused += 1
                case .incomplete: break
                }
            }
        }
        #expect(counts.complete > 500 && counts.refused > 2_000)
    }

    @Test func randomBytesNeverTrap() {
        var random = SeededRandom(seed: 99)
        var refused = 0
        for _ in 0..<5_000 {
            let bytes = (0..<Int(random.next() % 200 + 1)).map { _ in
                UInt8(truncatingIfNeeded: random.next())
            }
            if case .complete = parse(bytes, pieceEnds: [bytes.count]) {
                Issue.record("random bytes were taken for a request: \(bytes)")
            } else if case .refused = parse(bytes, pieceEnds: [bytes.count]) {
                refused += 1
            }
        }
        #expect(refused > 500)
    }

    private func headIsLegal(_ bytes: [UInt8]) -> Bool {
        guard let end = bytes.indices.first(where: { bytes[$0...].starts(with: [13, 10, 13, 10]) })
        else { return false }
        let head = bytes[..<end]
        let lines = head.split(separator: 10, omittingEmptySubsequences: false).map { line in
            line.last == 13 ? line.dropLast() : line
        }
        let isLineLegal = lines.allSatisfy { line in
            line.allSatisfy { ($0 >= 32 && $0 != 127) || $0 == 9 }
        }
        let names = lines.dropFirst().map { line in
            String(decoding: line.prefix { $0 != 58 }, as: UTF8.self).lowercased()
        }
        let lengths = names.filter { $0 == "content-length" }.count
        let codings = names.filter { $0 == "transfer-encoding" }.count
        let hosts = names.filter { $0 == "host" }.count
        return isLineLegal && lengths + codings <= 1 && hosts <= 1
            && !names.contains { $0.isEmpty || $0.contains(" ") || $0.contains("\t") }
            && lines[0].filter { $0 == 32 }.count == 2
    }
}

extension ParseResult {
    var isComplete: Bool {
        if case .complete = self { true } else { false }
    }
}
