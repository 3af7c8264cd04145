import CLinux
import Glibc

/// A connection just accepted: nonblocking, close-on-exec, without Nagle's delay.
/// Whoever takes it closes it.
public struct AcceptedSocket: Sendable {
    public let descriptor: Int32
    public let peer: SocketAddress

    /// For a connection that will not be served.
    public func close() { Glibc.close(descriptor) }
}

/// A listening TCP socket.
public final class TCPListener: ReadinessHandler {
    /// Accepted connections per turn, so that a flood of them cannot starve the others.
    private static let acceptsPerTurn = 64
    /// How long to wait when the process or the machine has no descriptor left.
    private static let exhaustedPauseNanoseconds: UInt64 = 100_000_000

    /// Where it listens; the port is the kernel's choice when 0 was asked for.
    public let address: SocketAddress
    /// Times that accepting had to pause for want of descriptors or memory.
    public private(set) var exhaustedCount: UInt64 = 0
    private let descriptor: Int32
    private var loop: EventLoop?
    private var pause: TimerID?
    private var accepted: ((AcceptedSocket) -> Void)?
    /// Accepted before `start`.
    private var held: [AcceptedSocket] = []

    /// Binds and listens.
    ///
    /// - Parameters:
    ///   - remedy: the flag that chooses another address, named in the error.
    ///   - backlog: connections that may wait to be accepted; the kernel caps it (somaxconn).
    /// - Throws: `TransportError.cannotListen` with what to do.
    public init(
        _ wanted: SocketAddress, remedy: String, backlog: Int32 = 4_096
    ) throws(TransportError) {
        let type =
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            | Int32(SOCK_NONBLOCK.rawValue)
        let socket = Glibc.socket(wanted.family, type, 0)
        guard socket >= 0 else { throw .system(call: "socket", errno: errno) }
        // Else a restart fails for a minute, while old connections are in TIME_WAIT.
        SocketOption.set(socket, SOL_SOCKET, SO_REUSEADDR, 1)
        if case .v6 = wanted {
            // [::] takes IPv4 too, whatever the machine's default.
            SocketOption.set(socket, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0)
        }
        let isBound = wanted.withSocketAddress { bind(socket, $0, $1) } == 0
        guard isBound, listen(socket, backlog) == 0, let actual = Self.name(of: socket) else {
            let error = errno
            Glibc.close(socket)
            throw .cannotListen(address: wanted.description, errno: error, remedy: remedy)
        }
        descriptor = socket
        address = actual
    }

    deinit {
        for socket in held { socket.close() }
        Glibc.close(descriptor)
    }

    /// Accepts what comes within a time, and keeps it for `start`: the kernel lets only so many connections
    /// wait (somaxconn), and refuses others by silence. Before `start`, by one thread at a time.
    ///
    /// - Parameters:
    ///   - milliseconds: to wait for the first, or at all where no more can be taken.
    ///   - countMax: no more are kept in all.
    public func hold(forMilliseconds milliseconds: Int32, countMax: Int) {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard held.count < countMax, poll(&waiting, 1, milliseconds) > 0 else {
            if held.count >= countMax { poll(nil, 0, milliseconds) }
            return
        }
        while held.count < countMax {
            switch acceptNext() {
            case .connection(let socket): held.append(socket)
            case .nothing: return
            case .exhausted:
                poll(nil, 0, milliseconds)
                return
            case .fault: continue
            }
        }
    }

    /// Accepts on the loop's thread until `stop`.
    public func start(
        on loop: EventLoop, _ accepted: @escaping (AcceptedSocket) -> Void
    ) throws(TransportError) {
        precondition(self.loop == nil, "started twice")
        try loop.add(descriptor, interest: .read, handler: self)
        self.loop = loop
        self.accepted = accepted
        pause = loop.makeTimer { [weak self] in self?.resume() }
        for socket in held { accepted(socket) }
        held = []
    }

    /// Accepts no more. Connections that wait are reset when the listener is released.
    public func stop() {
        guard let loop else { return }
        loop.remove(descriptor)
        if let pause { loop.cancel(pause) }
        self.loop = nil
        accepted = nil
    }

    public func ready(_ readiness: Readiness) {
        for _ in 0..<Self.acceptsPerTurn {
            guard let accepted else { return }
            switch acceptNext() {
            case .connection(let socket): accepted(socket)
            case .nothing: return
            case .exhausted: return rest()
            case .fault: continue
            }
        }
    }

    private enum Accepted {
        case connection(AcceptedSocket)
        /// None waits.
        case nothing
        /// There is no descriptor or memory left.
        case exhausted
        /// Of the connection that was to be accepted: the next, please.
        case fault
    }

    private func acceptNext() -> Accepted {
        var storage = sockaddr_storage()
        var byteCount = UInt32(MemoryLayout<sockaddr_storage>.size)
        let connection = hw_accept4(descriptor, &storage, &byteCount)
        guard connection >= 0 else {
            switch errno {
            case EAGAIN: return .nothing
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
            default: return .fault
            }
        }
        guard let peer = SocketAddress(&storage, byteCount: Int(byteCount)) else {
            Glibc.close(connection)
            return .fault
        }
        SocketOption.set(connection, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
        return .connection(AcceptedSocket(descriptor: connection, peer: peer))
    }

    /// The waiting connection would wake us at once, for ever.
    private func rest() {
        exhaustedCount &+= 1
        guard let loop, let pause else { return }
        loop.setInterest([], of: descriptor)
        loop.schedule(pause, afterNanoseconds: Self.exhaustedPauseNanoseconds)
    }

    private func resume() { loop?.setInterest(.read, of: descriptor) }

    private static func name(of socket: Int32) -> SocketAddress? {
        var storage = sockaddr_storage()
        var byteCount = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(socket, $0, &byteCount)
            }
        }
        return result == 0 ? SocketAddress(&storage, byteCount: Int(byteCount)) : nil
    }
}
