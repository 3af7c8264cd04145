import CLinux
import Glibc

/// What the files below a directory take, as `du` counts it: blocks, not lengths; a file with several
/// names once; nothing of other filesystems.
struct DirectoryUsage: Equatable, Sendable {
    var byteCount: Int64 = 0
    /// Files, directories and everything else, the directory itself among them.
    var inodeCount: Int64 = 0
}

/// A walk through a directory tree, piece by piece, so that its owner decides how fast it goes.
///
/// Holds one descriptor per level. Follows no symbolic link. A tree that cannot be walked to its end
/// has no usage: a number that is too small would be a wrong one.
final class DirectoryWalk {
    /// Levels; each costs a descriptor while the walk is below it.
    static let depthLimit = 64
    /// Files with several names that are remembered; more of them fail the walk.
    static let linkLimit = 100_000
    /// Entries, so that a walk ends.
    static let entryLimit = 50_000_000

    private var stack: [OpaquePointer] = []
    private var links: Set<UInt64> = []
    private let device: UInt64
    private var usage = DirectoryUsage()
    private var failure: Int32?

    /// The outcome, as soon as there is one.
    enum Outcome: Equatable, Sendable {
        case usage(DirectoryUsage)
        /// EACCES, EIO …; ELOOP for a tree that is too deep, E2BIG for one with too many files.
        case failed(errno: Int32)
    }

    private(set) var outcome: Outcome?

    /// A path that is gone or may not be entered has its outcome at once.
    init(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        var status = stat()
        guard descriptor >= 0, fstat(descriptor, &status) == 0 else {
            outcome = .failed(errno: errno)
            device = 0
            if descriptor >= 0 { close(descriptor) }
            return
        }
        device = UInt64(status.st_dev)
        count(status)
        push(descriptor)
    }

    deinit { for directory in stack { closedir(directory) } }

    /// Looks at some more entries.
    ///
    /// - Returns: how many it looked at, at most `limit`; fewer when the walk is over.
    func advance(_ limit: Int) -> Int {
        guard outcome == nil else { return 0 }
        var looked = 0
        while let directory = stack.last {
            guard looked < limit else { return looked }
            errno = 0
            guard let entry = readdir(directory) else {
                if errno != 0 { fail(errno) }
                closedir(directory)
                stack.removeLast()
                continue
            }
            looked += 1
            look(at: entry, in: directory)
            if failure != nil { break }
        }
        for directory in stack { closedir(directory) }
        stack.removeAll()
        outcome = failure.map { .failed(errno: $0) } ?? .usage(usage)
        return looked
    }

    private func look(at entry: UnsafeMutablePointer<dirent>, in directory: OpaquePointer) {
        withUnsafePointer(to: &entry.pointee.d_name) { field in
            field.withMemoryRebound(to: CChar.self, capacity: 256) { name in
                let dot = CChar(UInt8(ascii: "."))
                if name[0] == dot, name[1] == 0 || (name[1] == dot && name[2] == 0) { return }
                var status = stat()
                guard fstatat(dirfd(directory), name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                    // Files come and go while one walks.
                    if !KernelFileError.isAbsence(errno) { fail(errno) }
                    return
                }
                guard UInt64(status.st_dev) == device else { return }
                let isDirectory = status.st_mode & S_IFMT == S_IFDIR
                if !isDirectory, status.st_nlink > 1 {
                    guard links.count < Self.linkLimit else { return fail(E2BIG) }
                    guard links.insert(UInt64(status.st_ino)).inserted else { return }
                }
                count(status)
                if isDirectory { enter(name, of: directory) }
            }
        }
    }

    private func enter(_ name: UnsafePointer<CChar>, of directory: OpaquePointer) {
        guard stack.count < Self.depthLimit else { return fail(ELOOP) }
        let descriptor = openat(
            dirfd(directory), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if descriptor >= 0 { return push(descriptor) }
        // Gone, or something else by now.
        if !KernelFileError.isAbsence(errno), errno != ELOOP { fail(errno) }
    }

    private func push(_ descriptor: Int32) {
        guard let directory = fdopendir(descriptor) else {
            fail(errno)
            close(descriptor)
            return
        }
        stack.append(directory)
    }

    private func count(_ status: stat) {
        usage.byteCount &+= Int64(status.st_blocks) &* 512
        usage.inodeCount &+= 1
        if usage.inodeCount > Int64(Self.entryLimit) { fail(E2BIG) }
    }

    private func fail(_ code: Int32) { failure = failure ?? code }
}
