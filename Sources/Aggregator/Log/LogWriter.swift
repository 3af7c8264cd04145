import Synchronization
import Wire

/// What the log may cost.
struct LogConfiguration: Sendable {
    /// Time between group commits, `--log-sync`, milliseconds.
    var syncMilliseconds: Int64 = 1_000
    /// Size at which a segment is ended.
    var segmentBytes = 256 << 20
    /// Appended but not yet on the disk; more is dropped, oldest first, and counted.
    var pendingBytes = 256 << 20
    /// Segments whose newest entry is older are removed, milliseconds.
    var retention: Int64 = 24 * 3_600_000
    /// Segments beyond this many bytes are removed, oldest first.
    var retentionBytes = 64 << 30
}

/// Appends records to the log: many threads hand them over, one commits them in groups.
///
/// A record's *position* is the number of bytes appended before its end since the start. Once
/// `committed` has reached it, the record is on the disk, or was given up and counted.
final class LogWriter: @unchecked Sendable {
    private let configuration: LogConfiguration
    private let lock = Lock()
    /// Used under `lock`.
    private var pending: [Piece] = []
    private var pendingBytes = 0
    private var position: UInt64 = 0
    private var segment: UInt64
    private var segmentBytes = 0
    private var generationNumber: UInt64 = 1
    private var statistics = Statistics()
    /// Used by the committing thread alone.
    private let files: any LogFiles
    private var openSegment: String?
    private let limited = LimitedDiagnostics()
    private let committedPosition = Atomic<UInt64>(0)

    /// Bytes of one segment that wait to be written.
    private struct Piece {
        let segment: UInt64
        var bytes: [UInt8]
        var end: UInt64
    }

    struct Statistics: Sendable, Equatable {
        var records: UInt64 = 0
        var bytes: UInt64 = 0
        var commits: UInt64 = 0
        var failures: UInt64 = 0
        /// Bytes given up because the disk did not take them in time.
        var lostBytes: UInt64 = 0
        var lastError = ""
    }

    /// - Parameter segment: number of the first segment to write; no file has it or a higher one.
    init(files: any LogFiles, firstSegment segment: UInt64, configuration: LogConfiguration) {
        self.files = files
        self.segment = segment
        self.configuration = configuration
    }

    /// Everything up to here is on the disk.
    var committed: UInt64 { committedPosition.load(ordering: .acquiring) }

    /// Where a writer must begin anew: changes with each segment and after each loss. Whoever
    /// appends compares it to what it saw last, and begins with its whole state when it differs.
    var generation: UInt64 { lock.withLock { generationNumber } }

    var currentStatistics: Statistics { lock.withLock { statistics } }

    /// Appends records that `body` puts into the buffer, all in one segment.
    ///
    /// - Parameter body: gets the buffer and the generation; appends whole records to it.
    /// - Returns: the position to wait for.
    func append(_ body: (inout [UInt8], UInt64) -> Void) -> UInt64 {
        lock.withLock {
            if segmentBytes >= configuration.segmentBytes { beginSegment() }
            if pending.last?.segment != segment {
                pending.append(Piece(segment: segment, bytes: [], end: position))
            }
            let last = pending.count - 1
            let before = pending[last].bytes.count
            body(&pending[last].bytes, generationNumber)
            let added = pending[last].bytes.count - before
            position += UInt64(added)
            pending[last].end = position
            pendingBytes += added
            segmentBytes += added
            statistics.records += 1
            if pendingBytes > configuration.pendingBytes { dropPending() }
            return position
        }
    }

    private func beginSegment() {
        segment += 1
        segmentBytes = 0
        generationNumber += 1
    }

    /// The disk has not taken anything for too long.
    private func dropPending() {
        statistics.lostBytes += UInt64(pendingBytes)
        pending.removeAll()
        pendingBytes = 0
        committedPosition.store(position, ordering: .releasing)
        beginSegment()
    }

    // MARK: The committing thread

    /// Writes and syncs what was appended so far. Call it from one thread only.
    ///
    /// - Returns: whether everything is on the disk now.
    @discardableResult
    func commit() -> Bool {
        let pieces = lock.withLock { pending }
        for piece in pieces where !piece.bytes.isEmpty {
            do throws(LogFileError) {
                try write(piece)
            } catch {
                // What was written may be torn: go on in a new file, which repeats this piece.
                abandonSegment()
                lock.withLock {
                    statistics.failures += 1
                    statistics.lastError = error.description
                }
                limited.warning(
                    "\(error); frames stay unacknowledged and are written again in a moment")
                return false
            }
            finish(piece)
        }
        return true
    }

    private func write(_ piece: Piece) throws(LogFileError) {
        let name = LogSegment.name(piece.segment)
        if openSegment != name {
            if let openSegment { files.close(openSegment) }
            openSegment = nil
            try files.create(name)
            openSegment = name
            try LogSegment.header.withUnsafeBytesTyped { (bytes) throws(LogFileError) in
                try files.append(name, bytes)
            }
        }
        try piece.bytes.withUnsafeBytesTyped { (bytes) throws(LogFileError) in
            try files.append(name, bytes)
        }
        try files.sync(name)
    }

    /// Takes what was written off the front; the appenders may have added behind it meanwhile.
    private func finish(_ piece: Piece) {
        lock.withLock {
            guard let first = pending.first, first.segment == piece.segment else { return }
            let written = piece.bytes.count
            pendingBytes -= written
            if first.bytes.count == written {
                pending.removeFirst()
            } else {
                pending[0].bytes.removeSubrange(0..<written)
            }
            statistics.bytes += UInt64(written)
            statistics.commits += 1
        }
        committedPosition.store(piece.end, ordering: .releasing)
    }

    /// Later pieces get segments of their own, and so does the one that failed.
    private func abandonSegment() {
        if let openSegment { files.close(openSegment) }
        openSegment = nil
        lock.withLock {
            let numbers = pending.map(\.segment)
            beginSegment()
            let shift = segment - (numbers.first ?? segment)
            pending = pending.map {
                Piece(segment: $0.segment + shift, bytes: $0.bytes, end: $0.end)
            }
            segment = max(segment, pending.last?.segment ?? segment)
            if !pending.isEmpty { beginSegment() }
        }
    }
}

extension [UInt8] {
    /// `withUnsafeBytes` with a typed error.
    func withUnsafeBytesTyped<Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        var failure: Failure?
        withUnsafeBytes { bytes in
            do throws(Failure) { try body(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
    }
}
