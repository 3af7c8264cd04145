import Synchronization
import Wire

/// The names in the log: the whole directory at the front of each generation, and each change after
/// it, so that names are there when the apiserver is away after a restart.
final class LogNames: Sendable {
    private let directory: PodDirectory
    private let changes = Mutex(Changes())
    /// Used by the committing thread alone.
    private let generation = Atomic<UInt64>(0)

    /// What waits for the next commit.
    private struct Changes {
        private(set) var records: [[UInt8]] = []
        private(set) var byteCount = 0
        /// There were too many: the whole directory has to be written.
        private(set) var overflowed = false

        mutating func add(_ record: [UInt8], byteCountMax: Int) {
            guard !overflowed else { return }
            records.append(record)
            byteCount += record.count
            guard byteCount > byteCountMax else { return }
            self = Changes()
            overflowed = true
        }
    }

    /// In the place of the node's number: the first piece of a snapshot, which makes all before it void.
    static let snapshotMark: UInt32 = 1

    /// Bytes of changes that wait for the next commit.
    var waitingByteCount: Int { changes.withLock { $0.byteCount } }

    /// Notes changes from now on.
    ///
    /// - Parameter waitingByteCountMax: of changes that wait while the disk hangs; the whole directory
    ///   is written in the place of more.
    init(_ directory: PodDirectory, waitingByteCountMax: Int = 16 << 20) {
        self.directory = directory
        directory.setObserver { [weak self] change, time in
            let bytes = MetadataEncoder.encode(change, time: time)
            self?.changes.withLock { $0.add(bytes, byteCountMax: waitingByteCountMax) }
        }
    }

    /// Writes everything if the generation is another one than at the last call, or too much has
    /// changed since. On the committing thread, before the batch is closed.
    func prepare(_ writer: LogWriter, now: Int64) {
        let current = writer.generation
        let isKnown = generation.exchange(current, ordering: .relaxed) == current
        guard !isKnown || changes.withLock({ $0.overflowed }) else { return }
        var snapshot: DirectorySnapshot?
        directory.takeSnapshot(now: now) {
            snapshot = $0
            // All of them are in the snapshot.
            changes.withLock { $0 = Changes() }
        }
        var mark = Self.snapshotMark
        snapshot?.encode { piece in
            _ = writer.append(recordCount: 1, isState: true) { bytes in
                piece.withUnsafeBytes { LogRecord.append(.metadata, node: mark, $0, to: &bytes) }
            }
            mark = 0
        }
    }

    /// Appends the changes since the last call; returns how many records.
    func append(to bytes: inout [UInt8]) -> Int {
        let waiting = changes.withLock { changes in
            // A directory that overflowed since `prepare` is written with the next batch.
            guard !changes.overflowed else { return [[UInt8]]() }
            defer { changes = Changes() }
            return changes.records
        }
        for change in waiting {
            change.withUnsafeBytes { LogRecord.append(.metadata, $0, to: &bytes) }
        }
        return waiting.count
    }
}

/// The `metadata` records of the log since the last snapshot.
struct RestoredNames {
    private var pieces: [[UInt8]] = []

    mutating func take(_ record: LogRecord.View) {
        if record.node == LogNames.snapshotMark { pieces.removeAll() }
        pieces.append(Array(record.payload))
    }

    /// Puts the names into an empty directory.
    ///
    /// - Returns: how many records could not be read.
    func restore(_ directory: PodDirectory) -> Int {
        var decoder = MetadataDecoder()
        var failures = 0
        for piece in pieces {
            piece.withUnsafeBytes { bytes in
                do throws(WireError) {
                    try directory.restore(bytes, &decoder)
                } catch {
                    failures += 1
                }
            }
        }
        return failures
    }
}
