import CLinux
import Glibc
import Synchronization
import Wire

/// Ends waits of other threads, once and for all: for shutting down what blocks.
final class Interruption: Sendable {
    private let isRaised = Atomic<Bool>(false)
    /// Readable from the interruption on.
    let descriptor: Int32

    /// - Throws: when the process is out of descriptors.
    init() throws(TransportError) {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard descriptor >= 0 else { throw .system(call: "eventfd", errno: errno) }
    }

    deinit { close(descriptor) }

    var isInterrupted: Bool { isRaised.load(ordering: .acquiring) }

    func interrupt() {
        isRaised.store(true, ordering: .releasing)
        var one: UInt64 = 1
        let result = write(descriptor, &one, 8)
        precondition(result == 8 || errno == EAGAIN, "eventfd write failed: \(errno)")
    }

    /// Sleeps. True when the time went by, false when it was interrupted.
    func sleep(milliseconds: Int) -> Bool {
        let end = Clock.system.monotonicNanoseconds + UInt64(max(milliseconds, 0)) * 1_000_000
        while !isInterrupted {
            let now = Clock.system.monotonicNanoseconds
            if now >= end { return true }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, Int32(clamping: (end - now + 999_999) / 1_000_000))
        }
        return false
    }
}
