import Glibc
import Wire

/// The files of a queue: segments of records, each with a file of notes which of them are done.
///
/// `0000000000000007.queue` is only ever appended to, by the process that made it; an earlier process's
/// segments are read and finished, so a record torn by a crash has nothing behind it. When all records
/// of a segment are done both files go, the records first: notes without records mean nothing, but
/// records without notes would be sent again.
struct QueueSegments {
    struct Location: Sendable, Equatable {
        var segment: UInt64
        var offset: Int
        var byteCount: Int
    }

    /// A record that an earlier process left.
    struct Found: Equatable {
        var location: Location
        var cycle: Int64
        var pointCount: Int
        var byteCount: Int { location.byteCount }
    }

    private struct Segment {
        var byteCount = 0
        var liveCount = 0
        var isDirty = false
    }

    private let files: any QueueFiles
    private let byteCountMax: Int
    private var segments: [UInt64: Segment] = [:]
    private var current: UInt64 = 1
    /// Records that could not be read when opening.
    private(set) var damagedCount = 0
    /// All segment files together.
    private(set) var byteCount = 0

    init(files: any QueueFiles, byteCountMax: Int) {
        self.files = files
        self.byteCountMax = byteCountMax
    }

    /// Reads what is there. Finished segments are removed.
    mutating func open() throws(QueueFileError) -> [Found] {
        let names = try files.list()
        let numbers = names.compactMap { Self.number($0, suffix: ".queue") }.sorted()
        var found: [Found] = []
        for number in numbers { found += try open(number) }
        for name in names {
            if let number = Self.number(name, suffix: ".done"), segments[number] == nil {
                try files.remove(name)
            }
        }
        current = (numbers.last ?? 0) + 1
        return found
    }

    private mutating func open(_ number: UInt64) throws(QueueFileError) -> [Found] {
        let bytes = try files.read(Self.queueName(number), at: 0, count: .max)
        let done = try readDone(number)
        var found: [Found] = []
        var segment = Segment(byteCount: bytes.count)
        var offset = 0
        while offset < bytes.count {
            guard let request = QueueRecord.decode(bytes, at: offset) else {
                damagedCount += 1
                offset = Self.nextRecord(in: bytes, after: offset)
                continue
            }
            let size = QueueRecord.headerByteCount + request.body.count
            if !done.contains(offset) {
                let location = Location(
                    segment: number, offset: offset, byteCount: size)
                found.append(
                    Found(
                        location: location, cycle: request.cycle, pointCount: request.pointCount))
            }
            offset += size
        }
        segment.liveCount = found.count
        segments[number] = segment
        byteCount += bytes.count
        if found.isEmpty { try discard(number) }
        return found
    }

    private func readDone(_ number: UInt64) throws(QueueFileError) -> Set<Int> {
        do throws(QueueFileError) {
            return QueueRecord.decodeDone(
                try files.read(Self.doneName(number), at: 0, count: .max))
        } catch {
            if error.errno == ENOENT { return [] }
            throw error
        }
    }

    /// Where the next sound record begins; the end if there is none.
    private static func nextRecord(in bytes: [UInt8], after damaged: Int) -> Int {
        var offset = damaged + 1
        while offset < bytes.count {
            if bytes[offset] == QueueRecord.magic[0], QueueRecord.decode(bytes, at: offset) != nil {
                return offset
            }
            offset += 1
        }
        return bytes.count
    }

    mutating func append(_ request: SinkRequest) throws(QueueFileError) -> Location {
        if let segment = segments[current], segment.byteCount >= byteCountMax { current += 1 }
        var segment = segments[current] ?? Segment()
        let head = QueueRecord.head(of: request)
        let byteCountOfRecord = head.count + request.body.count
        do throws(QueueFileError) {
            try files.append(head, request.body, to: Self.queueName(current))
        } catch {
            // What was written of it would lie before the next record: cut it off, or leave this
            // segment alone if even that fails.
            do throws(QueueFileError) {
                try files.truncate(Self.queueName(current), to: segment.byteCount)
            } catch {
                current += 1
            }
            throw error
        }
        let location = Location(
            segment: current, offset: segment.byteCount, byteCount: byteCountOfRecord)
        segment.byteCount += byteCountOfRecord
        segment.liveCount += 1
        segment.isDirty = true
        segments[current] = segment
        byteCount += byteCountOfRecord
        return location
    }

    /// The body of a record; `nil` when it is damaged.
    func read(_ location: Location) throws(QueueFileError) -> [UInt8]? {
        let bytes = try files.read(
            Self.queueName(location.segment), at: location.offset, count: location.byteCount)
        return QueueRecord.decode(bytes, at: 0)?.body
    }

    /// Notes that a record is done, and removes the segment with its last one.
    mutating func finish(_ location: Location) throws(QueueFileError) {
        guard var segment = segments[location.segment] else { return }
        segment.liveCount -= 1
        segments[location.segment] = segment
        if segment.liveCount == 0 {
            // Its pages were probably never written to the disk, and now need not be.
            try discard(location.segment)
            if location.segment == current { current += 1 }
        } else {
            try files.append(
                QueueRecord.encode(doneOffset: location.offset), to: Self.doneName(location.segment)
            )
            segments[location.segment]?.isDirty = true
        }
    }

    mutating func synchronize() throws(QueueFileError) {
        for (number, segment) in segments where segment.isDirty {
            try files.synchronize(Self.queueName(number))
            segments[number]?.isDirty = false
        }
    }

    private mutating func discard(_ number: UInt64) throws(QueueFileError) {
        byteCount -= segments.removeValue(forKey: number)?.byteCount ?? 0
        try files.remove(Self.queueName(number))
        try files.remove(Self.doneName(number))
    }

    private static func queueName(_ number: UInt64) -> String { "\(padded(number)).queue" }
    private static func doneName(_ number: UInt64) -> String { "\(padded(number)).done" }

    private static func padded(_ number: UInt64) -> String {
        let text = String(number, radix: 16)
        return String(repeating: "0", count: 16 - text.count) + text
    }

    private static func number(_ name: String, suffix: String) -> UInt64? {
        guard name.hasSuffix(suffix), name.count == 16 + suffix.count else { return nil }
        return UInt64(name.prefix(16), radix: 16)
    }
}
