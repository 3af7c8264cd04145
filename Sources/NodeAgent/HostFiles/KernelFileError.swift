import Glibc

/// A file of the host that could not be read, with what the operating system said.
enum KernelFileError: Error, Equatable, Sendable {
    case cannotOpen(path: String, errno: Int32)
    case cannotRead(path: String, errno: Int32)
    /// Longer than any such file should be; never cut silently.
    case tooLarge(path: String, limit: Int)
    case malformed(path: String, KernelTextError)

    /// The kernel does not have the file, or what it describes is gone. Not an error: a subject
    /// without the file does not have the file's metrics.
    var isAbsence: Bool {
        switch self {
        case .cannotOpen(_, let code), .cannotRead(_, let code): Self.isAbsence(code)
        case .tooLarge, .malformed: false
        }
    }

    /// The kernel has it and does not show it to this user.
    var isDenial: Bool {
        switch self {
        case .cannotOpen(_, let code), .cannotRead(_, let code): Self.isDenial(code)
        case .tooLarge, .malformed: false
        }
    }

    /// The next attempt may find the file.
    var mayPass: Bool {
        switch self {
        case .cannotOpen(_, let code), .cannotRead(_, let code): Self.mayPass(code)
        case .tooLarge, .malformed: false
        }
    }

    /// ENODEV is a cgroup's file after the cgroup's end, ESRCH a process's after its end,
    /// EOPNOTSUPP pressure of a kernel booted without it or of a cgroup that has it turned off.
    static func isAbsence(_ code: Int32) -> Bool {
        switch code {
        case ENOENT, ENODEV, ENOTDIR, ESRCH, EOPNOTSUPP, ENXIO: true
        default: false
        }
    }

    /// Neither absence nor denial: the next attempt may find the file.
    static func mayPass(_ code: Int32) -> Bool { !isAbsence(code) && !isDenial(code) }

    static func isDenial(_ code: Int32) -> Bool { code == EACCES || code == EPERM }
}

extension KernelFileError: CustomStringConvertible {
    var description: String {
        switch self {
        case .cannotOpen(let path, let code): "cannot open \(path): \(Self.words(code))"
        case .cannotRead(let path, let code): "cannot read \(path): \(Self.words(code))"
        case .tooLarge(let path, let limit): "\(path) has more than \(limit) bytes"
        case .malformed(let path, let error): "\(path) \(error)"
        }
    }

    private static func words(_ code: Int32) -> String {
        strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }
}
