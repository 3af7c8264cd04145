import Wire
import WireTLS

/// TCP, and TLS above it where the endpoint asks for it. Certificates are read at each connection,
/// so that renewed ones are used.
struct TLSDialer: SinkDialer {
    private static let fileByteCountMax = 1 << 20

    func dial(
        _ endpoint: SinkEndpoint, resolved: SocketAddress
    ) throws(SinkError) -> any ByteStream {
        let socket: SocketStream
        let context = try endpoint.tls.map { (tls) throws(SinkError) in try Self.context(tls) }
        do throws(TransportError) {
            socket = try SocketStream(connectingTo: resolved)
        } catch {
            throw .transport(error)
        }
        guard let context else { return socket }
        let host = endpoint.address.host
        do throws(TLSError) {
            return try TLSStream(
                client: socket, context, peer: TLSStream.PeerName(host))
        } catch {
            socket.close()
            throw .tls(error)
        }
    }

    private static func context(_ tls: SinkTLS) throws(SinkError) -> TLSContext {
        var trust = TLSTrust.system
        if let path = tls.authorityFile {
            trust = .authorities(try read(path), source: path)
        }
        if tls.skipsVerification { trust = .anyone }
        var identity: TLSIdentity?
        if let certificate = tls.certificateFile {
            let key = tls.keyFile ?? certificate
            identity = TLSIdentity(
                certificateChain: try read(certificate), key: try read(key), source: certificate)
        }
        do throws(TLSError) {
            return try TLSContext.client(trust: trust, identity: identity)
        } catch {
            throw .tls(error)
        }
    }

    private static func read(_ path: String) throws(SinkError) -> [UInt8] {
        do throws(SmallFileError) {
            return try SmallFile.read(path, byteLimit: fileByteCountMax)
        } catch {
            throw .cannotReadFile(error)
        }
    }
}
