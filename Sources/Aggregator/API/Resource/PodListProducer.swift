import Wire

/// A `PodMetricsList` as JSON, some pods at a time: the text of 150,000 is never in memory as a whole.
final class PodListProducer: HTTPBodyProducer, @unchecked Sendable {
    // One thread at a time, as the protocol says.
    private let readings: PodReadings
    private var next = 0
    private var isFirst = true
    private var isOver = false
    private var creation = TimeText()
    private var timestamp = TimeText()
    private let now: Int64

    private static let pieceBytes = 131_072

    /// - Parameter now: `creationTimestamp` of every object, milliseconds since the epoch.
    init(_ readings: PodReadings, now: Int64) {
        self.readings = readings
        self.now = now
    }

    func produce(into piece: inout [UInt8]) -> Bool {
        guard !isOver else { return false }
        let made = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
            var cursor = ByteCursor(UnsafeMutableRawBufferPointer(buffer))
            write(to: &cursor)
            count = cursor.count
        }
        if piece.isEmpty { piece = made } else { piece += made }
        return !isOver
    }

    /// Enough for a piece: at least the next pod fits.
    private var room: Int {
        var largest = 0
        if next < readings.pods.count { largest = bytesMax(of: next) }
        return Self.pieceBytes + largest + 256
    }

    private func write(to cursor: inout ByteCursor) {
        if next == 0 {
            cursor.append(
                literal: #"{"kind":"PodMetricsList","apiVersion":"metrics.k8s.io/v1beta1","#)
            cursor.append(literal: #""metadata":{},"items":["#)
        }
        while next < readings.pods.count {
            // The list's end has its place in the 256 bytes of `room`.
            guard cursor.count + bytesMax(of: next) <= cursor.capacity - 256 else { return }
            writePod(next, to: &cursor)
            next += 1
        }
        cursor.append(literal: "]}\n")
        isOver = true
    }

    private func node(_ pod: PodReadings.Pod) -> NodePods {
        guard let node = readings.nodes[Int(pod.entry.node)] else {
            preconditionFailure("readings keep the nodes of their pods")
        }
        return node
    }

    /// At least what the pod's text takes.
    private func bytesMax(of index: Int) -> Int {
        let pod = readings.pods[index]
        let node = node(pod)
        let texts = node.pods[Int(pod.entry.pod)]
        var sum = texts.head.count + texts.labels.count + 160
        for container in texts.containers {
            // Two numbers of at most 21 bytes with suffixes, and what is between them.
            sum += node.containers[Int(container)].head.count + 80
        }
        return sum
    }

    private func writePod(_ index: Int, to cursor: inout ByteCursor) {
        let pod = readings.pods[index]
        let node = node(pod)
        let texts = node.pods[Int(pod.entry.pod)]
        guard let total = readings.total(of: index, texts.containers.count) else { return }
        if !isFirst { cursor.append(UInt8(ascii: ",")) }
        isFirst = false
        cursor.append(node.text(texts.head))
        cursor.append(creation.text(now))
        cursor.append(node.text(texts.labels))
        // Kubernetes times are whole seconds.
        cursor.append(timestamp.text(total.time / 1_000 * 1_000))
        cursor.append(literal: #"","window":""#)
        UsageText.append(milliseconds: total.window, to: &cursor)
        cursor.append(literal: #"","containers":["#)
        var isFirstContainer = true
        for (offset, container) in texts.containers.enumerated() {
            guard let usage = readings.usages[pod.start + offset] else { continue }
            if !isFirstContainer { cursor.append(UInt8(ascii: ",")) }
            isFirstContainer = false
            cursor.append(node.text(node.containers[Int(container)].head))
            UsageText.append(nanocores: usage.cpuNanocores, to: &cursor)
            cursor.append(literal: #"","memory":""#)
            UsageText.append(bytes: usage.memoryBytes, to: &cursor)
            cursor.append(literal: #""}}"#)
        }
        cursor.append(literal: "]}")
    }
}

/// The text of the time that was asked for last: the pods of a list have few different ones.
private struct TimeText {
    private var milliseconds = Int64.min
    private var bytes: [UInt8] = []

    mutating func text(_ time: Int64) -> [UInt8] {
        if time != milliseconds {
            bytes.removeAll(keepingCapacity: true)
            RFC3339.append(milliseconds: time, to: &bytes)
            milliseconds = time
        }
        return bytes
    }
}
