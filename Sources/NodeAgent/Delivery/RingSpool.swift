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

/// The ring in a file, so that a restart of the agent loses nothing.
///
/// ```
/// "HWS1" | run ID, 16 bytes | next sequence, varint | aggregators: count, then each
///   name length, name, ranges: count, then first and last, varints
/// dictionary: byte length, varint; `subjects` records as of the oldest frame
/// frames: count, varint; oldest sequence, varint; then each
///   flags (1 key, 2 restarts the dictionary), step (signed varint), bytes of subjects, bytes of frame
///   (varints), the records
/// CRC-32C of everything before it, 4 bytes, little-endian
/// ```
/// Written when the agent stops: to a second file, synced and renamed, so that it is whole or not
/// there. Taken away when it is read: after a crash it would number new frames as old ones.
final class RingSpool {
    private let path: String
    private let lock: Int32

    /// What an earlier process left.
    struct Restored {
        let runID: [UInt8]
        let ring: ResendRing
        let acknowledged: [String: SequenceSet]
    }

    private static let magic = Array("HWS1".utf8)
    private static let keyFlag: UInt8 = 1
    private static let restartFlag: UInt8 = 2

    /// Takes the directory for this process.
    ///
    /// - Throws: when it cannot be written or another agent uses it.
    static func open(directory: String) throws(RingSpoolError) -> RingSpool {
        let lock = Glibc.open(directory + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw .cannotWrite(directory: directory, errno: errno) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw .inUse(directory: directory)
        }
        return RingSpool(path: directory + "/ring", lock: lock)
    }

    private init(path: String, lock: Int32) {
        self.path = path
        self.lock = lock
    }

    deinit { close(lock) }

    // MARK: Loading

    /// Takes what the last process left; `nil` where there is nothing or it is damaged, which is
    /// said.
    func take(capacity: Int) -> Restored? {
        guard access(path, F_OK) == 0 else { return nil }
        defer { unlink(path) }
        do throws(SmallFileError) {
            let bytes = try SmallFile.read(path, byteLimit: 8 << 30)
            do throws(WireError) {
                return try Self.decode(bytes, capacity: capacity)
            } catch {
                Diagnostics.warning("\(path) is damaged and not used: \(error)")
            }
        } catch {
            Diagnostics.warning("\(error); the frames in it are not used")
        }
        return nil
    }

    /// - Throws: `checksumMismatch`, `malformed`, `truncated`.
    static func decode(_ bytes: [UInt8], capacity: Int) throws(WireError) -> Restored {
        let decoded = bytes.withUnsafeBytes { raw -> Result<Restored, WireError> in
            do throws(WireError) {
                return .success(try decode(raw, capacity: capacity))
            } catch {
                return .failure(error)
            }
        }
        return try decoded.get()
    }

    private static func decode(
        _ raw: UnsafeRawBufferPointer, capacity: Int
    ) throws(WireError) -> Restored {
        guard raw.count >= magic.count + 20, raw.starts(with: magic) else {
            throw .malformed(what: "spool file", offset: 0)
        }
        let end = raw.count - 4
        let body = UnsafeRawBufferPointer(rebasing: raw[..<end])
        let expected = UInt32(
            littleEndian: raw.loadUnaligned(fromByteOffset: end, as: UInt32.self))
        let actual = CRC32C.checksum(body)
        guard actual == expected else {
            throw .checksumMismatch(expected: expected, actual: actual)
        }
        var reader = ByteReader(body, offset: magic.count)
        return try decode(&reader, capacity: capacity)
    }

    private static func decode(
        _ reader: inout ByteReader, capacity: Int
    ) throws(WireError) -> Restored {
        let runID = Array(try reader.take(16))
        let next = try reader.varint()
        var acknowledged: [String: SequenceSet] = [:]
        for _ in 0..<(try reader.count("aggregators", limit: 64)) {
            let length = try reader.count("name", limit: 1_024)
            let name = String(decoding: try reader.take(length), as: UTF8.self)
            var set = SequenceSet()
            for _ in 0..<(try reader.count("ranges", limit: 1 << 20)) {
                let (first, last) = (try reader.varint(), try reader.varint())
                guard first <= last else {
                    throw .malformed(what: "sequence range", offset: reader.offset)
                }
                set.insert(SequenceRange(first, last))
            }
            acknowledged[name] = set
        }
        let base = try reader.take(try reader.count("dictionary", limit: 1 << 30))
        let count = try reader.count("frames", limit: 1 << 30)
        let oldest = try reader.varint()
        guard oldest > 0, next >= oldest, next - oldest == UInt64(count) else {
            throw .malformed(what: "spooled frames", offset: reader.offset)
        }
        _ = try DictionarySnapshot(records: base)
        let ring = ResendRing(capacity: capacity, next: oldest, dictionary: base)
        for _ in 0..<count { try readFrame(&reader, into: ring) }
        guard reader.isAtEnd else { throw .malformed(what: "end", offset: reader.offset) }
        return Restored(runID: runID, ring: ring, acknowledged: acknowledged)
    }

    private static func readFrame(
        _ reader: inout ByteReader, into ring: ResendRing
    ) throws(WireError) {
        let flags = try reader.byte()
        let step = try reader.signedVarint()
        let subjectsByteCount = try reader.count("subjects bytes", limit: 1 << 30)
        let frameByteCount = try reader.count("frame bytes", limit: 1 << 30)
        let subjects = try reader.take(subjectsByteCount)
        _ = try DictionarySnapshot(records: subjects)
        let isKey = flags & keyFlag != 0
        let restartsDictionary = flags & restartFlag != 0
        guard isKey || !restartsDictionary else {
            throw .malformed(what: "spooled frame", offset: reader.offset)
        }
        // A smaller ring than the last process had keeps the newest.
        _ = ring.append(
            subjects: subjects, frame: try reader.take(frameByteCount), step: step, isKey: isKey,
            restartsDictionary: restartsDictionary)
    }

    // MARK: Saving

    /// Writes the file anew. A failure is said and leaves the old one.
    func save(_ outbox: Outbox, _ runID: [UInt8], names: [String]) {
        let bytes = Self.encode(outbox, runID, names: names)
        let temporary = path + ".new"
        let descriptor = Glibc.open(
            temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return complain(temporary) }
        defer { close(descriptor) }
        var written = 0
        while written < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + written }, bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return complain(temporary) }
            written += count
        }
        guard fsync(descriptor) == 0, rename(temporary, path) == 0 else { return complain(path) }
    }

    private func complain(_ path: String) {
        Diagnostics.error(
            "cannot write \(path): \(systemErrorText(errno)); frames are not kept on disk")
    }

    static func encode(_ outbox: Outbox, _ runID: [UInt8], names: [String]) -> [UInt8] {
        precondition(names.count == outbox.deliveries.count, "a name for each aggregator")
        let ring = outbox.ring
        var bytes = magic
        bytes.reserveCapacity(ring.byteCount + 65_536)
        bytes.append(contentsOf: runID)
        Varint.append(ring.next, to: &bytes)
        Varint.append(UInt64(names.count), to: &bytes)
        for (name, delivery) in zip(names, outbox.deliveries) {
            Varint.append(UInt64(name.utf8.count), to: &bytes)
            bytes.append(contentsOf: name.utf8)
            let ranges = delivery.acknowledged.ranges
            Varint.append(UInt64(ranges.count), to: &bytes)
            for range in ranges {
                Varint.append(range.first, to: &bytes)
                Varint.append(range.last, to: &bytes)
            }
        }
        var dictionary: [UInt8] = []
        if !ring.isEmpty { ring.dictionary(at: ring.oldest).encode(into: &dictionary) }
        Varint.append(UInt64(dictionary.count), to: &bytes)
        bytes.append(contentsOf: dictionary)
        Varint.append(UInt64(ring.frameCount), to: &bytes)
        Varint.append(ring.oldest, to: &bytes)
        for sequence in ring.oldest..<ring.next {
            guard let entry = ring.entry(sequence) else { continue }
            var flags: UInt8 = entry.isKey ? keyFlag : 0
            if entry.restartsDictionary { flags |= restartFlag }
            bytes.append(flags)
            Varint.append(signed: entry.step, to: &bytes)
            Varint.append(UInt64(entry.subjectsByteCount), to: &bytes)
            Varint.append(UInt64(entry.frameByteCount), to: &bytes)
            bytes.append(contentsOf: ring.records(of: sequence))
        }
        let sum = bytes.withUnsafeBytes { CRC32C.checksum($0) }
        for shift: UInt32 in [0, 8, 16, 24] {
            bytes.append(UInt8(truncatingIfNeeded: sum >> shift))
        }
        return bytes
    }
}
