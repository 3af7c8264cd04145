import Glibc
import Wire

/// Reads a stretch of the log that is older than what is in memory, into a model of its own.
///
/// Each question reads the files of that time from front to back: about a second for a gigabyte. From
/// any thread; one question at a time.
struct LogArchive: Sendable {
    /// What is read.
    struct Stretch {
        /// Steps from here on, milliseconds since the epoch.
        let start: Int64
        let end: Int64
    }

    enum Failure: Error, Equatable {
        /// So many bytes of the log, or of the nodes' frames, would be read.
        case tooLong(byteCount: Int, limit: Int)
        case unreadable(LogFileError)
    }

    /// What was found: the nodes and sums that were wanted, and who was who.
    struct Contents {
        let cluster: Cluster
        let directory: PodDirectory
        /// Places in the files that could not be read.
        let damageCount: Int
    }

    let folder: String
    let configuration: ModelConfiguration
    /// Bytes of files that one question may read.
    var byteCountMax = 8 << 30
    /// Bytes of frames that one question may hold.
    var heldByteCountMax = 256 << 20
    /// Bytes of the files that say who has gone.
    var departureByteCountMax = 256 << 20
    private let turn = Lock()

    init(folder: String, configuration: ModelConfiguration) {
        self.folder = folder
        self.configuration = configuration
    }

    /// When the oldest batch was closed, milliseconds since the epoch; `nil` without any.
    var oldestTime: Int64? {
        do throws(LogFileError) {
            let reader = LogReader(files: try DiskLogFiles(folder: folder))
            for segment in try reader.segments() {
                if let front = try reader.front(segment) { return front.time }
            }
        } catch {
            Diagnostics.warning("\(error); older history is not there")
        }
        return nil
    }

    /// Who has gone since the oldest batch, in the order in which it was noticed.
    func departures() throws(Failure) -> [Departure] {
        guard let oldest = oldestTime else { return [] }
        var byteCount = 0
        do throws(LogFileError) {
            let files = try DiskLogFiles(folder: folder)
            let names = try files.list().filter { LogSegment.number($0, .departures) != nil }
            for name in names {
                byteCount +=
                    try Self.present { () throws(LogFileError) in
                        try files.size(name)
                    } ?? 0
            }
            if byteCount <= departureByteCountMax {
                return try departures(in: names.sorted(), files).filter { $0.time >= oldest }
            }
        } catch {
            throw .unreadable(error)
        }
        throw .tooLong(byteCount: byteCount, limit: departureByteCountMax)
    }

    private func departures(
        in names: [String], _ files: any LogFiles
    ) throws(LogFileError) -> [Departure] {
        var found: [Departure] = []
        var damageCount = 0
        var reader = LogReader(files: files)
        for name in names {
            try Self.present { () throws(LogFileError) in
                try reader.read(file: name) { record in
                    do throws(WireError) {
                        found.append(try Departure(decoding: record.payload))
                    } catch {
                        damageCount += 1
                    }
                }
            }
        }
        damageCount += reader.damage.count
        if damageCount > 0 {
            Diagnostics.warning(
                "\(folder): \(damageCount) places in the lists of who has gone cannot be read")
        }
        return found
    }

    /// - Returns: `nil` for a file that was removed with its segment meanwhile.
    @discardableResult
    private static func present<Value>(
        _ body: () throws(LogFileError) -> Value
    ) throws(LogFileError) -> Value? {
        do throws(LogFileError) { return try body() } catch {
            guard error.errno == ENOENT else { throw error }
            return nil
        }
    }

    /// Frames that an outage delayed are in the log later than their steps: so much later is looked.
    private static let lateness: Int64 = 15 * 60_000

    /// The names of that time: every pod that was there has its own.
    func directory(_ stretch: Stretch) throws(Failure) -> PodDirectory {
        try read(stretch, nodes: [], sums: false).directory
    }

    /// Reads what these nodes brought.
    ///
    /// - Parameters:
    ///   - nodes: `nil` for all.
    ///   - sums: whether the roll-ups are wanted.
    func read(
        _ stretch: Stretch, nodes: Set<String>?, sums: Bool
    ) throws(Failure) -> Contents {
        try turn.withLock { () throws(Failure) in
            let result: Result<Contents, Failure>
            do throws(LogFileError) {
                result = try readInTurn(stretch, nodes, sums)
            } catch {
                throw .unreadable(error)
            }
            return try result.get()
        }
    }

    private func readInTurn(
        _ stretch: Stretch, _ wanted: Set<String>?, _ sums: Bool
    ) throws(LogFileError) -> Result<Contents, Failure> {
        let files = try DiskLogFiles(folder: folder)
        var batches = LogBatches(files: files)
        let all = try batches.reader.segments()
        // A reading before the first makes its rate.
        let horizon = stretch.start &- 2 &* configuration.resolution
        let last = stretch.end.addingReportingOverflow(Self.lateness)
        let until = last.overflow ? Int64.max : last.partialValue
        let first = batches.reader.segment(before: horizon, in: all)
        var segments: [UInt64] = []
        var byteCount = 0
        for segment in all where segment >= first {
            if let front = try batches.reader.front(segment), front.time > until { break }
            segments.append(segment)
            byteCount += try files.size(LogSegment.name(segment))
        }
        guard byteCount <= byteCountMax else {
            return .failure(.tooLong(byteCount: byteCount, limit: byteCountMax))
        }
        let directory = PodDirectory(window: 1 << 60)
        let cluster = Cluster(configuration: window(stretch), facts: directory)
        let taker = Taker(cluster, directory, nodes: wanted, sums: sums, horizon: horizon)
        for segment in segments {
            try batches.read(segment) { taker.take($0, until: until) }
            guard taker.heldByteCount <= heldByteCountMax else {
                return .failure(
                    .tooLong(byteCount: taker.heldByteCount, limit: heldByteCountMax))
            }
        }
        batches.finish { taker.take($0, until: until) }
        taker.finish()
        return .success(
            Contents(
                cluster: cluster, directory: directory,
                damageCount: batches.reader.damage.count + taker.lossCount))
    }

    /// Nothing of the stretch is too old for the model that it is read into.
    private func window(_ stretch: Stretch) -> ModelConfiguration {
        var configuration = configuration
        configuration.window = max(
            configuration.window, min(stretch.end &- stretch.start, 1 << 40) + 2 * Self.lateness)
        return configuration
    }

    /// Collects the records of the nodes that are wanted.
    private final class Taker {
        private let cluster: Cluster
        private let directory: PodDirectory
        /// `nil` for all.
        private let nodes: Set<String>?
        private let sums: Bool
        private let horizon: Int64
        private var restorers: [String: NodeRestorer] = [:]
        private var decoder = MetadataDecoder()
        private var cycles = RestoredCycles()
        private(set) var heldByteCount = 0
        private(set) var lossCount = 0

        init(
            _ cluster: Cluster, _ directory: PodDirectory, nodes: Set<String>?, sums: Bool,
            horizon: Int64
        ) {
            self.cluster = cluster
            self.directory = directory
            self.nodes = nodes
            self.sums = sums
            self.horizon = horizon
        }

        func take(_ batch: borrowing LogBatches.Contents, until: Int64) {
            guard batch.time <= until else { return }
            let nodeNames = batch.names
            batch.visit { record in
                switch record.kind {
                case .metadata: takeNames(record.payload)
                case .cycle, .cyclePart: if sums { takeSums(record) }
                case .node, .batchBegin, .batchEnd, .continuation, .departure: break
                case .chain, .subjects, .frame, .gap, .nodeState, .chainState, .facts:
                    guard let name = nodeNames[record.node] else {
                        lossCount += 1
                        return
                    }
                    guard nodes?.contains(name) ?? true, let restorer = restorer(name) else {
                        return
                    }
                    restorer.hold(record)
                    heldByteCount += record.byteCount
                }
            }
        }

        private func restorer(_ name: String) -> NodeRestorer? {
            if let known = restorers[name] { return known }
            guard let node = cluster.restoredNode(named: name) else { return nil }
            let restorer = NodeRestorer(node, horizon: horizon)
            restorers[name] = restorer
            return restorer
        }

        /// Also who is not in the next snapshot of the directory any more.
        private func takeNames(_ payload: UnsafeRawBufferPointer) {
            do throws(WireError) {
                try directory.restore(payload, &decoder)
            } catch {
                lossCount += 1
            }
        }

        private func takeSums(_ record: LogRecord.View) {
            do throws(WireError) {
                try cycles.take(record)
            } catch {
                lossCount += 1
            }
        }

        func finish() {
            cycles.restore(cluster.rollUps)
            for restorer in restorers.values {
                restorer.finish()
                lossCount += restorer.losses.frames + restorer.losses.records
            }
        }
    }
}
