import CLinux
import Glibc

/// The only opener of files under `/proc`, `/sys` and the cgroup mounts.
///
/// Files that are read at every step stay open and are read with `pread` at offset 0: a fourteenth of
/// the cost of opening them anew. All reads go to one buffer; what a read returns is valid until the
/// next. Nothing here allocates but what takes or returns a `String` or an array.
///
/// A kept descriptor costs about 5 KB of kernel memory, charged to this process's own cgroup, so
/// their number has a limit; beyond it files are opened for each read.
final class HostFiles {
    /// Bytes that a file may have: `/proc/stat` of a machine with a thousand CPUs has about 200 KB.
    static let byteLimit = 1 << 20
    /// Descriptors that are left for everything else: sockets, directories, the epoll.
    private static let reservedDescriptorCount = 64

    /// The kept descriptors there may be.
    let keptLimit: Int
    /// The kept descriptors there are.
    private(set) var keptCount = 0
    /// Files whose reading failed for another reason than absence; never reset.
    var failureCount: Int64 = 0
    /// Files opened for one read; never reset.
    private(set) var transientOpenCount: Int64 = 0

    var notices: [String] = []
    /// Kinds of failures that were said, by file name and errno.
    var saidFailures: Set<UInt64> = []
    static let noticeLimit = 32

    /// Asked before each call of the operating system, in tests: the errno that it is to fail with.
    var fault: ((Call) -> Int32?)?

    /// A call that can be made to fail.
    enum Call {
        case open(path: String)
        case read(descriptor: Int32)
        case list(path: String)
        case status(path: String)
    }

    private var buffer: UnsafeMutablePointer<UInt8>
    private var capacity = 64 << 10
    private let pathBuffer: UnsafeMutablePointer<CChar>
    private static let pathCapacity = 4_096

    /// - Parameter keptLimit: at most so many kept descriptors; fewer where RLIMIT_NOFILE, which is
    ///   raised as far as it may be, does not allow them.
    init(keptLimit: Int = .max) {
        buffer = .allocate(capacity: capacity)
        pathBuffer = .allocate(capacity: Self.pathCapacity)
        let allowed = Self.raiseDescriptorLimit() - Self.reservedDescriptorCount
        self.keptLimit = max(0, min(keptLimit, allowed))
    }

    deinit {
        buffer.deallocate()
        pathBuffer.deallocate()
    }

    /// Raises the soft limit on descriptors to the hard one and says what it is then.
    private static func raiseDescriptorLimit() -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return 1_024
        }
        if limit.rlim_cur < limit.rlim_max {
            var raised = limit
            raised.rlim_cur = limit.rlim_max
            if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 {
                limit = raised
            }
        }
        return Int(clamping: limit.rlim_cur)
    }

    // MARK: Reading

    /// How a file hands out its bytes.
    enum Extent {
        /// All at once, up to the size of the buffer: every file made by one call of the kernel's
        /// (`memory.stat`, `/proc/stat`). Saves the read that would only say that this was all.
        case single
        /// By the page: files made of records (`cgroup.procs`, `net/dev`, `/proc/diskstats`).
        case records
    }

    /// The bytes of a kept descriptor's file from its start, or a negative errno.
    ///
    /// - Returns: the number of bytes at `bytes`, `-EFBIG` for a file over the limit.
    @inline(__always)
    func read(_ descriptor: Int32, _ extent: Extent) -> Int {
        if let fault, let code = fault(.read(descriptor: descriptor)) { return -Int(code) }
        let count = pread(descriptor, buffer, capacity, 0)
        if count < 0 { return -Int(errno) }
        switch extent {
        case .single where count < capacity: return count
        // A record is far shorter than half a page, so a shorter read was not cut by the page's end.
        case .records where count < 2_048: return count
        default: return readOn(descriptor, from: count)
        }
    }

    private func readOn(_ descriptor: Int32, from start: Int) -> Int {
        var total = start
        while true {
            if total == capacity {
                guard capacity < Self.byteLimit else { return -Int(EFBIG) }
                grow()
            }
            let count = pread(descriptor, buffer + total, capacity - total, off_t(total))
            if count < 0 { return -Int(errno) }
            if count == 0 { return total }
            total += count
        }
    }

    private func grow() {
        let bigger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2)
        bigger.update(from: buffer, count: capacity)
        buffer.deallocate()
        buffer = bigger
        capacity *= 2
    }

    /// What the last read left.
    @inline(__always)
    func bytes(_ count: Int) -> KernelText { KernelText(start: buffer, count: count) }

    /// Opens, reads and closes the file; what may pass is tried once more.
    func read(_ path: String) throws(KernelFileError) -> KernelText {
        do throws(KernelFileError) {
            return try readOnce(path)
        } catch {
            guard error.mayPass else { throw noted(error) }
        }
        do throws(KernelFileError) {
            return try readOnce(path)
        } catch {
            throw noted(error)
        }
    }

    private func readOnce(_ path: String) throws(KernelFileError) -> KernelText {
        let descriptor = open(path)
        guard descriptor >= 0 else {
            throw .cannotOpen(path: path, errno: -descriptor)
        }
        defer { Glibc.close(descriptor) }
        let injected = fault?(.read(descriptor: descriptor))
        let count = injected.map { -Int($0) } ?? readOn(descriptor, from: 0)
        if count == -Int(EFBIG) { throw .tooLarge(path: path, limit: Self.byteLimit) }
        if count < 0 { throw .cannotRead(path: path, errno: Int32(-count)) }
        return bytes(count)
    }

    /// The file's bytes, parsed; `malformed` with the path where the parser throws.
    func parse<Value>(
        _ path: String, _ parser: (KernelText) throws(KernelTextError) -> Value
    ) throws(KernelFileError) -> Value {
        let text = try read(path)
        do {
            return try parser(text)
        } catch {
            throw noted(.malformed(path: path, error))
        }
    }

    /// The file's first line without its end and outer blanks; `nil` where it cannot be read.
    func line(_ path: String) -> String? {
        guard
            case .success(let text) = Result(catching: { () throws(KernelFileError) in
                try read(path).string
            })
        else { return nil }
        let line = text.prefix { $0 != "\n" }
        return String(line.drop { $0 == " " || $0 == "\t" })
    }

    /// The same for a file that fails where there is nothing to say: not counted, not noted.
    func quietLine(_ path: String) -> String? {
        guard
            case .success(let text) = Result(catching: { () throws(KernelFileError) in
                try readOnce(path).string
            })
        else { return nil }
        return String(text.prefix { $0 != "\n" })
    }

    /// Counts what is a failure, and hands it on.
    private func noted(_ error: KernelFileError) -> KernelFileError {
        note(error)
        return error
    }

    // MARK: Opening

    private func open(_ path: String) -> Int32 {
        transientOpenCount += 1
        return openAny(path)
    }

    private func openAny(_ path: String) -> Int32 {
        if let fault, let code = fault(.open(path: path)) { return -code }
        let descriptor = Glibc.open(path, O_RDONLY | O_CLOEXEC)
        return descriptor >= 0 ? descriptor : -errno
    }

    /// Opens a file to be kept.
    ///
    /// - Returns: a descriptor, or a negative errno; `-EMFILE` beyond the limit.
    func keep(_ path: String) -> Int32 {
        guard keptCount < keptLimit else { return -EMFILE }
        let descriptor = openAny(path)
        if descriptor >= 0 { keptCount += 1 }
        return descriptor
    }

    /// Opens `directory/path/name` to be kept, without allocating.
    func keep(_ directory: String, _ path: String, _ name: String) -> Int32 {
        guard keptCount < keptLimit else { return -EMFILE }
        let descriptor = openJoined(directory, path, name)
        if descriptor >= 0 { keptCount += 1 }
        return descriptor
    }

    /// Opens `directory/path/name` without allocating; the caller closes it with `closeTransient`.
    func open(_ directory: String, _ path: String, _ name: String) -> Int32 {
        transientOpenCount += 1
        return openJoined(directory, path, name)
    }

    private func openJoined(_ directory: String, _ path: String, _ name: String) -> Int32 {
        guard join(directory, path, name) else { return -ENAMETOOLONG }
        if let fault, let code = fault(.open(path: String(cString: pathBuffer))) { return -code }
        let descriptor = Glibc.open(pathBuffer, O_RDONLY | O_CLOEXEC)
        return descriptor >= 0 ? descriptor : -errno
    }

    /// Closes what `keep` opened.
    func closeKept(_ descriptor: Int32) {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        keptCount -= 1
    }

    func closeTransient(_ descriptor: Int32) {
        if descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// Hands over `directory/path`; `nil` for a path that is too long.
    func withPath<Value>(
        _ directory: String, _ path: String, _ body: (UnsafePointer<CChar>) -> Value?
    ) -> Value? {
        join(directory, path, "") ? body(pathBuffer) : nil
    }

    /// Puts the parts with slashes between them, empty ones left out, into the path buffer.
    private func join(_ directory: String, _ path: String, _ name: String) -> Bool {
        var length = 0
        guard append(directory, at: &length), append(path, at: &length), append(name, at: &length)
        else { return false }
        pathBuffer[length] = 0
        return true
    }

    private func append(_ part: String, at length: inout Int) -> Bool {
        if part.isEmpty { return true }
        var part = part
        let start = length
        let end = part.withUTF8 { bytes -> Int in
            guard start + bytes.count + 2 < Self.pathCapacity else { return -1 }
            var index = start
            if index > 0 {
                pathBuffer[index] = CChar(Ascii.slash)
                index += 1
            }
            for byte in bytes {
                pathBuffer[index] = CChar(bitPattern: byte)
                index += 1
            }
            return index
        }
        guard end >= 0 else { return false }
        length = end
        return true
    }

}
