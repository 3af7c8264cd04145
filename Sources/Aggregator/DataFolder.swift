import Glibc
import Wire

/// The folder of `--data-dir`, held for one process while this lives.
final class DataFolder: Sendable {
    let path: String
    private let descriptor: Int32

    /// Makes the folder where it is missing and takes its lock.
    ///
    /// - Throws: what the user can mend, with the remedy.
    init(_ path: String) throws(UsageError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw UsageError(problems: [
                "--data-dir=\(path) cannot be made: \(systemErrorText(errno)); make it, or name a "
                    + "folder that this user may write to"
            ])
        }
        let file = "\(path)/lock"
        let descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw UsageError(problems: [
                "--data-dir=\(path) cannot be used: \(file): \(systemErrorText(errno)); name a "
                    + "folder that this user may write to"
            ])
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = Self.holder(descriptor)
            close(descriptor)
            throw UsageError(problems: [
                "--data-dir=\(path) is in use by another process\(holder.map { " (\($0))" } ?? "")"
                    + "; stop that, or name another folder"
            ])
        }
        self.path = path
        self.descriptor = descriptor
        Self.sign(descriptor)
    }

    deinit { close(descriptor) }

    /// The process's number, for whoever finds the folder in use. That the lock holds does not depend
    /// on it, so a full disk is no reason not to start.
    private static func sign(_ descriptor: Int32) {
        let text = Array("\(getpid())\n".utf8)
        let written = ftruncate(descriptor, 0) == 0 ? pwrite(descriptor, text, text.count, 0) : -1
        if written != text.count {
            Diagnostics.info("the data folder's lock does not name this process")
        }
    }

    private static func holder(_ descriptor: Int32) -> String? {
        var bytes = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 1 else { return nil }
        let digits = bytes[..<count].prefix { $0 >= 0x30 && $0 <= 0x39 }
        return digits.isEmpty ? nil : "pid \(String(decoding: digits, as: UTF8.self))"
    }
}
