import Wire

/// Requests that wait for one backend: bounded, on disk where there is a directory, and none leaves
/// before the backend took it.
///
/// ```
///  append ──> waiting ──lease──> leased ──accept──> gone
///               ^                  │
///               └─────release──────┘
/// ```
/// With files, a request is written before `append` returns, so it survives the process; and its end
/// is written by `accept`, after the backend's yes. A crash between the two sends it once more. The
/// bodies of the next requests are kept in memory too, so that a healthy backend's are never read
/// back. Pure but for the files. Not thread-safe: the runner has a lock.
struct SinkQueue {
    struct Limits: Sendable, Equatable {
        /// Everything that waits. When it is reached the oldest request is dropped and counted.
        var byteCountMax = 1 << 30
        /// Bodies in memory.
        var memoryByteCountMax = 64 << 20
        /// A segment file is closed when it reaches this.
        var segmentByteCountMax = 8 << 20
    }

    /// What was lost or went wrong, since the start.
    struct Counters: Sendable, Equatable {
        /// Requests dropped because the queue was full.
        var droppedRequests = 0
        var droppedPoints = 0
        /// Damaged records found when reading.
        var damagedRecords = 0
        /// File operations that failed; the request then waits in memory.
        var fileErrors = 0
    }

    struct Lease: Sendable, Equatable {
        let id: UInt64
        let request: SinkRequest
    }

    private struct Entry {
        var cycle: Int64
        var pointCount: Int
        var byteCount: Int
        /// `nil` while it is on disk only.
        var body: [UInt8]?
        /// `nil` while it is in memory only.
        var location: QueueSegments.Location?
        var isLeased = false
    }

    private(set) var counters = Counters()
    /// The last failure of a file, in words.
    private(set) var lastFileError: String?
    private let limits: Limits
    private let order: DeliveryOrder
    private var segments: QueueSegments?
    private var entries: [UInt64: Entry] = [:]
    /// Entries that nobody has leased, ascending; those before `waitingStart` are taken.
    private var waiting: [UInt64] = []
    private var waitingStart = 0
    private var nextID: UInt64 = 1
    private(set) var byteCount = 0
    private var memoryByteCount = 0

    /// Opens what an earlier process left behind.
    ///
    /// - Parameter files: `nil` keeps everything in memory.
    /// - Throws: when the directory cannot be listed. Damaged files are not an error but counted.
    init(limits: Limits, order: DeliveryOrder, files: (any QueueFiles)?) throws(QueueFileError) {
        self.limits = limits
        self.order = order
        guard let files else { return }
        var opened = QueueSegments(files: files, byteCountMax: limits.segmentByteCountMax)
        let found = try opened.open()
        counters.damagedRecords = opened.damagedCount
        segments = opened
        for record in found {
            entries[nextID] = Entry(
                cycle: record.cycle, pointCount: record.pointCount, byteCount: record.byteCount,
                body: nil, location: record.location)
            waiting.append(nextID)
            byteCount += record.byteCount
            nextID += 1
        }
    }

    var requestCount: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty }

    /// The cycle of the oldest request in the queue.
    var oldestCycle: Int64? { entries.values.lazy.map(\.cycle).min() }

    /// The cycles of everything in the queue.
    var cycles: Set<Int64> { Set(entries.values.lazy.map(\.cycle)) }

    /// Forgets what waits of cycles that another process has delivered. Not counted as dropped.
    mutating func forget(where isUnwanted: (Int64) -> Bool) {
        for id in waiting[waitingStart...].filter({
            entries[$0].map { isUnwanted($0.cycle) } ?? false
        }) {
            removeWaiting(id)
            remove(id)
        }
    }

    // MARK: In

    mutating func append(_ request: SinkRequest) {
        let size = QueueRecord.headerByteCount + request.body.count
        var entry = Entry(
            cycle: request.cycle, pointCount: request.pointCount, byteCount: size, body: nil,
            location: nil)
        makeRoom(for: size)
        if segments != nil {
            entry.location = withSegments { segments throws(QueueFileError) in
                try segments.append(request)
            }
        }
        let id = nextID
        nextID += 1
        byteCount += size
        let keepsBody = entry.location == nil || admitsToMemory(size)
        if keepsBody {
            entry.body = request.body
            memoryByteCount += size
        }
        entries[id] = entry
        waiting.append(id)
        if entry.location == nil { boundMemoryOnly() }
    }

    /// Drops the oldest until the queue's limit holds with `size` more bytes.
    private mutating func makeRoom(for size: Int) {
        while max(byteCount, segments?.byteCount ?? 0) + size > limits.byteCountMax,
            waitingStart < waiting.count
        {
            dropOldest(waiting[waitingStart])
        }
    }

    /// Without a disk, or while it is full, memory is the limit.
    private mutating func boundMemoryOnly() {
        while memoryByteCount > limits.memoryByteCountMax {
            guard let id = waiting[waitingStart...].first(where: { entries[$0]?.body != nil })
            else { return }
            if entries[id]?.location != nil { forgetBody(id) } else { dropOldest(id) }
        }
    }

    private mutating func dropOldest(_ id: UInt64) {
        counters.droppedRequests += 1
        counters.droppedPoints += entries[id]?.pointCount ?? 0
        removeWaiting(id)
        remove(id)
    }

    /// Whether a body that is on disk is kept in memory as well; for the freshest, an older one
    /// gives way.
    private mutating func admitsToMemory(_ size: Int) -> Bool {
        guard size <= limits.memoryByteCountMax else { return false }
        if order == .freshestFirst {
            while memoryByteCount + size > limits.memoryByteCountMax {
                guard
                    let id = waiting[waitingStart...].first(where: {
                        entries[$0]?.body != nil && entries[$0]?.location != nil
                    })
                else { return false }
                forgetBody(id)
            }
        }
        return memoryByteCount + size <= limits.memoryByteCountMax
    }

    private mutating func forgetBody(_ id: UInt64) {
        guard let entry = entries[id], entry.body != nil else { return }
        entries[id]?.body = nil
        memoryByteCount -= entry.byteCount
    }

    // MARK: Out

    /// The next request to send, which is then nobody else's; `nil` when none waits.
    mutating func lease() -> Lease? {
        while waitingStart < waiting.count {
            let id = order == .freshestFirst ? waiting[waiting.count - 1] : waiting[waitingStart]
            removeWaiting(id)
            guard let entry = entries[id] else { preconditionFailure("entry \(id) is gone") }
            if let body = entry.body ?? readBody(of: entry) {
                entries[id]?.isLeased = true
                return Lease(
                    id: id,
                    request: SinkRequest(
                        cycle: entry.cycle, pointCount: entry.pointCount, body: body))
            }
            counters.damagedRecords += 1
            remove(id)
        }
        return nil
    }

    private mutating func readBody(of entry: Entry) -> [UInt8]? {
        guard let location = entry.location else { return nil }
        return withSegments { segments throws(QueueFileError) in try segments.read(location) }
            .flatMap { $0 }
    }

    /// The backend has it, or never will: forget it.
    mutating func accept(_ id: UInt64) {
        precondition(entries[id]?.isLeased == true, "request \(id) is not leased")
        remove(id)
    }

    /// It did not arrive: it waits again, in its old place. What is left of it replaces it; on disk
    /// the whole stays, and is sent again after a crash.
    mutating func release(_ id: UInt64, remaining: SinkRequest? = nil) {
        precondition(entries[id]?.isLeased == true, "request \(id) is not leased")
        entries[id]?.isLeased = false
        if let remaining, var entry = entries[id] {
            if entry.body == nil { memoryByteCount += entry.byteCount }
            entry.body = remaining.body
            entry.pointCount = remaining.pointCount
            entries[id] = entry
        }
        var index = waiting.count
        while index > waitingStart, waiting[index - 1] > id { index -= 1 }
        if index == waitingStart, waitingStart > 0 {
            waitingStart -= 1
            waiting[waitingStart] = id
        } else {
            waiting.insert(id, at: index)
        }
    }

    private mutating func remove(_ id: UInt64) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        byteCount -= entry.byteCount
        if entry.body != nil { memoryByteCount -= entry.byteCount }
        guard let location = entry.location else { return }
        _ = withSegments { segments throws(QueueFileError) in try segments.finish(location) }
    }

    private mutating func removeWaiting(_ id: UInt64) {
        if waiting[waitingStart] == id {
            waitingStart += 1
            if waitingStart > 1_024, waitingStart > waiting.count / 2 {
                waiting.removeSubrange(..<waitingStart)
                waitingStart = 0
            }
        } else if waiting[waiting.count - 1] == id {
            waiting.removeLast()
        } else if let index = waiting[waitingStart...].firstIndex(of: id) {
            waiting.remove(at: index)
        }
        if waitingStart == waiting.count {
            waiting.removeAll(keepingCapacity: true)
            waitingStart = 0
        }
    }

    // MARK: Files

    /// Makes what waits survive a power cut. The runner calls it when something waits longer than a
    /// moment: what a healthy backend takes at once needs no such effort.
    mutating func synchronize() {
        _ = withSegments { segments throws(QueueFileError) in try segments.synchronize() }
    }

    private mutating func withSegments<Value>(
        _ body: (inout QueueSegments) throws(QueueFileError) -> Value
    ) -> Value? {
        guard var opened = segments.take() else { return nil }
        defer { segments = opened }
        do throws(QueueFileError) {
            return try body(&opened)
        } catch {
            counters.fileErrors += 1
            lastFileError = error.description
            return nil
        }
    }
}
