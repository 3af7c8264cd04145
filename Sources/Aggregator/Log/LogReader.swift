import Wire

/// Reads segments from front to back and gets over damage: a torn end, flipped bits, a hole.
///
/// A record that does not hold together is passed over by searching for the next one that does, so
/// one bad record costs itself alone. What it was is counted, never guessed.
struct LogReader {
    /// What was found wrong, for people and `/metrics`.
    struct Damage: Equatable {
        let segment: String
        /// Where in the file.
        let offset: Int
        let byteCount: Int
        let reason: String
    }

    private let files: any LogFiles
    private(set) var damage: [Damage] = []
    /// Read at once; a record is at most twice as long.
    private let pieceBytes: Int

    init(files: any LogFiles, pieceBytes: Int = 4 << 20) {
        self.files = files
        self.pieceBytes = pieceBytes
    }

    /// Numbers of the segments that are there, oldest first.
    func segments() throws(LogFileError) -> [UInt64] {
        try files.list().compactMap { LogSegment.number($0) }.sorted()
    }

    /// How a segment begins.
    struct Front {
        /// Of its first batch.
        let number: UInt64
        /// When that was closed, milliseconds since the epoch.
        let time: Int64
        /// It can be understood without those before it.
        let beginsAnew: Bool
    }

    /// - Returns: `nil` where the front says nothing.
    func front(_ number: UInt64) throws(LogFileError) -> Front? {
        let name = LogSegment.name(number)
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = try fill(&buffer, name, at: 0, limit: buffer.count)
        return buffer[..<count].withUnsafeBytes { bytes -> Front? in
            guard count > LogSegment.header.count,
                case .record(let record) = LogRecord.parse(
                    UnsafeRawBufferPointer(rebasing: bytes[LogSegment.header.count...])),
                let (first, time) = LogBatches.mark(record.payload)
            else { return nil }
            switch record.kind {
            case .batchBegin: return Front(number: first, time: time, beginsAnew: true)
            case .continuation: return Front(number: first, time: time, beginsAnew: false)
            default: return nil
            }
        }
    }

    /// The last segment that began before a time and needs none before it, or the first of all.
    func segment(before time: Int64, in segments: [UInt64]) -> UInt64 {
        for segment in segments.reversed() {
            do throws(LogFileError) {
                if let front = try front(segment), front.beginsAnew, front.time <= time {
                    return segment
                }
            } catch {
                // Said when it is read in earnest.
                continue
            }
        }
        return segments.first ?? 0
    }

    /// A segment that cannot be read at all.
    mutating func note(_ error: LogFileError, _ number: UInt64) {
        note(LogSegment.name(number), 0, 0, error.description)
    }

    /// Calls `body` with each record of a segment.
    ///
    /// - Throws: only when the file cannot be read at all; damage inside is noted and passed over.
    mutating func read(
        _ number: UInt64, _ body: (LogRecord.View) -> Void
    ) throws(LogFileError) {
        try read(file: LogSegment.name(number), body)
    }

    /// The same for any file of records.
    mutating func read(
        file name: String, _ body: (LogRecord.View) -> Void
    ) throws(LogFileError) {
        let size = try files.size(name)
        let headerSize = LogSegment.header.count
        // Made, and then the power went.
        guard size > 0 else { return }
        var buffer = [UInt8](repeating: 0, count: min(pieceBytes, max(size, headerSize)))
        let headed = try fill(&buffer, name, at: 0, limit: headerSize)
        guard headed == headerSize, Array(buffer[..<headerSize]) == LogSegment.header else {
            note(name, 0, size, "it does not begin as a segment does")
            return
        }
        var offset = headerSize
        while offset < size {
            let count = try fill(&buffer, name, at: offset, limit: buffer.count)
            guard count > 0 else { break }
            let isLast = offset + count >= size
            let consumed = walk(buffer, count, name: name, at: offset, isLast: isLast, body)
            if consumed == 0 {
                if isLast { break }
                // A record longer than the buffer.
                buffer.append(contentsOf: [UInt8](repeating: 0, count: buffer.count))
            }
            offset += consumed
        }
    }

    /// Segments that are not there although some before and after them are.
    mutating func noteMissing(in segments: [UInt64]) {
        for (before, after) in zip(segments, segments.dropFirst()) where after - before > 1 {
            for number in before + 1..<min(after, before + 100) {
                note(LogSegment.name(number), 0, 0, "it is missing")
            }
        }
    }

    private func fill(
        _ buffer: inout [UInt8], _ name: String, at offset: Int, limit: Int
    ) throws(LogFileError) -> Int {
        var failure: LogFileError?
        let files = files
        let count = buffer.withUnsafeMutableBytes { bytes -> Int in
            do throws(LogFileError) {
                return try files.read(
                    name, at: offset, into: UnsafeMutableRawBufferPointer(rebasing: bytes[..<limit])
                )
            } catch {
                failure = error
                return 0
            }
        }
        if let failure { throw failure }
        return count
    }

    /// Hands out whole records; returns how many bytes are done with.
    private mutating func walk(
        _ buffer: [UInt8], _ count: Int, name: String, at origin: Int, isLast: Bool,
        _ body: (LogRecord.View) -> Void
    ) -> Int {
        var found: [Damage] = []
        let consumed = buffer.withUnsafeBytes { all -> Int in
            let bytes = UnsafeRawBufferPointer(rebasing: all[..<count])
            var position = 0
            while position < count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
                switch LogRecord.parse(rest) {
                case .record(let view):
                    body(view)
                    position += view.byteCount
                case .incomplete where !isLast: return position
                case .incomplete, .damaged:
                    guard let next = Self.nextRecord(bytes, after: position, isLast: isLast) else {
                        found.append(
                            Damage(
                                segment: name, offset: origin + position,
                                byteCount: count - position,
                                reason: isLast ? "it ends inside a record" : "a record is damaged"))
                        return count
                    }
                    found.append(
                        Damage(
                            segment: name, offset: origin + position, byteCount: next - position,
                            reason: "a record is damaged"))
                    position = next
                }
            }
            return position
        }
        damage.append(contentsOf: found)
        return consumed
    }

    /// The next offset at which a whole record holds together, or where one may begin that goes on
    /// behind the end.
    private static func nextRecord(
        _ bytes: UnsafeRawBufferPointer, after offset: Int, isLast: Bool
    ) -> Int? {
        for position in offset + 1..<max(offset + 1, bytes.count)
        where bytes[position] == LogRecord.magic {
            switch LogRecord.parse(UnsafeRawBufferPointer(rebasing: bytes[position...])) {
            case .record: return position
            case .incomplete where !isLast: return position
            case .incomplete, .damaged: continue
            }
        }
        return nil
    }

    private mutating func note(_ name: String, _ offset: Int, _ byteCount: Int, _ reason: String) {
        damage.append(Damage(segment: name, offset: offset, byteCount: byteCount, reason: reason))
    }
}
