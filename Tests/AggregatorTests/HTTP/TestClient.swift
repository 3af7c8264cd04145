import Foundation
import Glibc
import TestSupport
import Testing
import Wire

@testable import Aggregator

/// A blocking socket that sends exactly what it is told and reads with a time limit.
final class TestClient {
    let descriptor: Int32
    private var buffer: [UInt8] = []

    struct Response: Equatable {
        var status: Int
        var head: String
        var body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }

        func field(_ name: String) -> String? {
            for line in head.components(separatedBy: "\r\n").dropFirst() {
                let parts = line.split(separator: ":", maxSplits: 1)
                if parts.count == 2, parts[0].lowercased() == name {
                    return parts[1].trimmingCharacters(in: .whitespaces)
                }
            }
            return nil
        }
    }

    enum Failure: Error {
        case connect(Int32)
        case ended, timedOut
        case malformed(String)
    }

    init(_ address: SocketAddress, receiveBufferByteCount: Int32? = nil) throws {
        descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        if var bytes = receiveBufferByteCount {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &bytes, 4)
        }
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = address.port.bigEndian
        target.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let result = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else { throw Failure.connect(errno) }
    }

    deinit { Glibc.close(descriptor) }

    func send(_ bytes: [UInt8]) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent,
                    Int32(MSG_NOSIGNAL))
            }
            if count <= 0 { return }
            sent += count
        }
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    func finishWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes with a reset.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(
            descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        // The descriptor itself is closed by deinit; shutting down does not reset.
        var null = open("/dev/null", O_RDONLY)
        dup2(null, descriptor)
        Glibc.close(null)
        null = -1
    }

    private func fill() throws {
        var piece = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &piece, piece.count, 0)
        if count == 0 { throw Failure.ended }
        guard count > 0 else { throw errno == EAGAIN ? Failure.timedOut : Failure.ended }
        buffer += piece[..<count]
    }

    /// Everything until the other end closes.
    func readToEnd() throws -> String {
        do {
            while true { try fill() }
        } catch Failure.ended {
            return String(decoding: buffer, as: UTF8.self)
        }
    }

    private func take(_ count: Int) throws -> [UInt8] {
        while buffer.count < count { try fill() }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    private func line() throws -> String {
        while true {
            if let end = buffer.firstIndex(of: 10) {
                return String(decoding: try take(end + 1).dropLast(2), as: UTF8.self)
            }
            try fill()
        }
    }

    /// One response; `hasBody` is false for the answer to HEAD.
    func response(hasBody: Bool = true) throws -> Response {
        var lines = [try line()]
        while let last = lines.last, !last.isEmpty { lines.append(try line()) }
        let parts = lines[0].split(separator: " ")
        guard parts.count >= 2, parts[0] == "HTTP/1.1", let status = Int(parts[1]) else {
            throw Failure.malformed(lines[0])
        }
        var response = Response(status: status, head: lines.joined(separator: "\r\n"), body: [])
        guard hasBody, status >= 200 else { return response }
        if let length = response.field("content-length").flatMap({ Int($0) }) {
            response.body = try take(length)
        } else if response.field("transfer-encoding") == "chunked" {
            while true {
                guard let size = Int(try line(), radix: 16) else {
                    throw Failure.malformed("chunk size")
                }
                let chunk = try take(size + 2)
                guard chunk.suffix(2) == [13, 10] else { throw Failure.malformed("chunk end") }
                if size == 0 { break }
                response.body += chunk.dropLast(2)
            }
        }
        return response
    }

    func get(_ path: String, _ fields: String = "") throws -> Response {
        send("GET \(path) HTTP/1.1\r\nHost: h\r\n\(fields)\r\n")
        return try response()
    }
}

/// Lines `0\n1\n2\n`… until so many bytes are made.
final class CountingProducer: HTTPBodyProducer, @unchecked Sendable {
    private var line = 0
    private var left: Int
    init(byteCount: Int) { left = byteCount }

    func produce(into piece: inout [UInt8]) -> Bool {
        while piece.count < 30_000, left > 0 {
            let text = Array("\(line)\n".utf8.prefix(left))
            piece += text
            left -= text.count
            line += 1
        }
        return left > 0
    }

    static func whole(_ byteCount: Int) -> [UInt8] {
        let producer = CountingProducer(byteCount: byteCount)
        var all: [UInt8] = []
        var hasMore = true
        while hasMore {
            var piece: [UInt8] = []
            hasMore = producer.produce(into: &piece)
            all += piece
        }
        return all
    }
}

/// A server with one handler of every kind, on a port of the kernel's choice.
func startServer(_ change: (inout HTTPServerConfiguration) -> Void = { _ in }) throws -> HTTPServer
{
    var configuration = HTTPServerConfiguration()
    change(&configuration)
    var router = Router()
    router.add(.get, "/small") { _ in .now(.text(.ok, "small")) }
    router.add(.get, "/text/{text...}") { .now(.text(.ok, $0.parameter(0))) }
    router.add(.post, "/echo") { .now(.json($0.body)) }
    router.add(.get, "/whole/{n}") { request in
        .now(.text(.ok, String(decoding: CountingProducer.whole(number(request)), as: UTF8.self)))
    }
    router.add(.get, "/stream/{n}") { request in
        .now(HTTPResponse(.ok, body: .stream(CountingProducer(byteCount: number(request)))))
    }
    router.add(.get, "/slow/{n}") { request in
        .now(HTTPResponse(.ok, body: .slowStream(CountingProducer(byteCount: number(request)))))
    }
    router.add(.get, "/worker/{ms}") { _ in
        .onWorker { request in
            for _ in 0..<number(request) where !request.isCancelled { usleep(1_000) }
            return .text(.ok, request.isCancelled ? "cancelled" : "worked")
        }
    }
    router.add(.get, "/kept/{text}") { _ in
        .onWorker { request in
            usleep(50_000)
            return .text(.ok, request.parameter(0))
        }
    }
    router.add(.get, "/later") { _ in .later { $0.complete(.text(.ok, "later")) } }
    router.add(.get, "/never") { _ in .later { _ in } }
    router.add(.get, "/empty") { _ in .now(HTTPResponse(.noContent)) }
    let finished = router
    return try HTTPServer(
        listeningOn: .loopback(port: 0), remedy: "--port", configuration: configuration
    ) { request in
        switch finished.route(request) {
        case .handler(let handler): handler(request)
        case .refusal(let response): .now(response)
        }
    }
}

private func number(_ request: HTTPRequest) -> Int { Int(request.parameter(0)) ?? 0 }

/// Waits until the server's figures are as wanted, up to 5 s.
func eventually(_ condition: () -> Bool) -> Bool {
    for _ in 0..<500 {
        if condition() { return true }
        usleep(10_000)
    }
    return false
}

/// Runs a program; returns its output.
func run(_ arguments: [String]) throws -> (status: Int32, output: [UInt8]) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = arguments
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    try process.start()
    let output = Array(pipe.fileHandleForReading.readDataToEndOfFile())
    process.waitUntilExit()
    return (process.terminationStatus, output)
}
