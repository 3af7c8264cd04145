import Testing
import Wire

@testable import Aggregator

/// curl and Python's http.client against a running server: they were written by others.
@Suite struct RealClientTests {
    private func curl(_ server: HTTPServer, _ path: String, _ options: String...) throws -> [UInt8]
    {
        let url = "http://\(server.address)\(path)"
        let result = try run(["curl", "-sS", "-m", "20"] + options + [url])
        #expect(result.status == 0, "curl \(options) \(url)")
        return result.output
    }

    @Test func curlDecompressesWhatItAskedFor() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        for coding in ["gzip", "deflate"] {
            for kind in ["whole", "stream", "slow"] {
                for byteCount in [0, 100, 1_023, 1_024, 5_000, 262_144, 262_145, 600_000] {
                    let path = "/\(kind)/\(byteCount)"
                    let field = "Accept-Encoding: \(coding)"
                    let plain = try curl(server, path, "--compressed", "-H", field)
                    #expect(plain == CountingProducer.whole(byteCount), "\(path) \(coding)")
                }
            }
        }
        let head = try curl(
            server, "/whole/5000", "-D", "-", "-o", "/dev/null", "-H", "Accept-Encoding: gzip")
        let text = String(decoding: head, as: UTF8.self)
        #expect(text.contains("Content-Encoding: gzip\r\n"))
        #expect(text.contains("Vary: Accept-Encoding\r\n"))
        let raw = try curl(server, "/stream/2000000", "-H", "Accept-Encoding: gzip")
        #expect(raw.count < 1_000_000 && raw.starts(with: [0x1F, 0x8B]))
        #expect(try curl(server, "/small", "-H", "Accept-Encoding: gzip") == Array("small".utf8))
    }

    @Test func curlReadsHeadsAndUploadsInChunks() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        let head = String(decoding: try curl(server, "/small", "-I"), as: UTF8.self)
        #expect(head.hasPrefix("HTTP/1.1 200 OK\r\n") && head.contains("Content-Length: 5\r\n"))
        let upload = String(repeating: "0123456789", count: 5_000)
        for field in ["Transfer-Encoding: chunked", "Expect: 100-continue", "X: y"] {
            let echoed = try curl(server, "/echo", "-H", field, "--data-binary", upload)
            #expect(echoed == Array(upload.utf8), "\(field)")
        }
        let ranged = try curl(server, "/text/[1-50]")
        #expect(ranged == Array((1...50).map(String.init).joined().utf8))
        #expect(eventually { server.counters.snapshot.openConnections == 0 })
    }

    @Test func pythonKeepsItsConnection() throws {
        let server = try startServer()
        defer { server.shutdown(grace: .seconds(1)) }
        let script = """
            import http.client, sys, zlib
            c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=10)
            c.connect()
            s = c.sock
            for n in range(300):
                c.request('GET', '/text/%d' % n)
                r = c.getresponse()
                assert r.read() == b'%d' % n
            c.request('HEAD', '/small')
            assert c.getresponse().read() == b''
            c.request('POST', '/echo', body=iter([b'a' * 70000, b'b']), encode_chunked=True)
            assert c.getresponse().read() == b'a' * 70000 + b'b'
            c.request('GET', '/stream/500000', headers={'Accept-Encoding': 'gzip'})
            r = c.getresponse()
            assert r.headers['Content-Encoding'] == 'gzip'
            assert len(zlib.decompress(r.read(), 31)) == 500000
            c.request('GET', '/stream/500000')
            assert len(c.getresponse().read()) == 500000
            c.request('GET', '/nothing')
            r = c.getresponse()
            assert r.status == 404 and r.read() == b'404 page not found\\n'
            assert c.sock is s
            print('good')
            """
        let result = try run(["python3", "-c", script, "\(server.address.port)"])
        #expect(String(decoding: result.output, as: UTF8.self) == "good\n")
        #expect(server.counters.snapshot.acceptedConnections == 1)
    }
}
