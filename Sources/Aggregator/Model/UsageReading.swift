import Wire

/// CPU and working set of a subject in the newest cycle, as lists of pods want them.
struct UsageReading: BitwiseCopyable {
    /// Billionths of a core.
    var cpuNanocores: Int64
    /// The working set.
    var memoryBytes: Int64
    /// When it was read, milliseconds since the epoch.
    var time: Int64
    /// Milliseconds over which the CPU was measured; 0 where there is nothing.
    var window: Int64

    /// While there is no rate.
    static let none = UsageReading(cpuNanocores: 0, memoryBytes: 0, time: 0, window: 0)

    var isThere: Bool { window > 0 }
}

/// Where a subject's figures are in the rows of its node.
struct UsagePlace: BitwiseCopyable {
    let slot: Slot
    /// Of the working set in the subject's row.
    let memoryColumn: Int32
}

/// Readings side by side.
final class UsageTable: @unchecked Sendable {
    // Written by who makes it, before others see it.
    let readings: UnsafeMutableBufferPointer<UsageReading>

    /// All `.none`.
    init(count: Int) {
        readings = .allocate(capacity: count)
        readings.initialize(repeating: .none)
    }

    deinit { readings.deallocate() }
}

/// A node's readings as a list of pods wants them, side by side: kept with each frame, while all of it
/// is in the cache, as long as somebody asks. Used under the node's lock.
final class UsageWatch {
    /// What holds the places.
    fileprivate let owner: AnyObject
    fileprivate let places: UnsafeBufferPointer<UsagePlace>
    fileprivate let table: UsageTable
    /// Of the frame that the readings are of.
    fileprivate var sequence: UInt64 = 0
    /// Until nobody asks any more.
    private var framesLeft = 0

    /// Frames without a question after which nothing is kept any more.
    private static let framesMax = 90

    fileprivate init(_ places: UnsafeBufferPointer<UsagePlace>, of owner: AnyObject) {
        self.owner = owner
        self.places = places
        table = UsageTable(count: places.count)
    }

    fileprivate func wasAsked() { framesLeft = Self.framesMax }

    /// Takes the readings of the newest frame. False when that is no longer worth it.
    fileprivate func follow(_ rows: LiveRows, sequence: UInt64) -> Bool {
        framesLeft -= 1
        guard framesLeft > 0, let base = table.readings.baseAddress else { return false }
        rows.readEach(places, into: base)
        self.sequence = sequence
        return true
    }
}

extension OpenChain {
    /// After a frame: keeps what lists of pods ask for.
    func followUsage() {
        guard let usageWatch, let header = decoder.header, !decoder.isStale else { return }
        if !usageWatch.follow(LiveRows(self, header), sequence: header.sequence) {
            self.usageWatch = nil
        }
    }

    /// Readings of the newest frame, and from now on kept.
    fileprivate func watch(
        _ places: UnsafeBufferPointer<UsagePlace>, of owner: AnyObject, _ rows: LiveRows
    ) -> UsageTable? {
        guard let header = decoder.header else { return nil }
        if let usageWatch, usageWatch.owner === owner, usageWatch.sequence == header.sequence {
            usageWatch.wasAsked()
            return usageWatch.table
        }
        let made = UsageWatch(places, of: owner)
        made.wasAsked()
        guard made.follow(rows, sequence: header.sequence) else { return nil }
        usageWatch = made
        return made.table
    }
}

extension LiveRows {
    /// Reads subjects of the node; no reference is counted for each.
    ///
    /// - Parameters:
    ///   - owner: holds the places, and has others when the layout is another.
    ///   - range: which of the places. When it is all of them, the readings of the next frames are
    ///     kept for the next question.
    ///   - readings: room for as many as there are places.
    func read(
        _ places: UnsafeBufferPointer<UsagePlace>, of owner: AnyObject, _ range: Range<Int>,
        into readings: UnsafeMutablePointer<UsageReading>
    ) {
        guard range.count == places.count, let table = watched(places, of: owner),
            let source = table.readings.baseAddress
        else {
            let places = UnsafeBufferPointer(rebasing: places[range])
            return readEach(places, into: readings + range.lowerBound)
        }
        readings.update(from: source, count: places.count)
    }

    private func watched(
        _ places: UnsafeBufferPointer<UsagePlace>, of owner: AnyObject
    ) -> UsageTable? { chain?.watch(places, of: owner, self) }

    fileprivate func readEach(
        _ places: UnsafeBufferPointer<UsagePlace>,
        into readings: UnsafeMutablePointer<UsageReading>
    ) {
        for (index, place) in places.enumerated() {
            guard let cpu = cpu(place.slot), let row = row(place.slot) else {
                readings[index] = .none
                continue
            }
            readings[index] = UsageReading(
                cpuNanocores: cpu.nanocores, memoryBytes: row[Int(place.memoryColumn)],
                time: cpu.time, window: cpu.window)
        }
    }
}
