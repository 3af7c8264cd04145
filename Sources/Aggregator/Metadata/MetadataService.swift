import Wire

/// What keeps the pod directory true: a thread that reads the file of `--pods` again when that
/// changes and forgets pods that went long ago, and the watches of an apiserver.
final class MetadataService {
    let directory: PodDirectory
    /// `nil` without `--source=kubernetes`.
    let source: KubernetesSource?
    private let loop: EventLoop
    private let thread: SystemThread

    /// How often the file's time stamp is looked at.
    private static let filePeriodNanoseconds: UInt64 = 2_000_000_000
    private static let expiryPeriodNanoseconds: UInt64 = 10_000_000_000

    /// Reads the file, so that names are there from the first frame on, and starts the thread.
    ///
    /// - Parameters:
    ///   - access: the apiserver to watch. That it does not answer is no error: names come later.
    ///   - directory: what is known already, from the log.
    /// - Throws: a `PodListError` or `TransportError`.
    init(
        podsFile path: String?, access: APIServerAccess? = nil, directory: PodDirectory,
        clock: Clock = .system
    ) throws {
        let loop = try EventLoop(clock: clock, scratchByteCount: 4_096)
        if let path {
            let file = PodListFile(path: path)
            try file.load(into: directory, now: Self.now(clock))
            let counts = directory.counts
            Diagnostics.info("\(path): \(counts.pods) pods, \(counts.nodes) nodes")
            Self.every(Self.filePeriodNanoseconds, on: loop) {
                Self.reload(file, into: directory, now: Self.now(clock))
            }
        }
        Self.every(Self.expiryPeriodNanoseconds, on: loop) {
            directory.expire(now: Self.now(clock))
        }
        self.directory = directory
        self.loop = loop
        thread = try SystemThread.start(name: "metadata") { loop.run() }
        source = try access.map { try KubernetesSource($0, directory: directory) }
    }

    /// Ends the thread. Call it once.
    func stop() {
        source?.stop()
        loop.stop()
        thread.join()
    }

    private static func reload(_ file: PodListFile, into directory: PodDirectory, now: Int64) {
        do {
            if try file.reloadIfChanged(into: directory, now: now) {
                Diagnostics.info("\(file.path) changed: \(directory.counts.pods) pods")
            }
        } catch .unreadable(let path, let errno) {
            // Said every time it is looked at otherwise: a file that is being replaced may be
            // missing for a moment, one that is gone for ever.
            unreadable.warning("\(PodListError.unreadable(path: path, errno: errno))")
        } catch {
            Diagnostics.warning("\(error); names stay as they were")
        }
    }

    /// Milliseconds since the epoch.
    private static func now(_ clock: Clock) -> Int64 {
        Int64(clock.realtimeNanoseconds / 1_000_000)
    }

    private static let unreadable = LimitedDiagnostics(perMinute: 1)

    private static func every(
        _ period: UInt64, on loop: EventLoop, _ action: @escaping () -> Void
    ) {
        let timer = Repetition(period: period, loop: loop, action)
        timer.schedule()
    }
}

/// A timer that winds itself. The loop keeps it.
private final class Repetition {
    private let period: UInt64
    private unowned let loop: EventLoop
    private var timer: TimerID?

    init(period: UInt64, loop: EventLoop, _ action: @escaping () -> Void) {
        self.period = period
        self.loop = loop
        timer = loop.makeTimer {
            action()
            self.schedule()
        }
    }

    func schedule() {
        if let timer { loop.schedule(timer, afterNanoseconds: period) }
    }
}
