import CLinux
import Glibc
import Wire

/// A file operation that failed.
struct QueueFileError: Error, Equatable, CustomStringConvertible {
    var call: StaticText
    var path: String
    var errno: Int32

    var description: String {
        "cannot \(call) \(path): \(systemErrorText(errno))"
    }
}

/// The files of one queue, passed in so that tests can let any call fail and the process die
/// between any two bytes. Belongs to whoever holds the queue's lock.
protocol QueueFiles: AnyObject {
    /// Names of all files, in any order.
    func list() throws(QueueFileError) -> [String]
    /// At most `count` bytes from `offset`; fewer at the end of the file.
    func read(_ name: String, at offset: Int, count: Int) throws(QueueFileError) -> [UInt8]
    /// Makes the file if need be. After a failure any part of the bytes may be there.
    func append(_ bytes: [UInt8], to name: String) throws(QueueFileError)
    /// One behind the other, as if they were one piece.
    func append(_ head: [UInt8], _ body: [UInt8], to name: String) throws(QueueFileError)
    func truncate(_ name: String, to byteCount: Int) throws(QueueFileError)
    /// Waits until the file's content survives a power cut.
    func synchronize(_ name: String) throws(QueueFileError)
    /// No error if there is no such file.
    func remove(_ name: String) throws(QueueFileError)
}

extension QueueFiles {
    func append(_ head: [UInt8], _ body: [UInt8], to name: String) throws(QueueFileError) {
        try append(head + body, to: name)
    }
}

/// Files in a directory of the file system.
final class DirectoryFiles: QueueFiles {
    private let directory: String
    /// Descriptors of the files written last, newest last.
    private var open: [(name: String, descriptor: Int32)] = []
    private static let openCountMax = 4

    /// Makes the directory and its parents, readable to nobody else: queues hold a cluster's data.
    init(directory: String) throws(QueueFileError) {
        self.directory = directory
        var path = ""
        for part in directory.split(separator: "/", omittingEmptySubsequences: false) {
            path += path.isEmpty && part.isEmpty ? "/" : path.hasSuffix("/") ? part : "/\(part)"
            if path == "/\(part)", !directory.hasPrefix("/") { path = String(part) }
            guard !path.isEmpty, path != "/" else { continue }
            if mkdir(path, 0o700) != 0, errno != EEXIST {
                throw QueueFileError(call: "make", path: path, errno: errno)
            }
        }
    }

    deinit {
        for file in open { close(file.descriptor) }
    }

    func list() throws(QueueFileError) -> [String] {
        guard let stream = opendir(directory) else {
            throw QueueFileError(call: "list", path: directory, errno: errno)
        }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    func read(_ name: String, at offset: Int, count: Int) throws(QueueFileError) -> [UInt8] {
        let path = path(name)
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw QueueFileError(call: "open", path: path, errno: errno)
        }
        defer { close(descriptor) }
        // A length from a damaged file must not become an allocation.
        let size = Int(lseek(descriptor, 0, SEEK_END))
        let wanted = max(0, min(count, size - offset))
        var bytes = [UInt8](repeating: 0, count: wanted)
        var done = 0
        while done < wanted {
            let result = bytes.withUnsafeMutableBytes {
                pread(descriptor, $0.baseAddress.map { $0 + done }, wanted - done, offset + done)
            }
            if result == 0 { break }
            if result < 0 {
                if errno == EINTR { continue }
                throw QueueFileError(call: "read", path: path, errno: errno)
            }
            done += result
        }
        bytes.removeSubrange(done...)
        return bytes
    }

    func append(_ bytes: [UInt8], to name: String) throws(QueueFileError) {
        try append(bytes, [], to: name)
    }

    /// A body of megabytes is not copied.
    func append(_ head: [UInt8], _ body: [UInt8], to name: String) throws(QueueFileError) {
        let descriptor = try descriptor(of: name)
        var done = 0
        while done < head.count + body.count {
            let result = head.withUnsafeBytes { head in
                body.withUnsafeBytes { body in
                    let headRest = UnsafeRawBufferPointer(
                        rebasing: head[min(done, head.count)...])
                    let bodyRest = UnsafeRawBufferPointer(
                        rebasing: body[max(0, done - head.count)...])
                    let pieces = [headRest, bodyRest].map {
                        iovec(
                            iov_base: UnsafeMutableRawPointer(mutating: $0.baseAddress),
                            iov_len: $0.count)
                    }
                    return writev(descriptor, pieces, Int32(pieces.count))
                }
            }
            if result < 0 {
                if errno == EINTR { continue }
                throw QueueFileError(call: "write", path: path(name), errno: errno)
            }
            done += result
        }
    }

    func truncate(_ name: String, to byteCount: Int) throws(QueueFileError) {
        guard Glibc.truncate(path(name), byteCount) == 0 || errno == ENOENT else {
            throw QueueFileError(call: "truncate", path: path(name), errno: errno)
        }
    }

    func synchronize(_ name: String) throws(QueueFileError) {
        let descriptor = try descriptor(of: name)
        guard fdatasync(descriptor) == 0 else {
            throw QueueFileError(call: "synchronize", path: path(name), errno: errno)
        }
        // The file's name is the directory's content.
        let folder = Glibc.open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else {
            throw QueueFileError(call: "open", path: directory, errno: errno)
        }
        defer { close(folder) }
        guard fsync(folder) == 0 else {
            throw QueueFileError(call: "synchronize", path: directory, errno: errno)
        }
    }

    func remove(_ name: String) throws(QueueFileError) {
        if let index = open.firstIndex(where: { $0.name == name }) {
            close(open.remove(at: index).descriptor)
        }
        guard unlink(path(name)) == 0 || errno == ENOENT else {
            throw QueueFileError(call: "remove", path: path(name), errno: errno)
        }
    }

    private func path(_ name: String) -> String { "\(directory)/\(name)" }

    private func descriptor(of name: String) throws(QueueFileError) -> Int32 {
        if let file = open.first(where: { $0.name == name }) { return file.descriptor }
        let descriptor = Glibc.open(path(name), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw QueueFileError(call: "open", path: path(name), errno: errno)
        }
        if open.count == Self.openCountMax { close(open.removeFirst().descriptor) }
        open.append((name, descriptor))
        return descriptor
    }
}
