import Glibc

/// UDP sockets.
public enum DatagramSocket {
    /// A socket whose datagrams all go to one address; the first that the name resolves to. The
    /// caller closes it. Blocks while the resolver is asked.
    public static func connect(to destination: HostAndPort) throws(TransportError) -> Int32 {
        let address = try destination.resolve()[0]
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let socket = Glibc.socket(address.family, type, 0)
        guard socket >= 0 else { throw .system(call: "socket", errno: errno) }
        guard address.withSocketAddress({ Glibc.connect(socket, $0, $1) }) == 0 else {
            let error = errno
            close(socket)
            throw .cannotConnect(address: address.description, errno: error)
        }
        return socket
    }
}
