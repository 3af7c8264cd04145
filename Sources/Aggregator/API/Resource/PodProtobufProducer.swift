import Wire

/// A `PodMetricsList` as Protocol Buffers, some pods at a time. Lengths come before what they are of,
/// so each pod is measured first and written later, from the same readings and the same texts.
final class PodProtobufProducer: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private let readings: PodReadings
    private let writer: PodProtobufWriter
    /// Of each pod's `PodMetrics`; 0 where nothing was read.
    private let byteCounts: [UInt32]
    private var next = 0

    private static let pieceBytes = 131_072

    /// - Parameter now: `creationTimestamp` of every object, milliseconds since the epoch.
    init(_ readings: PodReadings, now: Int64) {
        self.readings = readings
        let writer = PodProtobufWriter(now: now)
        self.writer = writer
        byteCounts = readings.order.texts.withTexts { text in
            (0..<readings.count).map { index in
                readings.prefetch(after: index)
                let entry = readings.entry(index)
                guard let usages = readings.readings(of: entry) else { return 0 }
                return UInt32(writer.byteCount(text(entry.text).protobuf, usages))
            }
        }
    }

    func produce(into piece: inout [UInt8]) -> Bool {
        if next == 0 { begin(&piece) }
        let first = next
        var byteCount = 0
        while next < byteCounts.count, byteCount < Self.pieceBytes {
            byteCount += fieldByteCount(byteCounts[next])
            next += 1
        }
        let range = first..<next
        let made = readings.order.texts.withTexts { text in
            [UInt8](unsafeUninitializedCapacity: byteCount + Protobuf.roomForDigits) {
                buffer, count in
                var cursor = ByteCursor(UnsafeMutableRawBufferPointer(buffer))
                write(range, text, to: &cursor)
                count = cursor.count
            }
        }
        precondition(made.count == byteCount, "pods \(range) were measured wrongly")
        if piece.isEmpty { piece = made } else { piece += made }
        return next < byteCounts.count
    }

    private func fieldByteCount(_ content: UInt32) -> Int {
        content == 0 ? 0 : Protobuf.byteCount(ofField: Int(content))
    }

    private func write(
        _ range: Range<Int>, _ text: (PodTexts.Position) -> PodText, to cursor: inout ByteCursor
    ) {
        for index in range where byteCounts[index] > 0 {
            readings.prefetch(after: index)
            let entry = readings.entry(index)
            guard let usages = readings.readings(of: entry) else { continue }
            Protobuf.append(header: 2, byteCount: Int(byteCounts[index]), to: &cursor)
            writer.write(text(entry.text).protobuf, usages, to: &cursor)
        }
    }

    /// Envelope and `ListMeta`.
    private func begin(_ piece: inout [UInt8]) {
        var list: [UInt8] = []
        KubernetesProtobuf.appendListMeta(to: &list)
        let byteCount = byteCounts.reduce(list.count) { $0 + fieldByteCount($1) }
        piece += KubernetesProtobuf.envelopeHead(
            apiVersion: ResourceItemWriter.version, kind: "PodMetricsList", byteCount: byteCount)
        piece += list
    }
}

/// A `PodMetrics` object: `k8s.io/metrics/pkg/apis/metrics/v1beta1/generated.proto`.
private struct PodProtobufWriter {
    /// `creationTimestamp` with its tag.
    private let creation: [UInt8]

    init(now: Int64) {
        var bytes: [UInt8] = []
        KubernetesProtobuf.append(8, time: now, to: &bytes)
        creation = bytes
    }

    // MARK: Measuring

    /// 0 where nothing was read.
    func byteCount(_ text: PodText.Form, _ usages: UnsafePointer<UsageReading>) -> Int {
        guard let total = Self.total(text, usages) else { return 0 }
        var sum = Protobuf.byteCount(ofField: metadataByteCount(text))
        sum += 2 + Self.byteCount(time: total.time) + 2 + Self.byteCount(window: total.window)
        text.forEachContainer { index, name in
            guard usages[index].isThere else { return }
            sum += Protobuf.byteCount(ofField: Self.byteCount(name, usages[index]))
        }
        return sum
    }

    private func metadataByteCount(_ text: PodText.Form) -> Int {
        text.head.count + creation.count + text.labels.count
    }

    /// Seconds, and no nanoseconds.
    private static func byteCount(time: Int64) -> Int {
        3 + Protobuf.varintByteCount(KubernetesProtobuf.seconds(time))
    }

    private static func byteCount(window: Int64) -> Int {
        1 + Protobuf.varintByteCount(KubernetesProtobuf.nanoseconds(window))
    }

    private static func byteCount(_ name: UnsafeRawBufferPointer, _ usage: UsageReading) -> Int {
        var cpu = ByteCounter()
        UsageText.append(nanocores: usage.cpuNanocores, to: &cpu)
        var memory = ByteCounter()
        UsageText.append(bytes: usage.memoryBytes, to: &memory)
        return name.count + 2 + entryByteCount("cpu", cpu.count) + 2
            + entryByteCount("memory", memory.count)
    }

    /// An entry of the map of quantities: key, and a `Quantity`, which is its text. Always below 128, so
    /// each length is one byte.
    private static func entryByteCount(_ key: StaticString, _ text: Int) -> Int {
        2 + key.utf8CodeUnitCount + 2 + 2 + text
    }

    // MARK: Writing

    func write(
        _ text: PodText.Form, _ usages: UnsafePointer<UsageReading>, to cursor: inout ByteCursor
    ) {
        guard let total = Self.total(text, usages) else { return }
        Protobuf.append(header: 1, byteCount: metadataByteCount(text), to: &cursor)
        cursor.append(text.head)
        cursor.append(creation)
        cursor.append(text.labels)
        Protobuf.append(header: 2, byteCount: Self.byteCount(time: total.time), to: &cursor)
        Protobuf.append(1, varint: KubernetesProtobuf.seconds(total.time), to: &cursor)
        Protobuf.append(2, varint: 0, to: &cursor)
        Protobuf.append(header: 3, byteCount: Self.byteCount(window: total.window), to: &cursor)
        Protobuf.append(1, varint: KubernetesProtobuf.nanoseconds(total.window), to: &cursor)
        text.forEachContainer { index, name in
            let usage = usages[index]
            guard usage.isThere else { return }
            Protobuf.append(header: 4, byteCount: Self.byteCount(name, usage), to: &cursor)
            cursor.append(name)
            var count = ByteCounter()
            UsageText.append(nanocores: usage.cpuNanocores, to: &count)
            Self.begin("cpu", count.count, to: &cursor)
            UsageText.append(nanocores: usage.cpuNanocores, to: &cursor)
            count = ByteCounter()
            UsageText.append(bytes: usage.memoryBytes, to: &count)
            Self.begin("memory", count.count, to: &cursor)
            UsageText.append(bytes: usage.memoryBytes, to: &cursor)
        }
    }

    /// All of an entry but its quantity's text.
    private static func begin(
        _ key: StaticString, _ text: Int, to cursor: inout ByteCursor
    ) {
        Protobuf.append(header: 2, byteCount: entryByteCount(key, text), to: &cursor)
        Protobuf.append(header: 1, byteCount: key.utf8CodeUnitCount, to: &cursor)
        cursor.append(literal: key)
        Protobuf.append(header: 2, byteCount: 2 + text, to: &cursor)
        Protobuf.append(header: 1, byteCount: text, to: &cursor)
    }

    /// Earliest time and longest window; `nil` where nothing was read.
    private static func total(
        _ text: PodText.Form, _ usages: UnsafePointer<UsageReading>
    ) -> (time: Int64, window: Int64)? {
        var total = (time: Int64.max, window: Int64(0))
        for index in 0..<text.containerCount where usages[index].isThere {
            total.time = min(total.time, usages[index].time)
            total.window = max(total.window, usages[index].window)
        }
        return total.window > 0 ? total : nil
    }
}
