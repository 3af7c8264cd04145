import Wire

/// Removes segments that are too old or too much, whole and oldest first. Used by the committing
/// thread alone.
final class LogRetention {
    struct Statistics: Sendable, Equatable {
        var segments = 0
        var bytes = 0
        /// When the oldest segment began, milliseconds since the epoch; 0 without one.
        var oldestTime: Int64 = 0
        var removedSegments: UInt64 = 0
    }

    private let files: any LogFiles
    private let configuration: LogConfiguration
    /// When segments began, as far as it was looked up.
    private var times: [UInt64: Int64] = [:]
    private(set) var statistics = Statistics()

    init(files: any LogFiles, configuration: LogConfiguration) {
        self.files = files
        self.configuration = configuration
    }

    /// - Parameter now: milliseconds since the epoch.
    /// - Throws: when the folder cannot be read or a file not be removed.
    func apply(now: Int64) throws(LogFileError) {
        let reader = LogReader(files: files)
        var segments = try reader.segments()
        var sizes: [UInt64: Int] = [:]
        for segment in segments {
            sizes[segment] = try files.size(LogSegment.name(segment))
            if times[segment] == nil { times[segment] = try reader.front(segment)?.time }
        }
        var bytes = sizes.values.reduce(0, +)
        // A segment ends where the next begins; the last one is being written.
        while segments.count > 1, let first = segments.first {
            let end = times[segments[1]] ?? .max
            let isOld = end < now &- configuration.retention
            guard isOld || bytes > configuration.retentionBytes else { break }
            try files.remove(LogSegment.name(first))
            bytes -= sizes[first] ?? 0
            times[first] = nil
            segments.removeFirst()
            statistics.removedSegments += 1
        }
        if let oldest = segments.first {
            try DepartureLog.removeFiles(before: oldest, files)
        }
        statistics.segments = segments.count
        statistics.bytes = bytes
        statistics.oldestTime = segments.first.flatMap { times[$0] } ?? 0
    }
}
