import Wire

/// A `PodMetricsList` as Protocol Buffers, some pods at a time. Lengths come before what they are of,
/// so each pod is measured first and written later, from the same readings.
final class PodProtobufProducer: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private let readings: PodReadings
    private var writer: PodProtobufWriter
    /// Of each pod's `PodMetrics`; 0 where nothing was read.
    private let byteCounts: [UInt32]
    private var next = 0
    private var hasBegun = false

    private static let pieceBytes = 131_072

    /// - Parameter now: `creationTimestamp` of every object, milliseconds since the epoch.
    init(_ readings: PodReadings, now: Int64) {
        self.readings = readings
        var writer = PodProtobufWriter(now: now)
        byteCounts = (0..<readings.count).map { index in
            readings.withPod(index) { UInt32(writer.byteCount($0, $1)) } ?? 0
        }
        self.writer = writer
    }

    func produce(into piece: inout [UInt8]) -> Bool {
        if !hasBegun {
            hasBegun = true
            piece.reserveCapacity(Self.pieceBytes + Self.pieceBytes / 4)
            begin(&piece)
        }
        while next < byteCounts.count {
            guard piece.count < Self.pieceBytes else { return true }
            let byteCount = Int(byteCounts[next])
            if byteCount > 0 {
                Protobuf.append(header: 2, byteCount: byteCount, to: &piece)
                let end = piece.count + byteCount
                readings.withPod(next) { writer.write($0, $1, to: &piece) }
                precondition(piece.count == end, "a pod of \(byteCount) bytes was measured wrongly")
            }
            next += 1
        }
        return false
    }

    /// Envelope and `ListMeta`.
    private func begin(_ piece: inout [UInt8]) {
        var list: [UInt8] = []
        KubernetesProtobuf.appendListMeta(to: &list)
        let byteCount = byteCounts.reduce(list.count) {
            $1 == 0 ? $0 : $0 + PodProtobufWriter.fieldByteCount(Int($1))
        }
        piece += KubernetesProtobuf.envelopeHead(
            apiVersion: ResourceItemWriter.version, kind: "PodMetricsList", byteCount: byteCount)
        piece += list
    }
}

/// A `PodMetrics` object: `k8s.io/metrics/pkg/apis/metrics/v1beta1/generated.proto`.
private struct PodProtobufWriter {
    /// `creationTimestamp` with its tag.
    private var creation: [UInt8] = []
    private var scratch: [UInt8] = []

    init(now: Int64) { KubernetesProtobuf.append(8, time: now, to: &creation) }

    /// Of a field with a length: tag, length and content.
    static func fieldByteCount(_ content: Int) -> Int {
        1 + Protobuf.varintByteCount(UInt64(content)) + content
    }

    private static func fieldByteCount(_ text: String) -> Int { fieldByteCount(text.utf8.count) }

    // MARK: Measuring

    /// 0 where nothing was read.
    mutating func byteCount(_ pod: JoinedPod, _ usages: UnsafePointer<UsageReading>) -> Int {
        guard let total = Self.total(pod, usages) else { return 0 }
        var sum = Self.fieldByteCount(metadataByteCount(pod))
        scratch.removeAll(keepingCapacity: true)
        Self.append(total, to: &scratch)
        sum += scratch.count
        var index = 0
        for container in pod.containers where container.isListed {
            if usages[index].isThere {
                sum += Self.fieldByteCount(containerByteCount(container.name, usages[index]))
            }
            index += 1
        }
        return sum
    }

    private func metadataByteCount(_ pod: JoinedPod) -> Int {
        var sum = Self.fieldByteCount(pod.name) + Self.fieldByteCount(pod.namespace)
        sum += creation.count
        for label in pod.metadata?.labels.labels ?? [] {
            sum += Self.fieldByteCount(Self.labelByteCount(label))
        }
        return sum
    }

    private static func labelByteCount(_ label: LabelSet.Label) -> Int {
        fieldByteCount(label.key) + fieldByteCount(label.value)
    }

    private mutating func containerByteCount(_ name: String, _ usage: UsageReading) -> Int {
        scratch.removeAll(keepingCapacity: true)
        UsageText.append(nanocores: usage.cpuNanocores, to: &scratch)
        let cpu = scratch.count
        UsageText.append(bytes: usage.memoryBytes, to: &scratch)
        let memory = scratch.count - cpu
        return Self.fieldByteCount(name)
            + Self.fieldByteCount(Self.usageByteCount("cpu", cpu))
            + Self.fieldByteCount(Self.usageByteCount("memory", memory))
    }

    /// An entry of the map: key, and a `Quantity`, which is its text.
    private static func usageByteCount(_ key: String, _ text: Int) -> Int {
        fieldByteCount(key) + fieldByteCount(fieldByteCount(text))
    }

    // MARK: Writing

    mutating func write(
        _ pod: JoinedPod, _ usages: UnsafePointer<UsageReading>, to bytes: inout [UInt8]
    ) {
        guard let total = Self.total(pod, usages) else { return }
        Protobuf.append(header: 1, byteCount: metadataByteCount(pod), to: &bytes)
        Protobuf.append(1, string: pod.name, to: &bytes)
        Protobuf.append(3, string: pod.namespace, to: &bytes)
        bytes += creation
        for label in pod.metadata?.labels.labels ?? [] {
            Protobuf.append(header: 11, byteCount: Self.labelByteCount(label), to: &bytes)
            Protobuf.append(1, string: label.key, to: &bytes)
            Protobuf.append(2, string: label.value, to: &bytes)
        }
        Self.append(total, to: &bytes)
        var index = 0
        for container in pod.containers where container.isListed {
            if usages[index].isThere { write(container.name, usages[index], to: &bytes) }
            index += 1
        }
    }

    private mutating func write(_ name: String, _ usage: UsageReading, to bytes: inout [UInt8]) {
        Protobuf.append(header: 4, byteCount: containerByteCount(name, usage), to: &bytes)
        Protobuf.append(1, string: name, to: &bytes)
        scratch.removeAll(keepingCapacity: true)
        UsageText.append(nanocores: usage.cpuNanocores, to: &scratch)
        write("cpu", to: &bytes)
        scratch.removeAll(keepingCapacity: true)
        UsageText.append(bytes: usage.memoryBytes, to: &scratch)
        write("memory", to: &bytes)
    }

    /// The quantity in `scratch`.
    private func write(_ key: String, to bytes: inout [UInt8]) {
        Protobuf.append(
            header: 2, byteCount: Self.usageByteCount(key, scratch.count), to: &bytes)
        Protobuf.append(1, string: key, to: &bytes)
        Protobuf.append(header: 2, byteCount: Self.fieldByteCount(scratch.count), to: &bytes)
        Protobuf.append(header: 1, byteCount: scratch.count, to: &bytes)
        bytes += scratch
    }

    /// Earliest time and longest window.
    private static func append(_ total: (time: Int64, window: Int64), to bytes: inout [UInt8]) {
        KubernetesProtobuf.append(2, time: total.time, to: &bytes)
        KubernetesProtobuf.append(3, duration: total.window, to: &bytes)
    }

    private static func total(
        _ pod: JoinedPod, _ usages: UnsafePointer<UsageReading>
    ) -> (time: Int64, window: Int64)? {
        var total = (time: Int64.max, window: Int64(0))
        var index = 0
        for container in pod.containers where container.isListed {
            if usages[index].isThere {
                total = (
                    min(total.time, usages[index].time), max(total.window, usages[index].window)
                )
            }
            index += 1
        }
        return total.window > 0 ? total : nil
    }
}
