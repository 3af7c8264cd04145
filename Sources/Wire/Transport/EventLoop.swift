import CLinux
import Glibc
import Synchronization

/// What a descriptor is ready for, or what its owner wants to hear of.
public struct Readiness: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    public static let read = Readiness(rawValue: 1)  // EPOLLIN
    public static let write = Readiness(rawValue: 4)  // EPOLLOUT
    /// Reported whether wanted or not: an error waits on the descriptor (EPOLLERR).
    public static let failed = Readiness(rawValue: 8)
    /// The peer will send nothing more (EPOLLRDHUP).
    public static let peerFinished = Readiness(rawValue: 0x2000)
    /// Reported whether wanted or not: both directions are closed (EPOLLHUP).
    public static let hungUp = Readiness(rawValue: 16)
}

/// Who is told that a descriptor is ready. Level-triggered: told again until it was drained.
public protocol ReadinessHandler: AnyObject {
    func ready(_ readiness: Readiness)
}

/// One thread's epoll(7): descriptors, timers, and work posted by other threads.
///
/// `post`, `stop` and `clock` may be used from any thread. Everything else belongs to the thread
/// that calls `run`; before that, to the one that made the loop. That is checked in release builds
/// too. Nothing is allocated per event.
public final class EventLoop: @unchecked Sendable {
    /// Work from other threads; the closure runs on the loop's thread.
    public typealias Work = @Sendable () -> Void

    private struct Registration {
        var handler: (any ReadinessHandler)?
        var interest: Readiness = []
        /// Distinguishes an event of a closed descriptor from one of its successor's.
        var generation: UInt32 = 0
    }

    public let clock: Clock
    /// Memory for buffers of this loop's connections.
    public let blockPool = BlockPool()
    /// Room for one read of any connection: bytes that are consumed at once never need another.
    public let scratch: UnsafeMutableRawBufferPointer
    /// The time at which the current turn's events were fetched: cheap, and old by at most a turn.
    public private(set) var now: UInt64

    private let epoll: Int32
    private let wakeUp: Int32
    private let events: UnsafeMutableBufferPointer<epoll_event>
    // `Lock`, not `Mutex`: the thread sanitizer does not understand a contended `Mutex`.
    private let inboxLock = Lock()
    private var inbox = Inbox()
    private let stopping = Atomic<Bool>(false)
    private var owner: pthread_t
    private var registrations: [Registration] = []
    private var timers = TimerHeap()
    private var work: [Work] = []

    private struct Inbox {
        var work: [Work] = []
        var isAnnounced = false
        var isClosed = false
    }

    private static let eventsPerTurn = 256
    private static let wakeUpData: UInt64 = .max

    /// - Throws: `TransportError.system` when the process is out of descriptors.
    public init(clock: Clock = .system, scratchByteCount: Int = 65_536) throws(TransportError) {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard epoll >= 0 else { throw .system(call: "epoll_create1", errno: errno) }
        wakeUp = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard wakeUp >= 0 else {
            let error = errno
            close(epoll)
            throw .system(call: "eventfd", errno: error)
        }
        self.clock = clock
        now = clock.monotonicNanoseconds
        owner = pthread_self()
        events = .allocate(capacity: Self.eventsPerTurn)
        scratch = .allocate(byteCount: scratchByteCount, alignment: 64)
        var event = epoll_event()
        event.events = Readiness.read.rawValue
        event.data.u64 = Self.wakeUpData
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, wakeUp, &event) == 0 else {
            throw .system(call: "epoll_ctl", errno: errno)
        }
    }

    deinit {
        close(epoll)
        close(wakeUp)
        events.deallocate()
        scratch.deallocate()
    }

    // MARK: Any thread

    /// Runs `work` on the loop's thread, in the order posted. Once the loop has stopped, work
    /// is dropped.
    public func post(_ work: @escaping Work) {
        let announce = inboxLock.withLock {
            if inbox.isClosed { return false }
            inbox.work.append(work)
            defer { inbox.isAnnounced = true }
            return !inbox.isAnnounced
        }
        if announce { ring() }
    }

    /// Makes `run` return after its current turn.
    public func stop() {
        stopping.store(true, ordering: .releasing)
        ring()
    }

    private func ring() {
        var one: UInt64 = 1
        // EAGAIN means that the counter is full, so the loop will wake up anyway.
        let result = write(wakeUp, &one, 8)
        precondition(result == 8 || errno == EAGAIN, "eventfd write failed: \(errno)")
    }

    /// Our fault when called on another thread than the loop's.
    public func requireOwnThread() {
        precondition(pthread_equal(owner, pthread_self()) != 0, "not on the loop's thread")
    }

    // MARK: Descriptors

    /// Starts watching. The loop keeps the handler until `remove`; it does not own the descriptor.
    public func add(
        _ descriptor: Int32, interest: Readiness, handler: any ReadinessHandler
    ) throws(TransportError) {
        requireOwnThread()
        precondition(descriptor >= 0)
        let index = Int(descriptor)
        if index >= registrations.count {
            let missing = max(index + 1, registrations.count * 2, 64) - registrations.count
            registrations.append(contentsOf: repeatElement(Registration(), count: missing))
        }
        precondition(registrations[index].handler == nil, "descriptor \(descriptor) added twice")
        guard control(EPOLL_CTL_ADD, descriptor, interest) == 0 else {
            throw .system(call: "epoll_ctl", errno: errno)
        }
        registrations[index].handler = handler
        registrations[index].interest = interest
    }

    /// Changes what the handler wants to hear of. No system call when that is what it has.
    public func setInterest(_ interest: Readiness, of descriptor: Int32) {
        requireOwnThread()
        let index = Int(descriptor)
        precondition(registrations[index].handler != nil, "descriptor \(descriptor) is not added")
        guard registrations[index].interest != interest else { return }
        registrations[index].interest = interest
        let result = control(EPOLL_CTL_MOD, descriptor, interest)
        precondition(result == 0, "epoll_ctl(MOD) failed: \(errno)")
    }

    /// Stops watching; call it before the descriptor is closed.
    public func remove(_ descriptor: Int32) {
        requireOwnThread()
        let index = Int(descriptor)
        precondition(registrations[index].handler != nil, "descriptor \(descriptor) is not added")
        let result = control(EPOLL_CTL_DEL, descriptor, [])
        precondition(result == 0, "epoll_ctl(DEL) failed: \(errno)")
        registrations[index].handler = nil
        registrations[index].interest = []
        registrations[index].generation &+= 1
    }

    private func control(_ operation: Int32, _ descriptor: Int32, _ interest: Readiness) -> Int32 {
        var event = epoll_event()
        event.events = interest.rawValue
        let generation = UInt64(registrations[Int(descriptor)].generation)
        event.data.u64 = generation << 32 | UInt64(UInt32(descriptor))
        return epoll_ctl(epoll, operation, descriptor, &event)
    }

    // MARK: Timers

    /// Makes a timer at rest; `schedule` winds it. It fires once per winding, at most a
    /// millisecond late plus what else the loop does. Cancel it when its owner goes.
    public func makeTimer(_ action: @escaping () -> Void) -> TimerID {
        requireOwnThread()
        return timers.make(action)
    }

    /// Sets or moves a timer's deadline, in the clock's monotonic nanoseconds.
    public func schedule(_ timer: TimerID, atNanoseconds deadline: UInt64) {
        requireOwnThread()
        timers.schedule(timer, deadline: deadline)
    }

    public func schedule(_ timer: TimerID, afterNanoseconds delay: UInt64) {
        schedule(timer, atNanoseconds: clock.monotonicNanoseconds &+ delay)
    }

    /// Puts a timer at rest until it is scheduled again.
    public func rest(_ timer: TimerID) {
        requireOwnThread()
        timers.rest(timer)
    }

    /// Ends a timer and releases its action.
    public func cancel(_ timer: TimerID) {
        requireOwnThread()
        timers.cancel(timer)
    }

    // MARK: Running

    /// Takes the calling thread until `stop`.
    public func run() {
        owner = pthread_self()
        while !stopping.load(ordering: .acquiring) { turn(waitMillisecondsMax: -1) }
        // What waits would keep its connections, and they the loop, for ever.
        let dropped = inboxLock.withLock {
            inbox.isClosed = true
            defer { inbox.work = [] }
            return inbox.work
        }
        withExtendedLifetime(dropped) {}
    }

    /// One round: waits for events at most so long (-1: until the next timer or event), then
    /// serves them, posted work, and due timers.
    public func turn(waitMillisecondsMax: Int32) {
        requireOwnThread()
        let count = epoll_wait(
            epoll, events.baseAddress, Int32(Self.eventsPerTurn), timeout(waitMillisecondsMax))
        precondition(count >= 0 || errno == EINTR, "epoll_wait failed: \(errno)")
        now = clock.monotonicNanoseconds
        var hasWork = false
        for index in 0..<max(0, Int(count)) {
            let data = events[index].data.u64
            if data == Self.wakeUpData { hasWork = true } else { serve(data, events[index].events) }
        }
        if hasWork { runPosted() }
        // Bounded, so that an action which winds itself up for the past cannot hold the loop.
        for _ in 0..<timers.count {
            guard let action = timers.popDue(now: now) else { break }
            action()
        }
    }

    private func serve(_ data: UInt64, _ bits: UInt32) {
        let registration = registrations[Int(UInt32(truncatingIfNeeded: data))]
        guard registration.generation == UInt32(truncatingIfNeeded: data >> 32),
            let handler = registration.handler
        else { return }
        handler.ready(Readiness(rawValue: bits))
    }

    private func runPosted() {
        var counter: UInt64 = 0
        let result = read(wakeUp, &counter, 8)
        precondition(result == 8 || errno == EAGAIN, "eventfd read failed: \(errno)")
        // The two arrays change places, so that neither is ever allocated anew.
        inboxLock.withLock {
            swap(&inbox.work, &work)
            inbox.isAnnounced = false
        }
        for item in work { item() }
        work.removeAll(keepingCapacity: true)
    }

    private func timeout(_ limit: Int32) -> Int32 {
        guard let deadline = timers.earliestDeadline else { return limit }
        let time = clock.monotonicNanoseconds
        guard deadline > time else { return 0 }
        // Rounded up: waking before the deadline would spin until it comes.
        let milliseconds = min((deadline &- time &+ 999_999) / 1_000_000, 3_600_000)
        return limit < 0 ? Int32(milliseconds) : min(limit, Int32(milliseconds))
    }
}
