import Wire
import WireTLS

/// Where frames go, and how.
struct FleetTarget: Sendable {
    let address: SocketAddress
    /// The name or the address in its certificate.
    let serverName: String
    /// `nil` for plain TCP.
    let tls: TLSFiles?

    /// A stream that connects to it.
    func stream() throws(TransportError) -> any ByteStream {
        let socket = try SocketStream(connectingTo: address)
        guard let tls else { return socket }
        do {
            return try TLSStream(
                client: socket, tls.current(), peer: TLSStream.PeerName(serverName))
        } catch {
            socket.close()
            throw .streamFailed(reason: "\(error)")
        }
    }
}
