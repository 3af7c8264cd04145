import CLinux
import Glibc

extension HostFiles {
    /// One entry of a directory.
    struct Entry: Equatable, Sendable {
        var name: String
        /// The inode's number; a cgroup made anew under an old name has a new one.
        var inode: UInt64
        var isDirectory: Bool
    }

    /// What is wanted of an inode.
    struct Status: Equatable, Sendable {
        var inode: UInt64
        /// Two more than the number of subdirectories, for a cgroup's directory.
        var linkCount: UInt64
        var modifiedMilliseconds: Int64
        var device: UInt64
        var isDirectory: Bool
    }

    /// The entries of a directory but `.` and `..`, in no order that counts.
    func entries(of path: String) throws(KernelFileError) -> [Entry] {
        if let fault, let code = fault(.list(path: path)) {
            throw .cannotOpen(path: path, errno: code)
        }
        guard let directory = opendir(path) else {
            throw .cannotOpen(path: path, errno: errno)
        }
        defer { closedir(directory) }
        var entries: [Entry] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
                field.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name == "." || name == ".." { continue }
            var isDirectory = entry.pointee.d_type == UInt8(DT_DIR)
            // Some filesystems do not say; a symbolic link counts as what it points to.
            if entry.pointee.d_type == UInt8(DT_UNKNOWN) || entry.pointee.d_type == UInt8(DT_LNK) {
                isDirectory = status(of: path + "/" + name)?.isDirectory ?? false
            }
            entries.append(
                Entry(name: name, inode: UInt64(entry.pointee.d_ino), isDirectory: isDirectory))
        }
        return entries
    }

    /// The subdirectories of a directory; none where it cannot be read.
    func subdirectories(of path: String) -> [Entry] {
        do {
            return try entries(of: path).filter(\.isDirectory)
        } catch {
            note(error)
            return []
        }
    }

    /// What a look at a path shows.
    enum Look: Equatable, Sendable {
        case found(Status)
        case absent
        /// It could not be looked at; it may be there.
        case failed
    }

    /// Looks at a file. What fails for another reason than absence is counted and said.
    func look(at path: String) -> Look {
        var code = fault?(.status(path: path)) ?? 0
        if code == 0 {
            var status = stat()
            if stat(path, &status) == 0 { return .found(Status(status)) }
            code = errno
        }
        if KernelFileError.isAbsence(code) { return .absent }
        note(.cannotRead(path: path, errno: code))
        return .failed
    }

    /// `nil` where there is no such file or it may not be seen.
    func status(of path: String) -> Status? {
        if let fault, fault(.status(path: path)) != nil { return nil }
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        return Status(status)
    }

    /// The same as `status(of: directory/path)`, without allocating.
    func status(_ directory: String, _ path: String) -> Status? {
        withPath(directory, path) { path in
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            return Status(status)
        }
    }

    func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// What a symbolic link points to; `nil` where it is none or may not be read.
    func linkTarget(of path: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: 4_096)
        let count = bytes.withUnsafeMutableBytes { buffer in
            buffer.withMemoryRebound(to: CChar.self) { characters in
                characters.baseAddress.map { readlink(path, $0, characters.count) } ?? -1
            }
        }
        guard count > 0 else { return nil }
        return String(decoding: bytes[..<count], as: UTF8.self)
    }
}

extension HostFiles.Status {
    init(_ status: stat) {
        self.init(
            inode: UInt64(status.st_ino), linkCount: UInt64(status.st_nlink),
            modifiedMilliseconds: Int64(status.st_mtim.tv_sec) * 1_000
                + Int64(status.st_mtim.tv_nsec) / 1_000_000,
            device: UInt64(status.st_dev),
            isDirectory: status.st_mode & S_IFMT == S_IFDIR)
    }
}
