import Wire

/// Reads segments in order and hands out whole batches: what was committed together.
///
/// A batch that another attempt to write it follows is passed over, and so is the last one of the log
/// unless all of it is there: nothing of it was acknowledged, or its agents still have it. The next
/// batch to be written gets its number.
struct LogBatches {
    /// The records of one batch, one after the other, and what the numbers of nodes in them mean.
    struct Contents {
        let number: UInt64
        /// When it was closed, milliseconds since the epoch.
        let time: Int64
        let segment: UInt64
        fileprivate(set) var bytes: [UInt8] = []
        fileprivate var recordCount = 0
        fileprivate(set) var names: [UInt32: String] = [:]
        fileprivate var isEnded = false
        fileprivate var isWhole = true

        func visit(_ body: (LogRecord.View) -> Void) {
            bytes.withUnsafeBytes { LogRecord.visit(in: $0, body) }
        }

        fileprivate mutating func add(_ record: LogRecord.View) {
            record.append(to: &bytes)
            recordCount += 1
        }
    }

    private(set) var reader: LogReader
    /// Number of the last batch that was handed out, 0 for none.
    private(set) var lastNumber: UInt64 = 0
    /// Bytes of batches that were passed over.
    private(set) var unfinishedBytes = 0
    /// Has the names of its own segment once that was read.
    private var current: Contents?

    init(files: any LogFiles) {
        reader = LogReader(files: files)
    }

    /// - Parameter body: gets each batch, in the order in which they were committed.
    /// - Throws: when a segment cannot be read at all; those after it can still be asked for.
    mutating func read(
        _ segment: UInt64, _ body: (borrowing Contents) -> Void
    ) throws(LogFileError) {
        var names: [UInt32: String] = [:]
        var current = current
        var (last, unfinished) = (lastNumber, unfinishedBytes)
        defer {
            // A segment may hold nothing: its batch is then one of before.
            if current?.segment == segment { current?.names = names }
            self.current = current
            (lastNumber, unfinishedBytes) = (last, unfinished)
        }
        try reader.read(segment) { record in
            switch record.kind {
            case .batchBegin:
                guard let (number, time) = Self.mark(record.payload) else { return }
                if var batch = current {
                    if batch.number == number {
                        unfinished += batch.bytes.count
                    } else {
                        if batch.segment == segment { batch.names = names }
                        last = batch.number
                        body(batch)
                    }
                }
                current = Contents(number: number, time: time, segment: segment)
            case .batchEnd:
                guard let (number, count) = Self.mark(record.payload),
                    let found = current?.recordCount, number == current?.number
                else { return }
                current?.isEnded = true
                current?.isWhole = Int64(found) == count
            case .node:
                names[record.node] = String(decoding: record.payload, as: UTF8.self)
                if current?.isEnded == false { current?.add(record) }
            default: current?.add(record)
            }
        }
    }

    /// Hands out the last batch if all of it is there.
    mutating func finish(_ body: (borrowing Contents) -> Void) {
        guard let batch = current else { return }
        current = nil
        guard batch.isEnded, batch.isWhole else {
            unfinishedBytes += batch.bytes.count
            return
        }
        lastNumber = batch.number
        body(batch)
    }

    /// Hands out the last batch of what was read, unless the next segment has it again.
    mutating func finish(before next: UInt64?, _ body: (borrowing Contents) -> Void) {
        guard let next else { return finish(body) }
        guard let batch = current else { return }
        current = nil
        guard batch.number != next else {
            unfinishedBytes += batch.bytes.count
            return
        }
        lastNumber = batch.number
        body(batch)
    }

    /// Segments that are not there although some before and after them are.
    mutating func noteMissing(in segments: [UInt64]) { reader.noteMissing(in: segments) }

    /// A segment that cannot be read at all.
    mutating func note(_ error: LogFileError, _ segment: UInt64) { reader.note(error, segment) }

    /// The batch's number, and its time or its number of records.
    static func mark(_ payload: UnsafeRawBufferPointer) -> (UInt64, Int64)? {
        var reader = ByteReader(payload)
        do throws(WireError) {
            let number = try reader.varint()
            let rest = try reader.varint()
            return (number, Varint.unzigzag(rest))
        } catch {
            return nil
        }
    }
}
