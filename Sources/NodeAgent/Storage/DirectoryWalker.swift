import CLinux
import Glibc
import Wire

/// Walks directories on a thread of its own, at the lowest priority there is for CPU and disk.
///
/// The sampling thread says which directories (`set`) and takes what is done (`takeOutcomes`);
/// neither waits for a disk.
final class DirectoryWalker {
    private let mailbox: Mailbox
    private let thread: SystemThread

    /// - Throws: where the kernel grants no thread or descriptor.
    init(entriesPerSecond: Int, intervalMilliseconds: Int64) throws(TransportError) {
        let mailbox = try Mailbox()
        self.mailbox = mailbox
        thread = try SystemThread.start(name: "walker", stackByteCount: 128 << 10) {
            Self.run(
                WalkPlan(
                    entriesPerSecond: entriesPerSecond, intervalMilliseconds: intervalMilliseconds),
                mailbox)
        }
    }

    deinit {
        mailbox.stop()
        thread.join()
    }

    /// The directories that are to be walked from now on.
    func set(_ paths: [String]) { mailbox.put(paths) }

    /// What was found since the last call.
    func takeOutcomes() -> [Found] { mailbox.takeOutcomes() }

    typealias Found = (path: String, outcome: DirectoryWalk.Outcome)

    private static func run(_ start: WalkPlan, _ mailbox: Mailbox) {
        hw_lower_thread_priority()
        var plan = start
        while true {
            let (paths, isOver) = mailbox.take()
            if isOver { return }
            if let paths { plan.set(paths) }
            let now = Int64(Clock.system.monotonicNanoseconds / 1_000_000)
            let (wait, found) = plan.work(now: now)
            if !found.isEmpty { mailbox.add(found) }
            // The slice is waited out whatever happens, so that nobody can hurry the walker.
            var slice = timespec(
                tv_sec: Int(plan.sliceMilliseconds / 1_000),
                tv_nsec: Int(plan.sliceMilliseconds % 1_000) * 1_000_000)
            nanosleep(&slice, nil)
            mailbox.wait(milliseconds: wait - plan.sliceMilliseconds)
        }
    }
}

/// What both threads share.
private final class Mailbox: @unchecked Sendable {
    private let lock = Lock()
    // Under the lock.
    private var wanted: [String]?
    private var outcomes: [DirectoryWalker.Found] = []
    private var isStopping = false
    /// An event counter: there is something to take.
    private let wake: Int32

    init() throws(TransportError) {
        wake = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard wake >= 0 else { throw .system(call: "eventfd", errno: errno) }
    }

    deinit { if wake >= 0 { close(wake) } }

    func put(_ paths: [String]) {
        lock.withLock { wanted = paths }
        signal()
    }

    func stop() {
        lock.withLock { isStopping = true }
        signal()
    }

    func take() -> (paths: [String]?, isOver: Bool) {
        lock.withLock {
            defer { wanted = nil }
            return (wanted, isStopping)
        }
    }

    func add(_ found: [DirectoryWalker.Found]) { lock.withLock { outcomes += found } }

    func takeOutcomes() -> [DirectoryWalker.Found] {
        lock.withLock {
            if outcomes.isEmpty { return [] }
            defer { outcomes = [] }
            return outcomes
        }
    }

    private func signal() {
        var one: UInt64 = 1
        _ = write(wake, &one, MemoryLayout<UInt64>.size)
    }

    /// Until something was put, or so long.
    func wait(milliseconds: Int64) {
        var descriptor = pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
        guard poll(&descriptor, 1, Int32(clamping: max(0, milliseconds))) > 0 else { return }
        var count: UInt64 = 0
        _ = read(wake, &count, MemoryLayout<UInt64>.size)
    }
}
