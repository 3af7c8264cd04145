import Glibc
import Wire

/// What can go wrong between a sink and its backend. Texts carry no secrets.
enum SinkError: Error, Equatable {
    case transport(TransportError)
    case timedOut(what: String)
    case endOfStream(what: String)
    /// The backend's answer is not what its protocol says.
    case malformedAnswer(String)
    /// The backend answered, and its answer is no.
    case backend(String)
    case cannotReadFile(path: String)
    /// TLS was asked for and this build's transport cannot.
    case unavailable(String)
}

extension SinkError: CustomStringConvertible {
    var description: String {
        switch self {
        case .transport(let error): error.description
        case .timedOut(let what): "timed out \(what)"
        case .endOfStream(let what): "the backend closed the connection \(what)"
        case .malformedAnswer(let text): "malformed answer: \(text)"
        case .backend(let text): text
        case .cannotReadFile(let path): "cannot read \(path)"
        case .unavailable(let text): text
        }
    }
}

/// Small files such as tokens and certificates.
enum SmallFile {
    static let byteCountMax = 1 << 20

    /// The content as text; `nil` when it cannot be opened or is longer than `byteCountMax`.
    static func read(_ path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = Glibc.read(descriptor, &block, block.count)
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            bytes += block[..<count]
            guard bytes.count <= byteCountMax else { return nil }
        }
    }
}
