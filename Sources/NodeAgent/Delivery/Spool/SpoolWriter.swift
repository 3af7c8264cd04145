import CLinux
import Glibc
import Synchronization
import Wire

/// Does on a thread of its own what the spool asks of its files: a disk that is slow, full or broken
/// never holds up a sample.
///
/// ```
///  agent's thread: submit ──> waiting (bounded) ──swap──> working ──> files   writer's thread
/// ```
/// After a failure everything up to the beginning of another segment is dropped and counted; what is
/// on disk stays.
final class SpoolWriter: Sendable {
    enum Task {
        /// Closes the segment and begins one with this first frame.
        case begin(UInt64)
        /// Appends the next so many bytes, with so many frames.
        case append(byteCount: Int, frameCount: Int)
        /// Removes the segment with this first frame.
        case remove(UInt64)
        /// Closes the segment and makes the file that says that the agent has stopped in order.
        case end(byteCount: Int)
    }

    /// Tasks and their bytes; both keep their memory.
    private struct Batch {
        var tasks: [Task] = []
        var bytes: [UInt8] = []

        mutating func clear() {
            tasks.removeAll(keepingCapacity: true)
            bytes.removeAll(keepingCapacity: true)
        }
    }

    private struct Waiting {
        var batch = Batch()
        /// The segment is broken: only a beginning is of use.
        var needsSegment = true
        var droppedFrames: UInt64 = 0
        var failures: UInt64 = 0
        var isStopping = false
        var isIdle = true
    }

    /// What only the writing thread touches.
    private struct Working {
        var batch = Batch()
        var segment: Int32 = -1
    }

    private let files: any SpoolFiles
    private let byteCountMax: Int
    private let waiting = Mutex(Waiting())
    private let working = Mutex(Working())
    private let wakeUp: Int32
    private let limited = LimitedDiagnostics()

    static let endName = "end"
    static let segmentPrefix = "segment-"

    /// The name by which segments sort as their frames.
    static func segmentName(_ first: UInt64) -> String {
        let digits = String(first)
        return segmentPrefix + String(repeating: "0", count: 20 - digits.count) + digits
    }

    static func firstFrame(ofSegment name: String) -> UInt64? {
        guard name.hasPrefix(segmentPrefix) else { return nil }
        return UInt64(name.dropFirst(segmentPrefix.count))
    }

    /// - Parameter byteCountMax: bytes that may wait for a slow disk.
    init(files: any SpoolFiles, byteCountMax: Int) {
        self.files = files
        self.byteCountMax = byteCountMax
        // Semaphore: a read takes one wake-up, so none is lost.
        wakeUp = eventfd(0, Int32(EFD_CLOEXEC))
        precondition(wakeUp >= 0, "eventfd: \(errno)")
    }

    deinit { close(wakeUp) }

    /// Starts the thread; without it `drain` does the work.
    func start() throws(TransportError) {
        try SystemThread.start(name: "spool", stackByteCount: 256 << 10) { [self] in work() }
            .detach()
    }

    // MARK: The agent's side

    struct Counters: Equatable {
        /// Frames that are not on disk because it did not take them, or took too long.
        var droppedFrames: UInt64
        /// Calls on files that failed.
        var failures: UInt64
    }

    var counters: Counters {
        waiting.withLock {
            Counters(droppedFrames: $0.droppedFrames, failures: $0.failures)
        }
    }

    /// Whether appending is of no use before a segment is begun.
    var needsSegment: Bool { waiting.withLock { $0.needsSegment } }

    /// Everything that was submitted was done, or has failed.
    var isIdle: Bool { waiting.withLock { $0.isIdle && $0.batch.tasks.isEmpty } }

    /// Begins a segment with its first frame, unless too much waits already.
    func begin(_ first: UInt64, _ bytes: [UInt8]) {
        waiting.withLock { waiting in
            guard waiting.batch.bytes.count + bytes.count <= byteCountMax else {
                waiting.needsSegment = true
                waiting.droppedFrames &+= 1
                return
            }
            waiting.needsSegment = false
            waiting.batch.tasks.append(.begin(first))
            waiting.batch.tasks.append(.append(byteCount: bytes.count, frameCount: 1))
            waiting.batch.bytes.append(contentsOf: bytes)
        }
        wake()
    }

    /// Appends a frame's records. Allocates nothing once its memory has grown.
    func append(_ records: UnsafeRawBufferPointer) {
        waiting.withLock { waiting in
            guard !waiting.needsSegment,
                waiting.batch.bytes.count + records.count <= byteCountMax
            else {
                waiting.needsSegment = true
                waiting.droppedFrames &+= 1
                return
            }
            waiting.batch.tasks.append(.append(byteCount: records.count, frameCount: 1))
            waiting.batch.bytes.append(contentsOf: records)
        }
        wake()
    }

    /// A frame that could not be handed over.
    func noteDropped() { waiting.withLock { $0.droppedFrames &+= 1 } }

    func remove(_ first: UInt64) {
        waiting.withLock { $0.batch.tasks.append(.remove(first)) }
        wake()
    }

    /// The last task.
    func end(_ bytes: [UInt8]) {
        waiting.withLock { waiting in
            waiting.batch.tasks.append(.end(byteCount: bytes.count))
            waiting.batch.bytes.append(contentsOf: bytes)
            waiting.isStopping = true
        }
        wake()
    }

    private func wake() {
        var one: UInt64 = 1
        let result = Glibc.write(wakeUp, &one, 8)
        precondition(result == 8 || errno == EAGAIN, "eventfd write failed: \(errno)")
    }

    // MARK: The writer's side

    private func work() {
        while true {
            var count: UInt64 = 0
            let result = read(wakeUp, &count, 8)
            precondition(result == 8 || errno == EINTR, "eventfd read failed: \(errno)")
            if drain() { return }
        }
    }

    /// Does all that waits.
    ///
    /// - Returns: whether that was the end.
    @discardableResult
    func drain() -> Bool {
        working.withLock { working in
            let isStopping = waiting.withLock { waiting in
                working.batch.clear()
                swap(&working.batch, &waiting.batch)
                waiting.isIdle = working.batch.tasks.isEmpty
                return waiting.isStopping
            }
            var offset = 0
            for task in working.batch.tasks {
                offset += perform(task, at: offset, &working)
            }
            waiting.withLock { $0.isIdle = true }
            return isStopping
        }
    }

    /// - Returns: bytes of the batch that were the task's.
    private func perform(_ task: Task, at offset: Int, _ working: inout Working) -> Int {
        switch task {
        case .begin(let first):
            closeSegment(&working, syncing: true)
            attempt {
                () throws(SpoolFileError) in
                working.segment = try files.create(Self.segmentName(first))
            }
            return 0
        case .append(let byteCount, let frameCount):
            guard working.segment >= 0 else {
                drop(frameCount)
                return byteCount
            }
            let isWritten = attempt { () throws(SpoolFileError) in
                try write(working.batch.bytes, offset, byteCount, to: working.segment)
            }
            if !isWritten {
                drop(frameCount)
                closeSegment(&working, syncing: false)
            }
            return byteCount
        case .remove(let first):
            attempt { () throws(SpoolFileError) in
                try files.remove(Self.segmentName(first))
            }
            return 0
        case .end(let byteCount):
            let isWhole = working.segment >= 0
            closeSegment(&working, syncing: true)
            // Only if every frame is there may the next process count on from the last.
            if isWhole { writeEnd(working.batch.bytes, offset, byteCount) }
            return byteCount
        }
    }

    private func writeEnd(_ bytes: [UInt8], _ offset: Int, _ byteCount: Int) {
        attempt { () throws(SpoolFileError) in
            let descriptor = try files.create(Self.endName)
            defer { files.close(descriptor) }
            try write(bytes, offset, byteCount, to: descriptor)
            try files.sync(descriptor)
        }
    }

    private func write(
        _ bytes: [UInt8], _ offset: Int, _ byteCount: Int, to descriptor: Int32
    ) throws(SpoolFileError) {
        let failure = bytes.withUnsafeBytes { all -> SpoolFileError? in
            do throws(SpoolFileError) {
                try files.append(
                    UnsafeRawBufferPointer(rebasing: all[offset..<offset + byteCount]),
                    to: descriptor)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
    }

    private func closeSegment(_ working: inout Working, syncing: Bool) {
        guard working.segment >= 0 else { return }
        let descriptor = working.segment
        if syncing { attempt { () throws(SpoolFileError) in try files.sync(descriptor) } }
        files.close(descriptor)
        working.segment = -1
    }

    private func drop(_ frameCount: Int) {
        waiting.withLock {
            $0.droppedFrames &+= UInt64(frameCount)
            $0.needsSegment = true
        }
    }

    /// - Returns: whether it worked; else it is counted and said.
    @discardableResult
    private func attempt(_ body: () throws(SpoolFileError) -> Void) -> Bool {
        do throws(SpoolFileError) {
            try body()
            return true
        } catch {
            waiting.withLock { $0.failures &+= 1 }
            limited.warning("--spool-dir: \(error); frames are kept in memory only meanwhile")
            return false
        }
    }
}
