import CLinux
import Glibc

/// What is told of a directory as if it were a filesystem. All gauges.
struct StorageFigures: Equatable, Sendable {
    /// What the directory's files take, in bytes.
    var usageBytes: Int64
    /// Its quota, or the size of the filesystem that it is in.
    var limitBytes: Int64
    /// What can still be written by an unprivileged user.
    var availableBytes: Int64
    var inodes: Int64
    var inodesFree: Int64

    /// The whole filesystem's, or, where the kernel answers for a project with a limit, the
    /// directory's own (fs/xfs/xfs_qm_bhv.c, fs/ext4/super.c `ext4_statfs_project`).
    ///
    /// Usage is what is not free, so blocks reserved for root count as not used, as in cAdvisor.
    init(_ status: statfs) {
        // Some filesystems leave the fragment size out.
        let size = Int64(status.f_frsize > 0 ? status.f_frsize : status.f_bsize)
        let blocks = Int64(clamping: status.f_blocks)
        usageBytes = (blocks &- Int64(clamping: status.f_bfree)) &* size
        limitBytes = blocks &* size
        availableBytes = Int64(clamping: status.f_bavail) &* size
        inodes = Int64(clamping: status.f_files)
        inodesFree = Int64(clamping: status.f_ffree)
    }

    /// `nil` with `errno` where the path cannot be asked.
    init?(of path: String) {
        var status = statfs()
        guard path.withCString({ statfs($0, &status) }) == 0 else { return nil }
        self.init(status)
    }
}

/// Project quotas (ext4, xfs): the filesystem itself keeps count of what a directory takes.
enum ProjectQuota {
    /// The directory's own usage where it is a project of its own and the kernel tells.
    ///
    /// Anyone may see it where the project has a limit below the filesystem's size, by `statfs`;
    /// without a limit only who has CAP_SYS_ADMIN, by `quotactl_fd` (Linux 5.14).
    static func figures(of path: String) -> StorageFigures? {
        var project = hw_project(number: 0, byteCount: 0)
        guard let own = StorageFigures(of: path), hw_project_of(path, &project) == 0 else {
            return nil
        }
        if hw_project_usage(path, &project) == 0 {
            var figures = own
            figures.usageBytes = Int64(clamping: project.byteCount)
            return figures
        }
        guard let whole = wholeFilesystem(of: path), own.limitBytes < whole.limitBytes else {
            return nil
        }
        return own
    }

    /// Of the topmost directory above that is in the same filesystem: projects are below it.
    private static func wholeFilesystem(of path: String) -> StorageFigures? {
        guard let device = device(of: path) else { return nil }
        var top = path
        while let slash = top.lastIndex(of: "/") {
            let parent = slash == top.startIndex ? "/" : String(top[..<slash])
            guard self.device(of: parent) == device else { break }
            top = parent
            if parent == "/" { break }
        }
        return StorageFigures(of: top)
    }

    static func device(of path: String) -> UInt64? {
        var status = stat()
        return stat(path, &status) == 0 ? UInt64(status.st_dev) : nil
    }
}
