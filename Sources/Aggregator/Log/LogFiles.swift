import CLinux
import Glibc
import Wire

/// What the log needs of a folder: whole-file reads, appends, syncs. Passed in, so that tests can
/// make each call fail, cut it short, or lose what was not synced.
protocol LogFiles: AnyObject {
    /// Names of the files in the folder, in any order.
    func list() throws(LogFileError) -> [String]
    /// Bytes of a file.
    func size(_ name: String) throws(LogFileError) -> Int
    /// Reads from an offset; fewer bytes only at the end of the file.
    func read(_ name: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer)
        throws(LogFileError) -> Int
    /// Makes a new, empty file for appending. What it is called is durable after `sync`.
    func create(_ name: String) throws(LogFileError)
    /// Appends to a file made by `create`. May have written a part when it throws.
    func append(_ name: String, _ bytes: UnsafeRawBufferPointer) throws(LogFileError)
    /// Returns when everything appended is on the disk.
    func sync(_ name: String) throws(LogFileError)
    /// Ends appending.
    func close(_ name: String)
    func truncate(_ name: String, to byteCount: Int) throws(LogFileError)
    func remove(_ name: String) throws(LogFileError)
}

extension LogFiles {
    func append(_ name: String, _ bytes: [UInt8]) throws(LogFileError) {
        var failure: LogFileError?
        bytes.withUnsafeBytes { bytes in
            do throws(LogFileError) { try append(name, bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}

/// A file operation that failed.
struct LogFileError: Error, Equatable, CustomStringConvertible {
    let operation: String
    let path: String
    let errno: Int32

    var description: String { "cannot \(operation) \(path): \(systemErrorText(errno))" }
    var isFull: Bool { errno == ENOSPC || errno == EDQUOT }
}

/// A folder of the operating system.
final class DiskLogFiles: LogFiles {
    private let folder: String
    private var open: [String: Int32] = [:]

    /// Makes the folder where it is missing, for this user alone.
    init(folder: String) throws(LogFileError) {
        self.folder = folder
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
            throw LogFileError(operation: "make", path: folder, errno: errno)
        }
    }

    deinit { for descriptor in open.values { Glibc.close(descriptor) } }

    private func path(_ name: String) -> String { "\(folder)/\(name)" }

    private func failure(_ operation: String, _ name: String) -> LogFileError {
        LogFileError(operation: operation, path: path(name), errno: errno)
    }

    func list() throws(LogFileError) -> [String] {
        guard let directory = opendir(folder) else {
            throw LogFileError(operation: "list", path: folder, errno: errno)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    func size(_ name: String) throws(LogFileError) -> Int {
        var status = stat()
        guard stat(path(name), &status) == 0 else { throw failure("look at", name) }
        return Int(status.st_size)
    }

    func read(
        _ name: String, at offset: Int, into buffer: UnsafeMutableRawBufferPointer
    ) throws(LogFileError) -> Int {
        let descriptor = Glibc.open(path(name), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", name) }
        defer { Glibc.close(descriptor) }
        var done = 0
        while done < buffer.count {
            let count = pread(
                descriptor, buffer.baseAddress?.advanced(by: done), buffer.count - done,
                off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", name) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    func create(_ name: String) throws(LogFileError) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC
        let descriptor = Glibc.open(path(name), flags, 0o600)
        guard descriptor >= 0 else { throw failure("make", name) }
        open[name] = descriptor
        let directory = Glibc.open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else {
            throw LogFileError(operation: "open", path: folder, errno: errno)
        }
        defer { Glibc.close(directory) }
        guard fsync(directory) == 0 else {
            throw LogFileError(operation: "sync", path: folder, errno: errno)
        }
    }

    func append(_ name: String, _ bytes: UnsafeRawBufferPointer) throws(LogFileError) {
        guard let descriptor = open[name] else { preconditionFailure("\(name) is not open") }
        var done = 0
        while done < bytes.count {
            let count = write(
                descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write", name) }
            done += count
        }
    }

    func sync(_ name: String) throws(LogFileError) {
        guard let descriptor = open[name] else { preconditionFailure("\(name) is not open") }
        guard fdatasync(descriptor) == 0 else { throw failure("sync", name) }
    }

    func close(_ name: String) {
        guard let descriptor = open.removeValue(forKey: name) else { return }
        Glibc.close(descriptor)
    }

    func truncate(_ name: String, to byteCount: Int) throws(LogFileError) {
        guard Glibc.truncate(path(name), off_t(byteCount)) == 0 else { throw failure("cut", name) }
    }

    func remove(_ name: String) throws(LogFileError) {
        close(name)
        guard unlink(path(name)) == 0 else { throw failure("remove", name) }
    }
}
