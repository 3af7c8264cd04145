import Glibc
import Wire

/// A few threads for work that would hold an event loop too long, behind a queue with a bound.
final class WorkerPool: @unchecked Sendable {
    typealias Work = @Sendable () -> Void

    private struct State {
        var queue: [Work] = []
        /// Where the queue begins; what is before was taken.
        var head = 0
        var isStopped = false

        var count: Int { queue.count - head }

        mutating func pop() -> Work? {
            guard head < queue.count else { return nil }
            let work = queue[head]
            head += 1
            if head == queue.count || head > 1_024 {
                queue.removeFirst(head)
                head = 0
            }
            return work
        }
    }

    private let countMax: Int
    // `Lock`, not `Mutex`: the thread sanitizer does not understand a contended `Mutex`.
    private let lock = Lock()
    private var state = State()
    // A semaphore has to stay where it was made.
    private let available: UnsafeMutablePointer<sem_t>
    private var threads: [SystemThread] = []

    init(threadCount: Int, queueCountMax: Int) throws(TransportError) {
        countMax = queueCountMax
        available = .allocate(capacity: 1)
        available.initialize(to: sem_t())
        sem_init(available, 0, 0)
        for number in 0..<threadCount {
            let thread = try SystemThread.start(name: "http-worker-\(number)") { [self] in run() }
            lock.withLock { threads.append(thread) }
        }
    }

    deinit {
        sem_destroy(available)
        available.deallocate()
    }

    /// Queues work; false, and nothing done, when the queue is full or the pool has stopped.
    ///
    /// - Parameter isContinuation: the next part of work that was let in before. It is never
    ///   refused: there is at most one for each connection.
    func submit(isContinuation: Bool = false, _ work: @escaping Work) -> Bool {
        let isTaken = lock.withLock { () -> Bool in
            if state.isStopped || (!isContinuation && state.count >= countMax) { return false }
            state.queue.append(work)
            return true
        }
        if isTaken { sem_post(available) }
        return isTaken
    }

    /// Lets running work end, drops what waits, and joins the threads.
    func stop() {
        let (running, dropped) = lock.withLock {
            defer {
                threads = []
                state.queue = []
                state.head = 0
            }
            state.isStopped = true
            return (threads, state.queue)
        }
        // Released outside of the lock: what they hold may end in a call to this pool.
        withExtendedLifetime(dropped) {}
        for _ in running { sem_post(available) }
        for thread in running { thread.join() }
    }

    private func run() {
        while true {
            while sem_wait(available) != 0 {
                precondition(errno == EINTR, "sem_wait failed: \(errno)")
            }
            let (work, isStopped) = lock.withLock { (state.pop(), state.isStopped) }
            if isStopped { return }
            work?()
        }
    }
}
