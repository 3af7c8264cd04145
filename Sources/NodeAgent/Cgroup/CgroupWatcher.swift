import Glibc

/// Tells in which directories something happened, by inotify.
///
/// inotify(7). One watch per directory; the kernel limits both watches and instances per user, so
/// every call may be refused and the tree must do without.
final class CgroupWatcher {
    let descriptor: Int32
    private let buffer: UnsafeMutableRawPointer
    private let events: UInt32
    private static let bufferByteCount = 16 << 10
    /// Entries that come and go.
    static let comingAndGoing = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO

    /// - Returns: `nil` where the kernel grants no more inotify instances.
    init?(events: Int32 = CgroupWatcher.comingAndGoing) {
        self.events = UInt32(bitPattern: events | Int32(IN_ONLYDIR))
        descriptor = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        guard descriptor >= 0 else { return nil }
        buffer = .allocate(
            byteCount: Self.bufferByteCount, alignment: MemoryLayout<inotify_event>.alignment)
    }

    deinit {
        close(descriptor)
        buffer.deallocate()
    }

    /// - Returns: the watch's number, `nil` where the kernel refuses.
    func add(_ directory: String) -> Int32? {
        let watch = inotify_add_watch(descriptor, directory, events)
        return watch >= 0 ? watch : nil
    }

    /// Harmless for a watch whose directory is gone.
    func remove(_ watch: Int32) { inotify_rm_watch(descriptor, watch) }

    /// Hands over the watch of every pending event and the name of the entry in that directory. Allocates
    /// nothing.
    ///
    /// - Returns: whether the kernel's queue overflowed, so that events are missing.
    func drain(_ body: (Int32, KernelText) -> Void) -> Bool {
        var hasLost = false
        while true {
            let count = read(descriptor, buffer, Self.bufferByteCount)
            if count <= 0 { return hasLost }
            var offset = 0
            while offset + MemoryLayout<inotify_event>.size <= count {
                let event = buffer.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
                if event.mask & UInt32(IN_Q_OVERFLOW) != 0 { hasLost = true }
                // The name is filled up with zeros.
                let name = (buffer + offset + MemoryLayout<inotify_event>.size)
                    .assumingMemoryBound(to: UInt8.self)
                let byteCount = event.len == 0 ? 0 : strnlen(name, Int(event.len))
                if event.wd >= 0 { body(event.wd, KernelText(start: name, count: byteCount)) }
                offset += MemoryLayout<inotify_event>.size + Int(event.len)
            }
        }
    }
}
