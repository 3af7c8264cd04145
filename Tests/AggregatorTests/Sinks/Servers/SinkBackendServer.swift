import Foundation
import Glibc
import TestSupport
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

    /// One that was read whole.
    struct Request: Sendable {
        /// When it came, monotonic nanoseconds.
        let time: UInt64
        /// With the empty line at its end.
        let head: String
        let body: [UInt8]
    }

    var port: UInt16 { listener.port }
    private let listener: LoopbackListener
    private let lock = Lock()
    private var script: [Answer]
    private var received: [Request] = []
    private var thread: SystemThread?
    private var isOver = false

    init(_ script: [Answer]) throws {
        self.script = script
        listener = try LoopbackListener()
        thread = try SystemThread.start(name: "scripted") { [self] in serve() }
    }

    func stop() {
        lock.withLock { isOver = true }
        listener.interrupt()
        thread?.join()
        listener.close()
    }

    /// Answers by another script from now on.
    func become(_ script: [Answer]) { lock.withLock { self.script = script } }

    var requests: [Request] { lock.withLock { received } }

    private func serve() {
        while let connection = listener.accept() {
            guard !lock.withLock({ isOver }) else { return }
            while answerOne(connection) {}
            close(connection)
        }
    }

    /// Whether the connection stays.
    private func answerOne(_ connection: Int32) -> Bool {
        guard let request = readRequest(connection) else { return false }
        let answer = lock.withLock {
            received.append(request)
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

    private func readRequest(_ connection: Int32) -> Request? {
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
                if bytes.count >= start + length {
                    return Request(
                        time: Clock.system.monotonicNanoseconds,
                        head: String(text[..<end.upperBound]),
                        body: Array(bytes[start..<(start + length)]))
                }
            }
            let count = recv(connection, &block, block.count, 0)
            guard count > 0 else { return nil }
            bytes += block[..<count]
        }
    }
}
