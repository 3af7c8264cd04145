import Foundation
import TestSupport
import Testing

@testable import Wire
@testable import WireTLS

/// Two ends of one TCP connection in one thread, each moved as far as it goes in turn.
private struct Ends {
    let client: TLSStream
    let server: TLSStream

    init(
        client clientContext: TLSContext, server serverContext: TLSContext,
        peer: TLSStream.PeerName = .host("localhost")
    ) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var byteCount = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #expect(bind(listener, $0, byteCount) == 0 && listen(listener, 1) == 0)
                #expect(getsockname(listener, $0, &byteCount) == 0)
            }
            return UInt16(bigEndian: pointer.pointee.sin_port)
        }
        let near = try SocketStream(connectingTo: .loopback(port: port))
        let accepted = accept(listener, nil, nil)
        #expect(fcntl(accepted, F_SETFL, O_NONBLOCK) == 0)
        let far = SocketStream(
            accepted: AcceptedSocket(descriptor: accepted, peer: .loopback(port: 1)))
        client = try TLSStream(client: near, clientContext, peer: peer)
        server = try TLSStream(server: far, serverContext)
    }

    /// Both handshakes: how they ended.
    func establish() -> (client: StreamOutcome, server: StreamOutcome) {
        var (near, far) = (StreamOutcome.wantsRead, StreamOutcome.wantsRead)
        for _ in 0..<100_000 {
            if !near.isFinal { near = client.establish() }
            if !far.isFinal { far = server.establish() }
            if near.isFinal, far.isFinal { break }
            if case .failed = near, !far.isFinal { client.close() }
            if case .failed = far, !near.isFinal { server.close() }
        }
        return (near, far)
    }

    /// Reads until something final comes.
    func read(_ stream: TLSStream, into bytes: inout [UInt8]) -> StreamOutcome {
        for _ in 0..<100_000 {
            let outcome = bytes.withUnsafeMutableBytes { stream.read(into: $0) }
            if outcome != .wantsRead { return outcome }
        }
        return .wantsRead
    }
}

extension StreamOutcome {
    fileprivate var isFinal: Bool { self != .wantsRead && self != .wantsWrite }
    fileprivate var words: String {
        if case .failed(let error) = self { return error.description }
        return "\(self)"
    }
}

@Suite struct TLSTests {
    private static let made = Result { try TestCertificates() }
    private let files: TestCertificates

    init() throws { files = try Self.made.get() }

    private func identity(_ name: String) throws -> TLSIdentity {
        TLSIdentity(
            certificateChain: try files.bytes("\(name).pem"), key: try files.bytes("\(name).key"),
            source: name)
    }

    private func trust(_ name: String = "ca") throws -> TLSTrust {
        .authorities(try files.bytes("\(name).pem"), source: name)
    }

    @Test func bytesGoBothWaysAndTheEndIsSeen() throws {
        let ends = try Ends(
            client: .client(trust: trust()), server: .server(identity: identity("server")))
        #expect(ends.establish() == (.done(0), .done(0)))
        var random = SystemRandomNumberGenerator()
        let sent = (0..<300_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        for (from, to) in [(ends.client, ends.server), (ends.server, ends.client)] {
            var received: [UInt8] = []
            var offset = 0
            var room = [UInt8](repeating: 0, count: 10_000)
            while received.count < sent.count {
                if offset < sent.count {
                    // Another address each time, as a queue that grows gives.
                    let piece = Array(sent[offset...])
                    if case .done(let count) = piece.withUnsafeBytes({ from.write($0) }) {
                        offset += count
                    }
                }
                if case .done(let count) = room.withUnsafeMutableBytes({ to.read(into: $0) }) {
                    received += room[..<count]
                }
            }
            #expect(received == sent)
        }
        ends.client.finishWriting()
        var room = [UInt8](repeating: 0, count: 10)
        #expect(ends.read(ends.server, into: &room) == .endOfStream)
        ends.server.close()
        #expect(ends.read(ends.client, into: &room) == .endOfStream)
        ends.client.close()
    }

    @Test func aCutConnectionIsNoEnd() throws {
        let ends = try Ends(
            client: .client(trust: trust()), server: .server(identity: identity("server")))
        #expect(ends.establish() == (.done(0), .done(0)))
        shutdown(ends.server.descriptor, Int32(SHUT_RDWR))
        var room = [UInt8](repeating: 0, count: 10)
        guard case .failed = ends.read(ends.client, into: &room) else {
            return #expect(Bool(false), "a missing close_notify passed for the end")
        }
        // Writing after that must fail, not kill the process with SIGPIPE.
        #expect([1, 2, 3].withUnsafeBytes { ends.client.write($0) }.isFinal)
        ends.client.close()
        ends.server.close()
    }

    @Test func certificatesAreCheckedForAuthorityNameAndTime() throws {
        func clientWords(
            _ trustName: String, _ identityName: String, _ peer: TLSStream.PeerName
        ) throws -> String {
            let ends = try Ends(
                client: .client(trust: trust(trustName)),
                server: .server(identity: identity(identityName)), peer: peer)
            defer { ends.client.close() }
            return ends.establish().client.words
        }
        #expect(try clientWords("ca", "server", .host("localhost")) == "done(0)")
        #expect(try clientWords("ca", "server", .address("127.0.0.1")) == "done(0)")
        #expect(try clientWords("ca", "server", .address("::1")) == "done(0)")
        #expect(try clientWords("ca", "server", .host("a.pods.example")) == "done(0)")
        #expect(
            try clientWords("ca", "server", .host("kubernetes.default.svc")).contains(
                "the certificate of kubernetes.default.svc is not accepted: hostname mismatch"))
        #expect(try clientWords("ca", "server", .host("127.0.0.1")) == "done(0)")
        #expect(
            try clientWords("ca", "server", .address("10.0.0.1")).contains("IP address mismatch"))
        #expect(
            try clientWords("ca", "server", .host("a.b.pods.example")).contains("hostname mismatch")
        )
        #expect(
            try clientWords("other", "server", .host("localhost"))
                .contains("is not accepted: unable to get local issuer certificate"))
        #expect(try clientWords("ca", "expired", .host("localhost")).contains("has expired"))
    }

    @Test func whoTrustsAnyoneChecksNothing() throws {
        let ends = try Ends(
            client: .client(trust: .anyone), server: .server(identity: identity("expired")),
            peer: .host("nobody"))
        #expect(ends.establish() == (.done(0), .done(0)))
        #expect(ends.client.peerSubject == nil)
    }

    @Test func clientsShowWhoTheyAre() throws {
        let server = try TLSContext.server(
            identity: identity("server"), clientTrust: trust(), requiresClient: true)
        let ends = try Ends(
            client: .client(trust: trust(), identity: identity("client")), server: server)
        #expect(ends.establish() == (.done(0), .done(0)))
        #expect(ends.server.peerSubject?.commonName == "alice")
        #expect(ends.server.peerSubject?.organizations == ["ops", "dev"])

        let anonymous = try Ends(client: .client(trust: trust()), server: server)
        #expect(anonymous.establish().server.words.contains("peer did not return a certificate"))

        let optional = try TLSContext.server(
            identity: identity("server"), clientTrust: trust(), requiresClient: false)
        let without = try Ends(client: .client(trust: trust()), server: optional)
        #expect(without.establish() == (.done(0), .done(0)))
        #expect(without.server.peerSubject == nil)

        let strangers = try TLSContext.server(
            identity: identity("server"), clientTrust: trust("other"), requiresClient: true)
        let refused = try Ends(
            client: .client(trust: trust(), identity: identity("client")), server: strangers)
        #expect(refused.establish().server.words.contains("is not accepted"))
    }

    @Test func unusableKeysAndCertificatesAreNamed() throws {
        let mismatched = TLSIdentity(
            certificateChain: try files.bytes("server.pem"), key: try files.bytes("client.key"),
            source: "pair")
        #expect(throws: TLSError.keyMismatch(what: "pair")) {
            try TLSContext.server(identity: mismatched)
        }
        #expect(throws: TLSError.noCertificate(what: "empty")) {
            try TLSContext.client(trust: .authorities([], source: "empty"))
        }
        #expect(throws: TLSError.noCertificate(what: "text")) {
            try TLSContext.client(trust: .authorities(Array("no PEM".utf8), source: "text"))
        }
        let certificate = try files.bytes("server.pem")
        let noKey = TLSIdentity(certificateChain: certificate, key: certificate, source: "k")
        #expect(throws: TLSError.self) { try TLSContext.server(identity: noKey) }
        // Cut anywhere inside, a certificate is unreadable, not half a trust.
        for count in stride(from: 30, to: certificate.count - 30, by: 7) {
            #expect(throws: TLSError.self, "\(count)") {
                try TLSContext.client(
                    trust: .authorities(Array(certificate[..<count]), source: "cut"))
            }
        }
    }

    @Test func garbageInsteadOfAHandshakeIsAnError() throws {
        let ends = try Ends(
            client: .client(trust: trust()), server: .server(identity: identity("server")))
        let garbage = Array("GET / HTTP/1.1\r\n\r\n".utf8)
        #expect(send(ends.client.descriptor, garbage, garbage.count, 0) == garbage.count)
        var outcome = StreamOutcome.wantsRead
        for _ in 0..<10_000 where !outcome.isFinal { outcome = ends.server.establish() }
        #expect(outcome.words.contains("http request"), "\(outcome)")
        ends.server.close()
        ends.client.close()
    }
}
