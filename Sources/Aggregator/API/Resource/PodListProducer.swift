import Wire

/// A `PodMetricsList` as JSON, some pods at a time: the text of 150,000 is never in memory as a whole.
final class PodListProducer: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private let readings: PodReadings
    private var writer: PodListWriter

    private static let pieceBytes = 131_072
    /// Room for the list's begin and end.
    private static let frameBytes = 256

    /// - Parameter now: `creationTimestamp` of every object, milliseconds since the epoch.
    init(_ readings: PodReadings, now: Int64) {
        self.readings = readings
        writer = PodListWriter(now: now)
    }

    func produce(into piece: inout [UInt8]) -> Bool {
        // One look at what the runtime guards, not one for each byte.
        var writer = self.writer
        defer { self.writer = writer }
        let made = readings.order.texts.withTexts { text in
            let room = Self.pieceBytes + writer.bytesMaxOfNext(readings, text) + Self.frameBytes
            return [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
                var cursor = ByteCursor(UnsafeMutableRawBufferPointer(buffer))
                writer.write(readings, text, keeping: Self.frameBytes, to: &cursor)
                count = cursor.count
            }
        }
        if piece.isEmpty { piece = made } else { piece += made }
        return !writer.isOver
    }
}

/// How far a list is written.
private struct PodListWriter {
    private(set) var isOver = false
    private var next = 0
    private var isFirst = true
    private let creation: [UInt8]
    private var times = RecentTimes()

    init(now: Int64) {
        var text: [UInt8] = []
        RFC3339.append(milliseconds: now, to: &text)
        creation = text
    }

    func bytesMaxOfNext(_ readings: PodReadings, _ text: (PodTexts.Position) -> PodText) -> Int {
        next < readings.count ? Self.bytesMax(text(readings.entry(next).text)) : 0
    }

    /// At least what the pod's text takes: of a container two numbers of at most 21 bytes with
    /// suffixes, and what is between them.
    private static func bytesMax(_ text: PodText) -> Int {
        text.jsonByteCount + 160 + 80 * text.containerCount
    }

    /// Writes as many pods as fit.
    ///
    /// - Parameter kept: bytes that stay free for the list's end.
    mutating func write(
        _ readings: PodReadings, _ text: (PodTexts.Position) -> PodText, keeping kept: Int,
        to cursor: inout ByteCursor
    ) {
        if next == 0 {
            cursor.append(literal: #"{"kind":"PodMetricsList","apiVersion":""#)
            cursor.append(ResourceItemWriter.version)
            cursor.append(literal: #"","metadata":{},"items":["#)
        }
        let count = readings.count
        while next < count {
            let entry = readings.entry(next)
            let text = text(entry.text)
            guard cursor.count + Self.bytesMax(text) <= cursor.capacity - kept else { return }
            readings.prefetch(after: next)
            if let usages = readings.readings(of: entry) { write(text.json, usages, to: &cursor) }
            next += 1
        }
        cursor.append(literal: "]}\n")
        isOver = true
    }

    /// Nothing for a pod of which nothing was read.
    private mutating func write(
        _ text: PodText.Form, _ usages: UnsafePointer<UsageReading>, to cursor: inout ByteCursor
    ) {
        // Earliest time, longest window.
        var time = Int64.max
        var window: Int64 = 0
        for index in 0..<text.containerCount where usages[index].isThere {
            time = min(time, usages[index].time)
            window = max(window, usages[index].window)
        }
        guard window > 0 else { return }
        if !isFirst { cursor.append(UInt8(ascii: ",")) }
        isFirst = false
        cursor.append(text.head)
        cursor.append(creation)
        cursor.append(text.labels)
        // Kubernetes times are whole seconds.
        cursor.append(times.text(ofSecond: time / 1_000))
        cursor.append(literal: #"","window":""#)
        UsageText.append(milliseconds: window, to: &cursor)
        cursor.append(literal: #"","containers":["#)
        var isFirstContainer = true
        text.forEachContainer { index, head in
            let usage = usages[index]
            guard usage.isThere else { return }
            if !isFirstContainer { cursor.append(UInt8(ascii: ",")) }
            isFirstContainer = false
            cursor.append(head)
            UsageText.append(nanocores: usage.cpuNanocores, to: &cursor)
            cursor.append(literal: #"","memory":""#)
            UsageText.append(bytes: usage.memoryBytes, to: &cursor)
            cursor.append(literal: #""}}"#)
        }
        cursor.append(literal: "]}")
    }
}

/// Texts of the seconds that were asked for last: the pods of a list have few different ones.
private struct RecentTimes {
    private var seconds = InlineArray<16, Int64>(repeating: .min)
    private var texts = InlineArray<16, [UInt8]>(repeating: [])

    mutating func text(ofSecond second: Int64) -> [UInt8] {
        let place = Int(truncatingIfNeeded: second & 15)
        if seconds[place] != second {
            seconds[place] = second
            texts[place] = []
            RFC3339.append(milliseconds: second * 1_000, to: &texts[place])
        }
        return texts[place]
    }
}
