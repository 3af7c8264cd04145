import CLinux
import Glibc

/// Plain TCP.
public final class SocketStream: ByteStream {
    public let descriptor: Int32
    public let peer: SocketAddress
    private var isConnecting: Bool

    public var hasBufferedInput: Bool { false }

    /// A connection that a listener accepted.
    public init(accepted: AcceptedSocket) {
        descriptor = accepted.descriptor
        peer = accepted.peer
        isConnecting = false
    }

    /// Begins to connect; `establish` tells how it went. Set a time-out: the kernel's is minutes.
    ///
    /// - Throws: `TransportError.cannotConnect` when the kernel refuses at once.
    public init(connectingTo address: SocketAddress) throws(TransportError) {
        let type =
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            | Int32(SOCK_NONBLOCK.rawValue)
        let socket = Glibc.socket(address.family, type, 0)
        guard socket >= 0 else { throw .system(call: "socket", errno: errno) }
        SocketOption.set(socket, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        let result = address.withSocketAddress { Glibc.connect(socket, $0, $1) }
        // Read before close changes it.
        let error = result == 0 ? 0 : errno
        guard result == 0 || error == EINPROGRESS else {
            Glibc.close(socket)
            throw .cannotConnect(address: address.description, errno: error)
        }
        descriptor = socket
        peer = address
        isConnecting = true
    }

    public func establish() -> StreamOutcome {
        guard isConnecting else { return .done(0) }
        var state = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        guard poll(&state, 1, 0) > 0 else { return .wantsWrite }
        let error = SocketOption.takeError(descriptor)
        guard error == 0 else {
            return .failed(.cannotConnect(address: peer.description, errno: error))
        }
        isConnecting = false
        return .done(0)
    }

    public func read(into buffer: UnsafeMutableRawBufferPointer) -> StreamOutcome {
        while true {
            let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .done(count) }
            if count == 0 { return .endOfStream }
            switch errno {
            case EAGAIN: return .wantsRead
            case EINTR: continue
            default: return .failed(.connectionFailed(errno: errno))
            }
        }
    }

    public func write(_ bytes: UnsafeRawBufferPointer) -> StreamOutcome {
        while true {
            let count = send(
                descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .done(count) }
            switch errno {
            case EAGAIN: return .wantsWrite
            case EINTR: continue
            default: return .failed(.connectionFailed(errno: errno))
            }
        }
    }

    public func finishWriting() {
        // ENOTCONN: the peer was faster; there is nothing left to tell it.
        shutdown(descriptor, Int32(SHUT_WR))
    }

    public func close() { Glibc.close(descriptor) }
}

/// Options and errors of sockets.
enum SocketOption {
    /// Sets an integer option. Fails only for a descriptor that is none, which is our fault, or an
    /// option that the socket's family lacks, which changes nothing.
    static func set(_ socket: Int32, _ level: Int32, _ name: Int32, _ value: Int32) {
        var value = value
        let result = setsockopt(
            socket, level, name, &value, socklen_t(MemoryLayout<Int32>.size))
        precondition(result == 0 || errno != EBADF, "setsockopt on a closed descriptor")
    }

    /// SO_ERROR: the pending error, which is thereby cleared.
    static func takeError(_ socket: Int32) -> Int32 {
        var error: Int32 = 0
        var byteCount = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &byteCount) == 0 else {
            return errno
        }
        return error
    }
}
