import Glibc

/// Why a small file could not be read.
public struct SmallFileError: Error, CustomStringConvertible, Equatable {
    public let path: String
    public let reason: String

    public init(path: String, reason: String) {
        self.path = path
        self.reason = reason
    }

    public var description: String { "cannot read \(path): \(reason)" }
}

/// Whole files that are small by their nature: tokens, certificates, configuration.
public enum SmallFile {
    /// - Throws: when it cannot be opened or read, or is longer than `byteLimit`.
    public static func read(_ path: String, byteLimit: Int) throws(SmallFileError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw SmallFileError(path: path, reason: systemErrorText(errno))
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &piece, piece.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw SmallFileError(path: path, reason: systemErrorText(errno))
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: piece[..<count])
            guard bytes.count <= byteLimit else {
                throw SmallFileError(
                    path: path, reason: "it is longer than \(byteLimit) bytes, the limit")
            }
        }
    }
}

extension [UInt8] {
    /// Without blanks and line ends at either end.
    public func trimmingWhitespace() -> [UInt8] {
        let isSpace = { (byte: UInt8) in byte == 0x20 || (0x09...0x0D).contains(byte) }
        let front = drop(while: isSpace)
        guard let last = front.lastIndex(where: { !isSpace($0) }) else { return [] }
        return [UInt8](front[...last])
    }
}
