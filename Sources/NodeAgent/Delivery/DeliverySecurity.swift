import Wire
import WireTLS

/// How connections to aggregators are protected.
///
/// Other machines are spoken to over TLS 1.3, their certificates checked, unless the user has said
/// that plain TCP will do. On loopback plain TCP is the rule and certificates that were given win.
final class DeliverySecurity {
    /// Plain TCP to everyone.
    var isInsecure = false
    /// The certificates that were given. Without any the system's authorities are read when they are
    /// first needed: they cost the agent megabytes.
    var tls: TLSFiles?
    /// Certificates were given, so loopback is no exception.
    var coversLoopback = false
    /// The name in the aggregator's certificate where it is not the one in `--aggregator`.
    var serverName: String?

    /// A stream that connects to an address of `target`.
    ///
    /// - Throws: when there is no socket to be had, or TLS cannot be set up.
    func stream(
        to address: SocketAddress, of target: HostAndPort
    ) throws(TransportError) -> any ByteStream {
        let socket = try SocketStream(connectingTo: address)
        guard !isInsecure, coversLoopback || !address.isLoopback else { return socket }
        let name = serverName ?? target.host
        do {
            let files = try tls ?? TLSFiles(TLSFiles.Paths(), role: .client, minimum: .tls13)
            tls = files
            return try TLSStream(
                client: socket, files.current(), peer: TLSStream.PeerName(name))
        } catch {
            socket.close()
            throw .streamFailed(reason: "\(error)")
        }
    }
}
