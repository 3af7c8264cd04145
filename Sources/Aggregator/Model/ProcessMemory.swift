import CLinux
import Glibc

/// The memory of this process.
enum ProcessMemory {
    /// Bytes that are resident, from /proc/self/statm (proc_pid_statm(5), second field, in pages); `nil`
    /// where /proc is not mounted. A few microseconds.
    static func residentByteCount() -> Int? {
        let descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        return withUnsafeTemporaryAllocation(byteCount: 256, alignment: 1) { buffer in
            let count = read(descriptor, buffer.baseAddress, buffer.count)
            guard count > 0 else { return nil }
            let fields = buffer[..<count].split(separator: UInt8(ascii: " "), maxSplits: 2)
            guard fields.count > 1, let pages = Int(String(decoding: fields[1], as: UTF8.self))
            else { return nil }
            return pages * Int(getpagesize())
        }
    }

    /// Gives free memory back to the kernel: malloc_trim(3), all arenas.
    static func release() { hw_malloc_trim() }
}
