import Synchronization
import Wire

/// Writes down who has gone, in files beside the segments, so that lists of the past need not read
/// the log. A file belongs to the segment of its number and is removed with it.
///
/// What a batch of the log makes go is on the disk before the batch is: a crash in between leaves a
/// departure of somebody who is there again, which lists do not notice.
final class DepartureLog: @unchecked Sendable {
    private let waiting = Mutex(Waiting())
    /// Used by the committing thread alone, as what follows.
    private let files: any LogFiles
    private var number: UInt64
    private var open: String?
    private let limited = LimitedDiagnostics(perMinute: 1)

    private struct Waiting {
        var departures: [Departure] = []
        var lostCount: UInt64 = 0
    }

    /// While the disk takes nothing, so many wait; more are given up.
    private static let waitingCountMax = 100_000

    /// - Parameter segment: number of the first segment that will be written.
    init(files: any LogFiles, firstSegment segment: UInt64) throws(LogFileError) {
        self.files = files
        let newest = try files.list().compactMap { LogSegment.number($0, .departures) }.max()
        number = max(segment, (newest ?? 0) + 1) - 1
    }

    /// Departures given up because the disk did not take them.
    var lostCount: UInt64 { waiting.withLock { $0.lostCount } }

    /// Any thread.
    func note(_ departures: [Departure]) {
        waiting.withLock { waiting in
            let room = Self.waitingCountMax - waiting.departures.count
            waiting.departures += departures.prefix(room)
            waiting.lostCount += UInt64(max(0, departures.count - room))
        }
    }

    /// Writes what was noted and syncs it. On the committing thread, before the batch is written that
    /// made them go; what cannot be written is tried again at the next call.
    ///
    /// - Parameter segment: number of the segment that is written.
    func commit(segment: UInt64) {
        let departures = waiting.withLock { waiting in
            defer { waiting.departures = [] }
            return waiting.departures
        }
        guard !departures.isEmpty else { return }
        do throws(LogFileError) {
            try write(departures, segment)
        } catch {
            close()
            note(departures)
            limited.warning("\(error); who has gone is written down later")
        }
    }

    private func write(_ departures: [Departure], _ segment: UInt64) throws(LogFileError) {
        var bytes: [UInt8] = []
        if segment > number { close() }
        if open == nil {
            number = max(number + 1, segment)
            let name = LogSegment.name(number, .departures)
            try files.create(name)
            open = name
            bytes += LogSegment.header
        }
        guard let open else { return }
        for departure in departures {
            LogRecord.append(.departure, to: &bytes) { departure.encode(into: &$0) }
        }
        try files.append(open, bytes)
        try files.sync(open)
    }

    private func close() {
        if let open { files.close(open) }
        open = nil
    }

    /// Removes the files of segments that are not there any more.
    ///
    /// - Parameter oldest: number of the oldest segment that is.
    static func removeFiles(
        before oldest: UInt64, _ files: any LogFiles
    ) throws(LogFileError) {
        for name in try files.list() {
            guard let number = LogSegment.number(name, .departures), number < oldest else {
                continue
            }
            try files.remove(name)
        }
    }
}
