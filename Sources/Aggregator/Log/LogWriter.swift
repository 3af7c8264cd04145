import Glibc
import Synchronization
import Wire

/// Appends records to the log: many threads hand them over, one commits them in batches.
///
/// A record's *position* is the number of bytes appended before its end since the start. Once
/// `acknowledgeable` has reached it, the record is on the disk, or the disk has failed for so long
/// that agents must not wait any more.
///
/// The *generation* tells where a writer must begin anew: it changes with each segment, after a
/// failure and after each loss. Whoever appends compares it to what it saw last, and begins with its
/// whole state when it differs. It changes only while the gate is closed.
final class LogWriter: @unchecked Sendable {
    let configuration: LogConfiguration
    let gate = LogGate()
    private let lock = Lock()
    /// Used under `lock`.
    private var batch: Batch
    private var queue: [Batch] = []
    private var position: UInt64 = 0
    /// Of frames since the segment began.
    private var frameBytes = 0
    /// Of the states that it began with.
    private var stateBytes = 0
    private var segmentTime: Int64 = 0
    /// By number; 0 is no node.
    private var names: [String] = [""]
    private var counts = Statistics()
    /// Used by the committing thread alone.
    private let files: any LogFiles
    private var segment: UInt64
    private var openSegment: String?
    /// The open segment has a batch that is on the disk.
    private var isOpenUsed = false
    private var isFailing = false
    private let limited = LimitedDiagnostics()
    private let durablePosition = Atomic<UInt64>(0)
    private let appendedPosition = Atomic<UInt64>(0)
    private let generationNumber = Atomic<UInt64>(1)
    private let isImpatient = Atomic<Bool>(false)
    /// Milliseconds of the clock; `.min` while nothing fails.
    private var failingSince = Int64.min
    /// Since when the committing thread waits for the disk, likewise; any thread may read it.
    private let writingSince = Atomic<Int64>(.min)
    private let isHanging = Atomic<Bool>(false)

    /// What is committed together.
    private struct Batch {
        let number: UInt64
        /// The mark before `bytes`.
        var front: [UInt8] = []
        var bytes: [UInt8] = []
        var end: UInt64 = 0
        /// When it was closed, milliseconds since the epoch.
        var time: Int64 = 0
        var recordCount = 0
        /// Every node begins anew in it, so it is the first of a segment.
        var beginsSegment = false
        /// It became too long before it was closed, and is given up.
        var isLost = false
        var isEmpty: Bool { recordCount == 0 }
    }

    struct Statistics: Sendable, Equatable {
        var records: UInt64 = 0
        var bytes: UInt64 = 0
        var commits: UInt64 = 0
        var failures: UInt64 = 0
        /// Bytes given up because the disk did not take them in time.
        var lostBytes: UInt64 = 0
        var pendingBytes = 0
        /// Acknowledgements do not wait for the disk at the moment.
        var isDegraded = false
        var lastError = ""
    }

    /// - Parameters:
    ///   - segment: number of the first segment to write; no file has it or a higher one.
    ///   - batch: number of the first batch; none in the log has it or a higher one.
    init(
        files: any LogFiles, firstSegment segment: UInt64, firstBatch: UInt64 = 1,
        configuration: LogConfiguration
    ) {
        self.files = files
        self.segment = segment - 1
        self.configuration = configuration
        batch = Batch(number: firstBatch, beginsSegment: true)
    }

    /// Everything up to here may be acknowledged.
    var acknowledgeable: UInt64 {
        isImpatient.load(ordering: .acquiring)
            ? appendedPosition.load(ordering: .acquiring)
            : durablePosition.load(ordering: .acquiring)
    }

    /// Everything up to here is on the disk.
    var durable: UInt64 { durablePosition.load(ordering: .acquiring) }

    /// Constant while the gate is held.
    var generation: UInt64 { generationNumber.load(ordering: .acquiring) }

    var statistics: Statistics {
        lock.withLock {
            var statistics = counts
            statistics.pendingBytes = queuedBytes + batch.bytes.count
            statistics.isDegraded = isImpatient.load(ordering: .relaxed)
            return statistics
        }
    }

    /// A number for a node, for the life of this writer.
    func number(of name: String) -> UInt32 {
        lock.withLock {
            names.append(name)
            return UInt32(names.count - 1)
        }
    }

    /// Appends records that `body` puts into the buffer. The caller holds the gate.
    ///
    /// - Parameters:
    ///   - recordCount: how many there are.
    ///   - isState: they begin a generation and do not count for the segment's size.
    /// - Returns: the position to wait for.
    func append(
        recordCount: Int, isState: Bool = false, _ body: (inout [UInt8]) -> Void
    ) -> UInt64 {
        lock.withLock {
            let before = batch.bytes.count
            body(&batch.bytes)
            let added = batch.bytes.count - before
            batch.recordCount += recordCount
            if batch.isLost || batch.bytes.count > configuration.pendingBytes + stateBytes {
                // The disk hangs: nobody closes the batch.
                counts.lostBytes += UInt64(batch.bytes.count)
                batch.bytes.removeAll()
                batch.isLost = true
            }
            position += UInt64(added)
            if isState { stateBytes += added } else { frameBytes += added }
            counts.records += UInt64(recordCount)
            appendedPosition.store(position, ordering: .releasing)
            return position
        }
    }

    // MARK: The committing thread

    /// Closes the batch, so that `write` takes it.
    ///
    /// - Parameters:
    ///   - now: milliseconds since the epoch.
    ///   - finish: appends what belongs to the end of the batch; returns the number of records.
    func cut(now: Int64, _ finish: (inout [UInt8]) -> Int) {
        gate.close {
            lock.withLock {
                if segmentTime == 0 { segmentTime = now }
                batch.recordCount += finish(&batch.bytes)
                guard !batch.isEmpty else { return }
                seal(now: now)
                let isFull =
                    frameBytes >= max(configuration.segmentBytes, stateBytes)
                    || now - segmentTime >= configuration.segmentMilliseconds
                var next = Batch(number: batch.number + 1)
                // What was closed before and is still there: the newest batch may hold all states.
                let isBehind = queuedBytes > configuration.pendingBytes
                queue.append(batch)
                if batch.isLost || isBehind {
                    dropQueue()
                    next.beginsSegment = true
                } else {
                    next.beginsSegment = isFull
                }
                batch = next
                if next.beginsSegment { beginGeneration(now: now) }
            }
        }
    }

    /// Puts the marks around the batch.
    private func seal(now: Int64) {
        let (number, count) = (batch.number, batch.recordCount)
        LogRecord.append(.batchBegin, to: &batch.front) {
            Varint.append(number, to: &$0)
            Varint.append(signed: now, to: &$0)
        }
        LogRecord.append(.batchEnd, to: &batch.bytes) {
            Varint.append(number, to: &$0)
            Varint.append(signed: Int64(count), to: &$0)
        }
        batch.end = position
        batch.time = now
    }

    /// Of batches that were closed and are not on the disk. Under the lock.
    private var queuedBytes: Int { queue.reduce(0) { $0 + $1.bytes.count } }

    private func beginGeneration(now: Int64) {
        generationNumber.add(1, ordering: .releasing)
        frameBytes = 0
        stateBytes = 0
        segmentTime = now
    }

    /// The disk has not taken anything for too long.
    private func dropQueue() {
        counts.lostBytes += UInt64(queuedBytes)
        queue.removeAll()
        batch.bytes = []
        durablePosition.store(position, ordering: .releasing)
    }

    /// Writes and syncs the batches that were cut.
    ///
    /// - Parameters:
    ///   - now: milliseconds of a clock that never goes back.
    ///   - body: writes what must be there before, to files of its own; gets the number of the segment
    ///     that is written, or of one before it.
    /// - Returns: whether everything is on the disk now.
    @discardableResult
    func write(now: Int64, after body: (UInt64) -> Void = { _ in }) -> Bool {
        var isWritten = false
        writingSince.store(now, ordering: .releasing)
        defer { endHang() }
        body(openSegment == nil ? segment + 1 : segment)
        while let next = lock.withLock({ queue.first }) {
            do throws(LogFileError) {
                try write(next)
            } catch {
                fail(error, now: now)
                return false
            }
            lock.withLock {
                if queue.first?.number == next.number { queue.removeFirst() }
                counts.bytes += UInt64(next.bytes.count)
                counts.commits += 1
            }
            durablePosition.store(next.end, ordering: .releasing)
            isWritten = true
        }
        if isFailing, isWritten {
            isFailing = false
            failingSince = .min
            isImpatient.store(false, ordering: .releasing)
            Diagnostics.info("the log is written again; nothing waits")
        }
        return true
    }

    /// Looks whether the disk answers at all: a sync that never returns is no failure yet. Any thread.
    ///
    /// - Parameter now: milliseconds of the clock of `write`.
    /// - Returns: whether more may be acknowledged than before.
    func watch(now: Int64) -> Bool {
        let since = writingSince.load(ordering: .acquiring)
        guard since != .min, now &- since >= configuration.patienceMilliseconds,
            !isHanging.exchange(true, ordering: .acquiringAndReleasing)
        else { return false }
        isImpatient.store(true, ordering: .releasing)
        Diagnostics.warning(
            "the log's disk has not answered for \((now &- since) / 1_000) s; frames wait in memory, and "
                + "agents are told that they are kept")
        return true
    }

    private func endHang() {
        writingSince.store(.min, ordering: .releasing)
        guard isHanging.exchange(false, ordering: .acquiringAndReleasing) else { return }
        if !isFailing { isImpatient.store(false, ordering: .releasing) }
        Diagnostics.info("the log's disk answers again")
    }

    private func write(_ batch: Batch) throws(LogFileError) {
        if let openSegment, batch.beginsSegment {
            files.close(openSegment)
            self.openSegment = nil
        }
        if openSegment == nil {
            let name = LogSegment.name(segment + 1)
            segment += 1
            openSegment = name
            isOpenUsed = false
            try files.create(name)
            let front = LogSegment.header + (batch.beginsSegment ? [] : continuation(batch))
            try files.append(name, front)
        }
        guard let name = openSegment else { return }
        try files.append(name, batch.front)
        try files.append(name, batch.bytes)
        try files.sync(name)
        isOpenUsed = true
    }

    /// What a batch needs that another segment did not take: it uses numbers that were defined there.
    private func continuation(_ batch: Batch) -> [UInt8] {
        let names = lock.withLock { self.names }
        var bytes: [UInt8] = []
        LogRecord.append(.continuation, to: &bytes) {
            Varint.append(batch.number, to: &$0)
            Varint.append(signed: batch.time, to: &$0)
        }
        for (number, name) in names.enumerated().dropFirst() {
            LogRecord.append(.node, node: UInt32(number), to: &bytes) {
                $0.append(contentsOf: name.utf8)
            }
        }
        return bytes
    }

    private func abandon(_ name: String) {
        files.close(name)
        guard !isOpenUsed else { return }
        // An outage leaves no file for each attempt, and no gap in the numbers.
        do throws(LogFileError) {
            try files.remove(name)
            segment -= 1
        } catch {
            if error.errno == ENOENT {
                segment -= 1
                return
            }
            limited.warning("\(error); it holds nothing that is not written again")
        }
    }

    /// What was written may be torn: the batch is written again to a new file.
    private func fail(_ error: LogFileError, now: Int64) {
        if let openSegment { abandon(openSegment) }
        openSegment = nil
        let isFirst = !isFailing
        if isFirst {
            isFailing = true
            failingSince = now
        }
        if now &- failingSince >= configuration.patienceMilliseconds {
            isImpatient.store(true, ordering: .releasing)
        }
        gate.close {
            lock.withLock {
                counts.failures += 1
                counts.lastError = error.description
                // Once per outage: what comes next may not depend on the segment that failed.
                if isFirst {
                    generationNumber.add(1, ordering: .releasing)
                    frameBytes = 0
                }
            }
        }
        let isImpatient = isImpatient.load(ordering: .relaxed)
        limited.warning(
            "\(error); "
                + (isImpatient
                    ? "the log is behind, and agents are told that their frames are kept"
                    : "it is written again in a moment"))
    }
}
