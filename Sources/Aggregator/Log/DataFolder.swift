import Glibc
import Wire

/// The folder of `--data-dir`, held for one process.
struct DataFolder: ~Copyable {
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
        descriptor = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw UsageError(problems: [
                "--data-dir=\(path) cannot be used: \(file): \(systemErrorText(errno)); name a "
                    + "folder that this user may write to"
            ])
        }
        self.path = path
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw UsageError(problems: [
                "--data-dir=\(path) is in use by another process; stop that, or name another folder"
            ])
        }
    }

    deinit { close(descriptor) }
}
