import Glibc
import Wire

/// A blocking HTTP/1.1 client with one kept connection: what a measurement needs, and no more.
///
/// Answers must have a `Content-Length`. Not for anything but a trusted server on loopback.
struct HTTPProbe: ~Copyable {
    enum Failure: Error, CustomStringConvertible {
        case system(call: String, errno: Int32)
        case malformed(String)

        var description: String {
            switch self {
            case .system(let call, let error):
                "\(call) failed: \(systemErrorText(error))"
            case .malformed(let words): "malformed answer: \(words)"
            }
        }
    }

    private let address: SocketAddress
    private var descriptor: Int32 = -1
    private var buffer: [UInt8] = []

    init(_ address: SocketAddress) { self.address = address }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Status and body.
    mutating func get(_ path: String) throws -> (status: Int, body: ArraySlice<UInt8>) {
        if descriptor < 0 { try connect() }
        do {
            let request = "GET \(path) HTTP/1.1\r\nHost: \(address)\r\n\r\n"
            try send(Array(request.utf8))
            return try receive()
        } catch {
            close(descriptor)
            descriptor = -1
            throw error
        }
    }

    private mutating func connect() throws {
        let stream = try SocketStream(connectingTo: address)
        // Nonblocking, as the loop wants it; here every call may wait.
        let flags = fcntl(stream.descriptor, F_GETFL)
        guard fcntl(stream.descriptor, F_SETFL, flags & ~O_NONBLOCK) == 0 else {
            throw Failure.system(call: "fcntl", errno: errno)
        }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(
                stream.descriptor, SOL_SOCKET, option, &limit,
                socklen_t(MemoryLayout<timeval>.size))
        }
        descriptor = stream.descriptor
    }

    private func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure.system(call: "send", errno: errno) }
            sent += count
        }
    }

    private mutating func receive() throws -> (status: Int, body: ArraySlice<UInt8>) {
        buffer.removeAll(keepingCapacity: true)
        while true {
            if let head = headEnd() {
                let (status, length) = try parse(buffer[..<head])
                while buffer.count < head + length { try receiveMore() }
                return (status, buffer[head..<head + length])
            }
            try receiveMore()
        }
    }

    private mutating func receiveMore() throws {
        let start = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: 65_536))
        let count = buffer[start...].withUnsafeMutableBytes {
            recv(descriptor, $0.baseAddress, $0.count, 0)
        }
        buffer.removeSubrange((start + max(0, count))...)
        guard count > 0 else { throw Failure.system(call: "recv", errno: errno) }
    }

    /// Where the body begins.
    private func headEnd() -> Int? {
        guard buffer.count >= 4 else { return nil }
        for index in 0...buffer.count - 4
        where buffer[index] == 13 && buffer[index + 1] == 10 && buffer[index + 2] == 13
            && buffer[index + 3] == 10
        {
            return index + 4
        }
        return nil
    }

    private func parse(_ head: ArraySlice<UInt8>) throws -> (status: Int, length: Int) {
        let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
        guard let first = lines.first, let status = Int(first.dropFirst(9).prefix(3)) else {
            throw Failure.malformed("no status")
        }
        for line in lines where line.lowercased().hasPrefix("content-length:") {
            let digits = line.dropFirst("content-length:".count).filter { $0 != " " }
            guard let length = Int(digits) else { throw Failure.malformed(String(line)) }
            return (status, length)
        }
        throw Failure.malformed("no Content-Length")
    }
}
