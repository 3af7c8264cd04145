import Glibc
import Wire

/// What a call on the spool's files failed with.
struct SpoolFileError: Error, Equatable, CustomStringConvertible {
    let call: String
    let name: String
    let errno: Int32

    var description: String { "cannot \(call) \(name): \(systemErrorText(errno))" }
}

/// The files of a spool directory: all that the spool asks of the machine. Used from one thread at a
/// time.
protocol SpoolFiles: Sendable {
    /// Names of what is there.
    func list() throws(SpoolFileError) -> [String]
    func read(_ name: String, byteLimit: Int) throws(SpoolFileError) -> [UInt8]
    /// Makes the file, empty; returns its descriptor.
    func create(_ name: String) throws(SpoolFileError) -> Int32
    /// Writes all of it, or fails; then a part may be there.
    func append(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws(SpoolFileError)
    /// To the disk itself.
    func sync(_ descriptor: Int32) throws(SpoolFileError)
    func close(_ descriptor: Int32)
    func remove(_ name: String) throws(SpoolFileError)
}

/// A directory.
struct DirectorySpoolFiles: SpoolFiles {
    let directory: String

    func list() throws(SpoolFileError) -> [String] {
        guard let stream = opendir(directory) else { throw failure("list", directory) }
        defer { closedir(stream) }
        var names: [String] = []
        while let entry = readdir(stream) {
            withUnsafeBytes(of: &entry.pointee.d_name) { name in
                let text = name.prefix { $0 != 0 }
                names.append(String(decoding: text, as: UTF8.self))
            }
        }
        return names
    }

    func read(_ name: String, byteLimit: Int) throws(SpoolFileError) -> [UInt8] {
        let descriptor = open(path(name), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", name) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("read", name) }
        let wanted = min(max(0, Int(status.st_size)), byteLimit)
        var bytes = [UInt8](repeating: 0, count: wanted)
        var count = 0
        while count < wanted {
            let got = bytes.withUnsafeMutableBytes {
                Glibc.read(descriptor, $0.baseAddress.map { $0 + count }, wanted - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw failure("read", name) }
            if got == 0 { break }
            count += got
        }
        bytes.removeLast(wanted - count)
        return bytes
    }

    func create(_ name: String) throws(SpoolFileError) -> Int32 {
        let descriptor = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("create", name) }
        return descriptor
    }

    func append(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws(SpoolFileError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = write(descriptor, rest.baseAddress, rest.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write to", directory) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    func sync(_ descriptor: Int32) throws(SpoolFileError) {
        guard fsync(descriptor) == 0 else { throw failure("sync", directory) }
    }

    func close(_ descriptor: Int32) { Glibc.close(descriptor) }

    func remove(_ name: String) throws(SpoolFileError) {
        guard unlink(path(name)) == 0 || errno == ENOENT else { throw failure("remove", name) }
    }

    private func path(_ name: String) -> String { directory + "/" + name }

    private func failure(_ call: String, _ name: String) -> SpoolFileError {
        SpoolFileError(call: call, name: name, errno: errno)
    }
}
