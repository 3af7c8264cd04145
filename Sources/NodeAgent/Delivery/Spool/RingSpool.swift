import Glibc
import Wire

/// Why a spool directory cannot be used.
enum RingSpoolError: Error, Equatable, CustomStringConvertible {
    case cannotWrite(directory: String, errno: Int32)
    case inUse(directory: String)

    var description: String {
        switch self {
        case .cannotWrite(let directory, let errno):
            "--spool-dir=\(directory): cannot write there: \(systemErrorText(errno)); make the "
                + "directory and give it to the agent's user"
        case .inUse(let directory):
            "--spool-dir=\(directory) is in use by another agent; give each its own"
        }
    }
}

/// The ring in files, so that neither a restart of the agent nor its death loses what was sampled.
///
/// ```
/// segment-00000000000000000301    head | chain 301 begins, subjects…, frame 301, frame 302, …
/// segment-00000000000000000601    head | chain 601 begins, subjects…, frame 601, …
/// end                             head, when the agent has stopped in order
/// ```
/// A segment is a `SpoolHead` and then the very records that an aggregator would be sent: it begins
/// with a key frame and the whole dictionary and needs no other segment. Each frame is handed to the
/// writing thread when it is made. A segment goes when its frames have left the ring; a new one begins
/// with a key frame once the last one has a sixteenth of the ring's bytes, and at a quarter the
/// next frame is made one. So the directory holds at most the ring, a quarter of it and the dictionaries.
///
/// Where there is no `end`, the last frames may not have been written although they were sent. So that no
/// number is given to two frames, the run then goes on 2^32 and some numbers later.
final class RingSpool {
    private let files: any SpoolFiles
    private let writer: SpoolWriter
    /// Held as long as the spool is used; -1 without.
    private let lock: Int32
    private let capacity: Int
    private var run: (id: [UInt8], names: [String])?
    /// First frames of the segments that are there, ascending.
    private var segments: [UInt64] = []
    private var segmentByteCount = 0
    private var lastKept: UInt64 = 0
    /// Frames since the disk was last given a chance.
    private var framesSinceAttempt = 0
    private var scratch: [UInt8] = []
    /// What was not right with what the last process left, for the log.
    private(set) var notices: [String] = []

    /// After a failure, a frame in so many is made a key frame to begin a segment with.
    static let framesPerAttempt = 60
    /// How long the end of the agent waits for the disk.
    private static let farewellMicroseconds: UInt32 = 5_000_000

    /// Takes the directory for this process.
    ///
    /// - Throws: when it cannot be written or another agent uses it.
    static func open(directory: String, capacity: Int) throws(RingSpoolError) -> RingSpool {
        let lock = Glibc.open(directory + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw .cannotWrite(directory: directory, errno: errno) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw .inUse(directory: directory)
        }
        return RingSpool(
            files: DirectorySpoolFiles(directory: directory), capacity: capacity, lock: lock)
    }

    /// - Parameters:
    ///   - capacity: of the ring.
    ///   - waitingByteCountMax: what may wait for a slow disk, in memory.
    init(
        files: any SpoolFiles, capacity: Int, lock: Int32 = -1, waitingByteCountMax: Int = 1 << 20
    ) {
        self.files = files
        self.capacity = capacity
        self.lock = lock
        writer = SpoolWriter(files: files, byteCountMax: waitingByteCountMax)
    }

    deinit { if lock >= 0 { close(lock) } }

    var counters: SpoolWriter.Counters { writer.counters }

    // MARK: Loading

    /// Reads what the last process left; `nil` where there is nothing to go on with. What is damaged is
    /// said and not used.
    ///
    /// - Parameter random: between 0 and 2^32, another each time.
    /// - Throws: when what must not be read again cannot be taken away.
    func take(random: UInt32) throws(SpoolFileError) -> SpoolReader.Restored? {
        let names = try files.list()
        let firsts = names.compactMap { SpoolWriter.firstFrame(ofSegment: $0) }.sorted()
        var reader = SpoolReader(capacity: capacity)
        for first in firsts {
            let name = SpoolWriter.segmentName(first)
            let bytes = try files.read(name, byteLimit: Int(Int32.max))
            if !bytes.withUnsafeBytes({ reader.read($0) }) {
                try files.remove(name)
            } else {
                segments.append(first)
            }
            if let damage = reader.damage {
                notices.append("--spool-dir: \(name) is damaged: \(damage)")
            }
        }
        let end = names.contains(SpoolWriter.endName) ? try readEnd() : nil
        // Read twice it could make a later process give numbers away again.
        try files.remove(SpoolWriter.endName)
        let restored = reader.finish(end, skip: 1 << 32 + UInt64(random))
        guard let restored else {
            for first in segments { try files.remove(SpoolWriter.segmentName(first)) }
            segments = []
            return nil
        }
        lastKept = restored.ring.next - 1
        return restored
    }

    private func readEnd() throws(SpoolFileError) -> SpoolHead? {
        let bytes = try files.read(SpoolWriter.endName, byteLimit: 64 << 20)
        return bytes.withUnsafeBytes { raw in
            do throws(WireError) {
                var reader = ByteReader(raw)
                return try SpoolHead(magic: SpoolHead.endMagic, &reader)
            } catch {
                notices.append("--spool-dir: \(SpoolWriter.endName) is damaged: \(error)")
                return nil
            }
        }
    }

    // MARK: Keeping

    /// Begins to keep this run's frames.
    ///
    /// - Parameters:
    ///   - names: of the aggregators, in their order.
    ///   - isThreaded: else `drain` does the writing.
    func start(
        runID: [UInt8], names: [String], isThreaded: Bool = true
    ) throws(TransportError) {
        run = (runID, names)
        if isThreaded { try writer.start() }
    }

    /// Hands the newest frame on. Allocates nothing but for the beginning of a segment.
    func keepNewest(of outbox: Outbox) {
        let ring = outbox.ring
        let sequence = ring.next - 1
        removeEvicted(ring)
        guard let entry = ring.entry(sequence) else {
            // Larger than the ring: the next one is a key frame.
            framesSinceAttempt = Self.framesPerAttempt
            return writer.noteDropped()
        }
        let follows = sequence == lastKept + 1 && !segments.isEmpty && !writer.needsSegment
        let isFull = segmentByteCount >= capacity / 16
        if entry.isKey && (!follows || isFull || entry.restartsDictionary) {
            return beginSegment(sequence, outbox)
        }
        guard follows, !entry.restartsDictionary else {
            framesSinceAttempt += 1
            if framesSinceAttempt >= Self.framesPerAttempt {
                framesSinceAttempt = 0
                outbox.requestKey()
            }
            return writer.noteDropped()
        }
        lastKept = sequence
        segmentByteCount += entry.byteCount
        writer.append(ring.records(of: sequence))
        if segmentByteCount >= capacity / 4 { outbox.requestKey() }
    }

    private func beginSegment(_ sequence: UInt64, _ outbox: Outbox) {
        guard let run else { return }
        let ring = outbox.ring
        scratch.removeAll(keepingCapacity: true)
        SpoolHead(runID: run.id, sequence: sequence, voids: ring.voids)
            .encode(magic: SpoolHead.segmentMagic, into: &scratch)
        ChainSelection(id: sequence, begins: true).encode(into: &scratch)
        ring.dictionary(at: sequence).encode(into: &scratch)
        scratch.append(contentsOf: ring.records(of: sequence, withSubjects: false))
        writer.begin(sequence, scratch)
        segments.append(sequence)
        segmentByteCount = scratch.count
        lastKept = sequence
        framesSinceAttempt = 0
    }

    /// Segments of which the ring has nothing any more.
    private func removeEvicted(_ ring: ResendRing) {
        while segments.count > 1, segments[1] <= ring.oldest {
            writer.remove(segments.removeFirst())
        }
    }

    /// Does what waits to be written, where there is no thread.
    func drain() { writer.drain() }

    /// The agent stops in order: the next process goes on where this one ended.
    func finish(_ outbox: Outbox, isThreaded: Bool = true) {
        guard let run else { return }
        let ring = outbox.ring
        var head = SpoolHead(runID: run.id, sequence: ring.next, voids: ring.voids)
        for (name, delivery) in zip(run.names, outbox.deliveries) {
            head.acknowledged[name] = delivery.acknowledged
        }
        var bytes: [UInt8] = []
        head.encode(magic: SpoolHead.endMagic, into: &bytes)
        writer.end(bytes)
        guard isThreaded else { return drain() }
        var waited: UInt32 = 0
        while !writer.isIdle, waited < Self.farewellMicroseconds {
            usleep(1_000)
            waited += 1_000
        }
        if !writer.isIdle {
            Diagnostics.error("--spool-dir: the disk takes too long; the last frames may be lost")
        }
    }
}
