import Foundation
import Synchronization

/// A server that answers as a test says, byte for byte: also what no server should. Plain TCP on
/// loopback, a thread for each connection.
final class ScriptedServer: Sendable {
    /// What to do with a request.
    enum Step: Sendable {
        case send([UInt8])
        case pause(milliseconds: Int)
        case close
    }

    let port: UInt16
    private let listener: Int32
    private let answer: @Sendable (_ request: String, _ connection: Int) -> [Step]
    private let state = Mutex(State())

    private struct State {
        var requests: [String] = []
        var connections = 0
        var open: [Int32] = []
        var isStopped = false
    }

    /// - Parameter answer: gets the request with its body and the connection's number, from 1.
    init(_ answer: @escaping @Sendable (String, Int) -> [Step]) throws {
        self.answer = answer
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var byteCount = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let isListening = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, byteCount) == 0 && listen(descriptor, 64) == 0
                    && getsockname(descriptor, $0, &byteCount) == 0
            }
        }
        guard isListening else { throw CocoaError(.fileReadUnknown) }
        port = UInt16(bigEndian: address.sin_port)
        Thread.detachNewThread { [self] in accept() }
    }

    var requests: [String] { state.withLock { $0.requests } }
    var connectionCount: Int { state.withLock { $0.connections } }

    /// Ends the listener and all connections.
    func stop() {
        // Under the lock, and closed by their threads: a number that was closed in between could be
        // another server's by now.
        state.withLock { state in
            state.isStopped = true
            for descriptor in state.open { shutdown(descriptor, Int32(SHUT_RDWR)) }
        }
        shutdown(listener, Int32(SHUT_RDWR))
    }

    private func accept() {
        defer { close(listener) }
        while true {
            let descriptor = Foundation.accept(listener, nil, nil)
            guard descriptor >= 0 else { return }
            let number = state.withLock { state in
                state.connections += 1
                state.open.append(descriptor)
                return state.isStopped ? 0 : state.connections
            }
            if number == 0 {
                close(descriptor)
                return
            }
            Thread.detachNewThread { [self] in
                serve(descriptor, number)
                state.withLock { state in
                    state.open.removeAll { $0 == descriptor }
                    close(descriptor)
                }
            }
        }
    }

    private func serve(_ descriptor: Int32, _ number: Int) {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4_096)
        while true {
            while let length = Self.requestLength(bytes) {
                let request = String(decoding: bytes[..<length], as: UTF8.self)
                bytes.removeFirst(length)
                state.withLock { $0.requests.append(request) }
                for step in answer(request, number) {
                    switch step {
                    case .send(let bytes):
                        guard
                            send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
                        else { return }
                    case .pause(let milliseconds): usleep(UInt32(milliseconds) * 1_000)
                    case .close: return
                    }
                }
            }
            let count = recv(descriptor, &piece, piece.count, 0)
            guard count > 0 else { return }
            bytes += piece[..<count]
        }
    }

    /// Of the first whole request.
    private static func requestLength(_ bytes: [UInt8]) -> Int? {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.range(of: "\r\n\r\n") else { return nil }
        let head = text[..<end.upperBound]
        var length = head.utf8.count
        for line in head.split(separator: "\r\n")
        where line.lowercased().hasPrefix("content-length:") {
            length += Int(line.dropFirst(15).trimmingCharacters(in: .whitespaces)) ?? 0
        }
        return bytes.count >= length ? length : nil
    }
}

/// A whole answer with a length.
func answer(_ status: String, _ body: String, fields: String = "") -> [UInt8] {
    Array("HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n\(body)".utf8)
}
