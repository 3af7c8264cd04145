import Glibc
import Synchronization
import Wire

/// Holds many connections open that say nothing, or a few bytes of nonsense, and opens another for each
/// that is closed.
final class Flood: Sendable {
    private struct State {
        var opened = 0
        var closed = 0
        var isStopping = false
    }

    private let state = Mutex(State())
    private let thread: Mutex<SystemThread?>

    /// - Parameters:
    ///   - port: on 127.0.0.1.
    ///   - count: connections at once.
    init(port: UInt16, count: Int) throws {
        thread = Mutex(nil)
        let started = try SystemThread.start(name: "flood") { [self] in run(port, count) }
        thread.withLock { $0 = started }
    }

    var openedCount: Int { state.withLock { $0.opened } }
    var closedCount: Int { state.withLock { $0.closed } }

    func stop() {
        state.withLock { $0.isStopping = true }
        thread.withLock { thread in
            thread?.join()
            thread = nil
        }
    }

    private func run(_ port: UInt16, _ count: Int) {
        var sockets: [Int32] = []
        while !state.withLock({ $0.isStopping }) {
            for _ in 0..<50 where sockets.count < count {
                guard let socket = Self.connect(port) else { break }
                let number = state.withLock { state in
                    state.opened += 1
                    return state.opened
                }
                if number % 5 == 0 { Self.babble(socket, number) }
                sockets.append(socket)
            }
            // Asked once: a number that is closed here is another's at once.
            var open: [Int32] = []
            for socket in sockets {
                if Self.isClosed(socket) { close(socket) } else { open.append(socket) }
            }
            state.withLock { $0.closed += sockets.count - open.count }
            sockets = open
            usleep(20_000)
        }
        for socket in sockets { close(socket) }
    }

    private static func connect(_ port: UInt16) -> Int32? {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard socket >= 0 else { return nil }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else {
            close(socket)
            return nil
        }
        return socket
    }

    /// What is not the preface, or the preface and then nonsense, or a part of it.
    private static func babble(_ socket: Int32, _ number: Int) {
        let words: [[UInt8]] = [
            Array("GET / HTTP/1.1\r\n\r\n".utf8), Hello.preface + [0xFF, 0xFF, 0xFF, 0xFF],
            Array(Hello.preface.prefix(2)), Hello.preface + [0x80, 0x80, 0x01],
        ]
        let bytes = words[number / 5 % words.count]
        _ = send(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    private static func isClosed(_ socket: Int32) -> Bool {
        var byte: [UInt8] = Array(repeating: 0, count: 256)
        let count = recv(socket, &byte, byte.count, Int32(MSG_DONTWAIT))
        return count == 0 || (count < 0 && errno != EAGAIN)
    }
}
