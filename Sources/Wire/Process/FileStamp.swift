import Glibc

/// What tells one version of a file from the next: the file it is, its size, its time of change.
/// A Kubernetes secret changes by a link that points elsewhere, so it is another file then.
public struct FileStamp: Sendable, Equatable {
    private let device: UInt64
    private let inode: UInt64
    private let byteCount: Int64
    private let seconds: Int64
    private let nanoseconds: Int64

    /// Links are followed. `nil` where there is no such file.
    public init?(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        byteCount = Int64(status.st_size)
        seconds = Int64(status.st_mtim.tv_sec)
        nanoseconds = Int64(status.st_mtim.tv_nsec)
    }
}
