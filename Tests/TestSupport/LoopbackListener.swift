import Foundation
import Glibc

/// A listening TCP socket on 127.0.0.1, for servers that tests play themselves.
public final class LoopbackListener: Sendable {
    public let port: UInt16
    private let descriptor: Int32

    public struct Failure: Error, CustomStringConvertible { public let description: String }

    /// - Throws: when the kernel gives no port.
    public init() throws {
        (descriptor, port) = try Self.bound()
        guard listen(descriptor, 16) == 0 else {
            Glibc.close(descriptor)
            throw Failure(description: "listen: \(errno)")
        }
    }

    /// A port that nothing listened on a moment ago, for programs that want to be told one.
    public static func freePort() throws -> UInt16 {
        let (descriptor, port) = try bound()
        Glibc.close(descriptor)
        return port
    }

    private static func bound() throws -> (Int32, UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var count = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, count) == 0 && getsockname(descriptor, $0, &count) == 0
            }
        }
        guard descriptor >= 0, isBound else { throw Failure(description: "bind: \(errno)") }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    /// The next connection; `nil` once `interrupt` was called. The caller closes it.
    public func accept() -> Int32? {
        let connection = Glibc.accept(descriptor, nil, nil)
        return connection >= 0 ? connection : nil
    }

    /// Ends a wait in `accept`, and all later ones.
    public func interrupt() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// When nobody waits any more.
    public func close() { Glibc.close(descriptor) }
}
