import Foundation
import Glibc
import Wire

@testable import Aggregator

/// An HTTP server that answers by script: one entry for each request, the last one for ever.
final class SinkBackendServer: @unchecked Sendable {
    enum Answer: Sendable {
        case status(Int, fields: String = "", body: String = "")
        /// The connection ends inside the head, or inside the body.
        case cut(String)
        /// Nothing comes for so long.
        case silence(milliseconds: UInt32)
    }

    let port: UInt16
    private let listener: Int32
    private let lock = Lock()
    private var script: [Answer]
    private var received: [(time: UInt64, body: [UInt8])] = []
    private var thread: SystemThread?
    private var isOver = false

    init(_ script: [Answer]) throws {
        self.script = script
        port = BackendServer.freePort()
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, listen(listener, 16) == 0 else {
            throw BackendServer.Failure(description: "cannot listen: \(errno)")
        }
        thread = try SystemThread.start(name: "scripted") { [self] in serve() }
    }

    func stop() {
        lock.withLock { isOver = true }
        shutdown(listener, Int32(SHUT_RDWR))
        thread?.join()
        close(listener)
    }

    /// Answers by another script from now on.
    func become(_ script: [Answer]) { lock.withLock { self.script = script } }

    /// Requests that were read whole, with the times at which they came.
    var requests: [(time: UInt64, body: [UInt8])] { lock.withLock { received } }

    private func serve() {
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0, !lock.withLock({ isOver }) else { return }
            while answerOne(connection) {}
            close(connection)
        }
    }

    /// Whether the connection stays.
    private func answerOne(_ connection: Int32) -> Bool {
        guard let body = readRequest(connection) else { return false }
        let answer = lock.withLock {
            received.append((Clock.system.monotonicNanoseconds, body))
            return script.count > 1 ? script.removeFirst() : script[0]
        }
        let text: String
        switch answer {
        case .status(let status, let fields, let content):
            text =
                "HTTP/1.1 \(status) Words\r\n\(fields)Content-Length: \(content.utf8.count)\r\n\r\n\(content)"
        case .cut(let beginning): text = beginning
        case .silence(let milliseconds):
            usleep(milliseconds * 1_000)
            return false
        }
        let bytes = Array(text.utf8)
        guard send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count else {
            return false
        }
        if case .cut = answer { return false }
        return true
    }

    private func readRequest(_ connection: Int32) -> [UInt8]? {
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 65_536)
        while true {
            let text = String(decoding: bytes, as: UTF8.self)
            if let end = text.range(of: "\r\n\r\n") {
                let head = text[..<end.lowerBound]
                let length =
                    head.split(separator: "\r\n").first {
                        $0.lowercased().hasPrefix("content-length:")
                    }.flatMap { Int($0.split(separator: " ").last ?? "") } ?? 0
                let start = text[..<end.upperBound].utf8.count
                if bytes.count >= start + length { return Array(bytes[start..<(start + length)]) }
            }
            let count = recv(connection, &block, block.count, 0)
            guard count > 0 else { return nil }
            bytes += block[..<count]
        }
    }
}
