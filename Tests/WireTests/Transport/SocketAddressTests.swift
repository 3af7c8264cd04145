import Testing

@testable import Wire

@Suite struct SocketAddressTests {
    @Test func hostAndPortReadsNamesAndBothFamilies() throws {
        #expect(try HostAndPort(parsing: "db-1.x:80") == HostAndPort(host: "db-1.x", port: 80))
        #expect(try HostAndPort(parsing: "[::1]:65535") == HostAndPort(host: "::1", port: 65_535))
        #expect(try HostAndPort(parsing: "h", defaultPort: 9) == HostAndPort(host: "h", port: 9))
        #expect(
            try HostAndPort(parsing: "[fe80::1]", defaultPort: 9).description == "[fe80::1]:9")
    }

    @Test(arguments: [
        "", ":80", "host", "host:", "host:0", "host:65536", "host:+80", "host:8 0", "host:123456",
        "[::1", "[]:80", "[::1]80", "::1:80", "ho st:80", "host:80:90", "host\n:80",
    ])
    func malformedAddressesAreRefusedByName(text: String) {
        #expect(throws: TransportError.malformedAddress(text: text)) {
            try HostAndPort(parsing: text)
        }
    }

    @Test func numericHostsRoundTripThroughTheKernelForm() throws {
        for (host, printed) in [
            ("127.0.0.1", "127.0.0.1:8082"), ("255.254.253.1", "255.254.253.1:8082"),
            ("::1", "[::1]:8082"),
            ("2001:db8::8:800:200c:417a", "[2001:db8::8:800:200c:417a]:8082"),
        ] {
            let address = try #require(SocketAddress(numericHost: host, port: 8_082))
            #expect(address.description == printed)
            let again = address.withSocketAddress { SocketAddress($0, byteCount: Int($1)) }
            #expect(again == address)
            for cut in 0..<16 {
                #expect(
                    address.withSocketAddress { pointer, _ in
                        SocketAddress(pointer, byteCount: cut)
                    } == nil)
            }
        }
        #expect(SocketAddress(numericHost: "localhost", port: 1) == nil)
    }

    @Test func loopbackIsRecognised() throws {
        for (host, expected) in [
            ("127.0.0.1", true), ("127.9.9.9", true), ("::1", true), ("::ffff:127.0.0.1", true),
            ("0.0.0.0", false), ("::", false), ("10.0.0.1", false), ("::ffff:10.0.0.1", false),
            ("1::1", false),
        ] {
            #expect(try #require(SocketAddress(numericHost: host, port: 1)).isLoopback == expected)
        }
    }

    @Test func aBusyPortIsExplainedWithItsRemedy() throws {
        let first = try TCPListener(.loopback(port: 0), remedy: "--port")
        let address = first.address
        #expect(throws: TransportError.self) { try TCPListener(address, remedy: "--port") }
        do throws(TransportError) {
            _ = try TCPListener(address, remedy: "--port")
        } catch {
            #expect(
                error.description == "cannot listen on \(address): address already in use; "
                    + "choose another with --port or stop what listens there")
        }
        withExtendedLifetime(first) {}
    }
}
